"""Who controls, and how large the display is: both are the controller's, whatever its transport."""

from __future__ import annotations

import secrets

from aiohttp import web

from gateway.edge.apikeys import Scope
from gateway.errors import BadRequest, Forbidden
from gateway.routes.access import VIEWER_NAME, Access, Caller, offered_protocols, route
from gateway.routes.models import ControlAction, DisplaySize, read_json
from gateway.routes.services import SERVICES
from gateway.sessions.control import VIEWER_ID, Viewer, name_of

__all__ = ["VIEWER_HEADER", "VIEWER_PROTOCOL", "routes", "viewer_of"]

VIEWER_HEADER = "Fenster-Viewer"
"""Carries the id that a page has drawn for itself (gateway/sessions/control.py)."""
VIEWER_PROTOCOL = "fenster.viewer."
"""Prefix of the WebSocket subprotocol that does, since browsers can set no header there."""


def viewer_of(request: web.Request, caller: Caller) -> Viewer | None:
    """Who calls; None when the call does not say. Raises BadRequest."""
    said = request.headers.get(VIEWER_HEADER)
    if said is None:
        offered = (name for name in offered_protocols(request) if name.startswith(VIEWER_PROTOCOL))
        said = next(offered, "").removeprefix(VIEWER_PROTOCOL) or None
    if said is None:
        return None
    if not VIEWER_ID.fullmatch(said):
        raise BadRequest("the viewer's id is not 32 hex digits", hint="draw 16 random bytes for each page")
    request[VIEWER_NAME] = name_of(said)
    return Viewer(said, caller.role)


def new_viewer(caller: Caller) -> Viewer:
    """Of a program that does not name itself: a viewer for each of its connections."""
    return Viewer(secrets.token_hex(16), caller.role)


async def control(request: web.Request, caller: Caller) -> web.Response:
    """Ask for control, or give it; the owner of the API key may do the latter for the one who controls."""
    session = request.app[SERVICES].manager.get(request.match_info["sid"])
    body = await read_json(request, ControlAction)
    viewer = viewer_of(request, caller)
    session.touch()
    if body.action == "request" or not caller.admin:
        if viewer is None:
            raise BadRequest("the call does not say which viewer asks", hint=f"send its id as {VIEWER_HEADER}")
        session.handover.act(body.action, viewer, body.viewer)
    else:
        session.handover.act(body.action, None, body.viewer)
    return web.json_response(text=session.handover.view().model_dump_json())


async def display(request: web.Request, caller: Caller) -> web.Response:
    """Answers when the guest has taken the size; its display has it a moment later."""
    session = request.app[SERVICES].manager.get(request.match_info["sid"])
    body = await read_json(request, DisplaySize)
    viewer = viewer_of(request, caller)
    if not caller.admin and (viewer is None or not session.handover.controls(viewer)):
        raise Forbidden("only the viewer who controls sets the display's size", hint="ask for control first")
    await session.resize((body.width, body.height))
    return web.json_response(text=session.view().display.model_dump_json())


def routes() -> list[web.RouteDef]:
    return [
        route("POST", "/v1/sessions/{sid}/control", control, Access.VIEWER, Scope.DESKTOPS_USE),
        route("PUT", "/v1/sessions/{sid}/display", display, Access.VIEWER, Scope.DESKTOPS_USE),
    ]
