"""Whether the gateway lives, and whether it can start a session."""

from __future__ import annotations

from aiohttp import web

from gateway.routes.access import Access, Caller, route
from gateway.routes.services import SERVICES

__all__ = ["routes"]


async def healthz(request: web.Request, caller: Caller) -> web.Response:
    return web.json_response({"status": "ok"})


async def readyz(request: web.Request, caller: Caller) -> web.Response:
    """A problem with its hint when the host can run no session."""
    await request.app[SERVICES].facts()
    return web.json_response({"status": "ready"})


def routes() -> list[web.RouteDef]:
    return [
        route("GET", "/healthz", healthz, Access.PUBLIC),
        route("GET", "/readyz", readyz, Access.PUBLIC),
    ]
