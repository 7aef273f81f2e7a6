"""Server-sent events (HTML Standard 9.2): a session's state at once, then each change."""

from __future__ import annotations

import asyncio

from aiohttp import web

from gateway.edge.apikeys import Scope
from gateway.routes.access import Access, Caller, route
from gateway.routes.services import SERVICES
from gateway.sessions.updates import Subscription
from gateway.sessions.view import SessionView

__all__ = ["HEARTBEAT_S", "routes"]

HEARTBEAT_S = 10.0
"""A comment this often keeps proxies from closing a quiet stream, and finds out that a viewer has gone."""


async def events(request: web.Request, caller: Caller) -> web.StreamResponse:
    """``event: state`` with the whole session in each; ends after ``stopped``."""
    session = request.app[SERVICES].manager.get(request.match_info["sid"])
    with session.updates.watch() as watcher:
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
        )
        await response.prepare(request)
        try:
            while (text := await _next(watcher)) is not None:
                await response.write(text.encode())
            await response.write_eof()
        except ConnectionError:
            # The viewer left; that is how most streams end.
            return response
    return response


async def _next(watcher: Subscription[SessionView]) -> str | None:
    try:
        async with asyncio.timeout(HEARTBEAT_S):
            view = await watcher.get()
    except TimeoutError:
        return ": still here\n\n"
    return f"event: state\ndata: {view.model_dump_json()}\n\n" if view is not None else None


def routes() -> list[web.RouteDef]:
    return [route("GET", "/v1/sessions/{sid}/events", events, Access.VIEWER, Scope.SESSIONS_READ)]
