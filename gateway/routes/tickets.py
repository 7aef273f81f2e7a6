"""Tickets: made with the API key, carried in a URL, exchanged by the page for a viewer token, once."""

from __future__ import annotations

from datetime import UTC, datetime

from aiohttp import web

from gateway.edge.apikeys import Scope
from gateway.routes.access import AUDITED, Access, Caller, bearer, route, spend_token
from gateway.routes.api import embed_path, viewer_token
from gateway.routes.models import CreateTicket, TicketView, read_json
from gateway.routes.services import SERVICES

__all__ = ["routes"]


async def make(request: web.Request, caller: Caller) -> web.Response:
    services = request.app[SERVICES]
    session = services.manager.get(request.match_info["sid"])
    body = await read_json(request, CreateTicket, optional=True)
    spend_token(request, caller)
    lifetime_s = body.lifetime_s if body.lifetime_s is not None else services.token_lifetime_s
    origins = tuple(body.origins)
    secret, ticket = services.tickets.issue(
        sid=session.id, role=body.role, lifetime_s=lifetime_s, origins=origins, now=services.clock()
    )
    view = TicketView(
        ticket=secret,
        role=body.role,
        expires_at=datetime.fromtimestamp(ticket.expires_at, UTC),
        viewer_url=f"/s/{session.id}#ticket={secret}",
        embed_url=f"{embed_path(services, session.id, lifetime_s, origins)}#ticket={secret}",
    )
    return web.json_response(status=201, text=view.model_dump_json())


async def exchange(request: web.Request, caller: Caller) -> web.Response:
    services = request.app[SERVICES]
    spend_token(request, caller)
    # The session first: a ticket to one that has gone is not used up, and says so each time.
    session = services.manager.get(services.tickets.look(bearer(request), now=services.clock()).sid)
    request[AUDITED] = session.id
    ticket = services.tickets.use(bearer(request), now=services.clock())
    token = viewer_token(services, session.id, role=ticket.role, lifetime_s=ticket.lifetime_s, origins=ticket.origins)
    return web.json_response(status=201, text=token.model_dump_json())


def routes() -> list[web.RouteDef]:
    return [
        route("POST", "/v1/sessions/{sid}/tickets", make, Access.ADMIN, Scope.TOKENS_ISSUE, audit="ticket.issue"),
        route("POST", "/v1/tickets/exchange", exchange, Access.TICKET, Scope.TOKENS_ISSUE, audit="ticket.exchange"),
    ]
