"""Around every request: how it was answered, and how long that took, for Prometheus."""

from __future__ import annotations

import time

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from gateway.routes.services import SERVICES

__all__ = ["timed"]

_GONE = 499
"""As nginx logs a caller who has left before the answer."""


@web.middleware
async def timed(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A route is counted by its pattern, never by what was asked for; all that has none is one."""
    began = time.monotonic()
    status, streamed = _GONE, False
    try:
        response = await handler(request)
        status = response.status
        streamed = status == 101 or response.content_type == "text/event-stream"
        return response
    except web.HTTPException as exc:
        status = exc.status
        raise
    finally:
        resource = request.match_info.route.resource
        route = resource.canonical if resource is not None else "none"
        method = request.method if request.method in hdrs.METH_ALL else "other"
        seconds = None if streamed else time.monotonic() - began
        request.app[SERVICES].metrics.saw_request(method, route, status, seconds)
