"""The JSON API: sessions, tokens, marks, host and templates (DESIGN 6)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from aiohttp import web
from pydantic import BaseModel

from gateway import __version__
from gateway.errors import GatewayError
from gateway.routes.access import Access, Caller, route
from gateway.routes.models import (
    Created,
    CreateSession,
    CreateToken,
    HostView,
    Mark,
    SessionList,
    TemplateList,
    TemplateView,
    TokenView,
    read_json,
)
from gateway.routes.services import SERVICES, Services
from gateway.sessions.view import ErrorView
from gateway.tokens import Role, mint

__all__ = ["routes", "viewer_token"]


def _json(body: BaseModel, status: int = 200) -> web.Response:
    return web.Response(status=status, text=body.model_dump_json(), content_type="application/json")


def viewer_token(
    services: Services,
    sid: str,
    *,
    role: Role = "control",
    lifetime_s: int | None = None,
    origins: tuple[str, ...] = (),
) -> TokenView:
    """A new token for a session, and the URL that carries it."""
    token, claims = mint(
        services.keys.signing_key,
        sid=sid,
        role=role,
        now=services.clock(),
        lifetime_s=lifetime_s if lifetime_s is not None else services.token_lifetime_s,
        origins=origins,
    )
    return TokenView(
        token=token,
        role=role,
        expires_at=datetime.fromtimestamp(claims.exp, UTC),
        viewer_url=f"/s/{sid}#token={token}",
    )


async def create(request: web.Request, caller: Caller) -> web.Response:
    """Answers at once; the session boots by itself and its events tell."""
    services = request.app[SERVICES]
    body = await read_json(request, CreateSession, optional=True)
    display_px = (body.display.width, body.display.height) if body.display is not None else None
    session = await services.manager.create(template=body.template, display_px=display_px)
    token = viewer_token(services, session.id)
    created = Created(
        **dict(session.view()), viewer_url=token.viewer_url, token=token.token, expires_at=token.expires_at
    )
    response = _json(created, 201)
    response.headers["Location"] = f"/v1/sessions/{session.id}"
    return response


async def list_sessions(request: web.Request, caller: Caller) -> web.Response:
    return _json(SessionList(sessions=[session.view() for session in request.app[SERVICES].manager.list()]))


async def show(request: web.Request, caller: Caller) -> web.Response:
    return _json(request.app[SERVICES].manager.get(request.match_info["sid"]).view())


async def destroy(request: web.Request, caller: Caller) -> web.Response:
    """Answers when nothing of the session is left."""
    await request.app[SERVICES].manager.destroy(request.match_info["sid"])
    return web.Response(status=204)


async def make_token(request: web.Request, caller: Caller) -> web.Response:
    services = request.app[SERVICES]
    session = services.manager.get(request.match_info["sid"])
    body = await read_json(request, CreateToken, optional=True)
    token = viewer_token(
        services, session.id, role=body.role, lifetime_s=body.lifetime_s, origins=tuple(body.origins)
    )
    return _json(token, 201)


async def mark(request: web.Request, caller: Caller) -> web.Response:
    """Record what only the viewer can know; the first report counts."""
    session = request.app[SERVICES].manager.get(request.match_info["sid"])
    body = await read_json(request, Mark)
    session.mark(body.mark)
    return web.Response(status=204)


async def host(request: web.Request, caller: Caller) -> web.Response:
    services = request.app[SERVICES]
    facts, trouble = None, None
    try:
        facts = await services.facts()
    except GatewayError as exc:
        trouble = ErrorView(kind=exc.kind, message=exc.message, hint=exc.hint)
    room = await asyncio.to_thread(services.room)
    return _json(
        HostView(
            version=__version__,
            driver=facts.name if facts is not None else None,
            accelerator=facts.accelerator if facts is not None else None,
            why=facts.why if facts is not None else "",
            isolated=facts.isolated if facts is not None else False,
            versions=dict(facts.versions) if facts is not None else {},
            problem=trouble,
            sessions=services.manager.live(),
            max_sessions=services.manager.limits.max_sessions,
            free_memory_mib=room.memory_mib,
            free_disk_mib=room.disk_mib,
            media_port=services.dataplane.media_port,
            parked=services.manager.pool.parked,
            counters={
                **services.dataplane.counters(),
                **services.manager.pool.counters,
                **(facts.counters if facts is not None else {}),
            },
        )
    )


async def templates(request: web.Request, caller: Caller) -> web.Response:
    return _json(
        TemplateList(
            templates=[
                TemplateView(name=one.name, profile=one.profile, vcpus=one.vcpus, memory_mib=one.memory_mib)
                for one in request.app[SERVICES].manager.templates.values()
            ]
        )
    )


def routes() -> list[web.RouteDef]:
    return [
        route("POST", "/v1/sessions", create, Access.ADMIN),
        route("GET", "/v1/sessions", list_sessions, Access.ADMIN),
        route("GET", "/v1/sessions/{sid}", show, Access.VIEWER),
        route("DELETE", "/v1/sessions/{sid}", destroy, Access.ADMIN),
        route("POST", "/v1/sessions/{sid}/tokens", make_token, Access.ADMIN),
        route("POST", "/v1/sessions/{sid}/marks", mark, Access.VIEWER),
        route("GET", "/v1/host", host, Access.ADMIN),
        route("GET", "/v1/templates", templates, Access.ADMIN),
    ]
