"""The aiohttp application on a set of services."""

from __future__ import annotations

from aiohttp import web

from gateway.routes import (
    api,
    clipboard,
    control,
    events,
    files,
    health,
    marker,
    metrics,
    openapi,
    pages,
    screenshot,
    tickets,
    vnc,
    whep,
)
from gateway.routes.cors import add_cors_headers, cors
from gateway.routes.front import front
from gateway.routes.limits import MAX_BODY_BYTES
from gateway.routes.middleware import add_headers, problems
from gateway.routes.services import SERVICES, Services
from gateway.routes.timing import timed

__all__ = ["make_application"]

_MODULES = (
    api,
    tickets,
    control,
    events,
    files,
    clipboard,
    screenshot,
    marker,
    metrics,
    whep,
    vnc,
    health,
    openapi,
    pages,
)


def make_application(services: Services) -> web.Application:
    """All routes. The caller starts and ends the services; sessions end when the application shuts down."""
    app = web.Application(middlewares=[timed, problems, front, cors], client_max_size=MAX_BODY_BYTES)
    app[SERVICES] = services
    for module in _MODULES:
        app.add_routes(module.routes())
    app.on_response_prepare.append(add_headers)
    app.on_response_prepare.append(add_cors_headers)
    app.on_shutdown.append(_end_sessions)
    return app


async def _end_sessions(app: web.Application) -> None:
    # Before aiohttp waits for open requests: event streams and noVNC sockets end with their session.
    services = app[SERVICES]
    await services.whep.aclose()
    await services.manager.close()
