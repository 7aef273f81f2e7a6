"""The marker window of a guest that is being measured (guest_agent/marker.py): only with the API key."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from pydantic import ValidationError

from gateway.edge.apikeys import Scope
from gateway.errors import GuestError
from gateway.routes.access import Access, Caller, route
from gateway.routes.models import MarkerView, ShowMarker, read_json
from gateway.routes.services import SERVICES
from gateway.sessions.session import Session
from guest_agent.protocol.rpc import INTERNAL_ERROR

__all__ = ["routes"]

CALL_S = 40.0
"""The guest gives its window 20 s to start."""


async def show(request: web.Request, caller: Caller) -> web.Response:
    """Put it there or keep it; what was pressed since the last call."""
    session = request.app[SERVICES].manager.get(request.match_info["sid"])
    body = await read_json(request, ShowMarker, optional=True)
    said = await _ask(session, {"seconds": body.seconds, "moving": body.moving})
    try:
        view = MarkerView.model_validate(said)
    except ValidationError:
        # A guest is another party: what it says may be anything.
        raise GuestError("the guest did not say where its marker is", code=INTERNAL_ERROR) from None
    session.touch()
    return web.Response(text=view.model_dump_json(), content_type="application/json")


async def hide(request: web.Request, caller: Caller) -> web.Response:
    """Take it away. Idempotent."""
    session = request.app[SERVICES].manager.get(request.match_info["sid"])
    await _ask(session, {"seconds": 0})
    return web.Response(status=204)


async def _ask(session: Session, params: dict[str, Any]) -> Any:
    session.require_ready()
    return await session.link.call("marker", params, timeout_s=CALL_S)


def routes() -> list[web.RouteDef]:
    path = "/v1/sessions/{sid}/marker"
    return [
        route("PUT", path, show, Access.ADMIN, Scope.DESKTOPS_USE),
        route("DELETE", path, hide, Access.ADMIN, Scope.DESKTOPS_USE),
    ]
