"""Calls from pages of other origins (Fetch standard, CORS protocol): only origins that the caller's token, its ticket
or the settings name. There are no cookies, so there are no credentials to allow.
"""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.routes.access import CORS_ORIGIN
from gateway.routes.services import SERVICES

__all__ = ["add_cors_headers", "cors"]

_PREFIXES = ("/v1/sessions/", "/v1/tickets/")
"""What a viewer calls lies below these."""

_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
    "Access-Control-Allow-Headers": (
        "Authorization, Content-Type, Fenster-Viewer, If-Match, If-None-Match, If-Range, Prefer, Range"
    ),
    "Access-Control-Max-Age": "600",
    "Vary": "Origin",
}
_EXPOSED = "Content-Range, ETag, Fenster-Copied-By, Location, X-Request-Id"


@web.middleware
async def cors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer preflights, and let the pages of configured origins read also what refuses them.

    A preflight carries no token, so it cannot know whether its page may call. It promises nothing: the call itself is
    refused before anything is done when its origin is not the token's (access.py), and its answer cannot be read.
    """
    origin = request.headers.get("Origin")
    if origin is None or not request.path.startswith(_PREFIXES):
        return await handler(request)
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        return web.Response(status=204, headers={**_PREFLIGHT, "Access-Control-Allow-Origin": origin})
    if origin in request.app[SERVICES].embed_origins:
        request[CORS_ORIGIN] = origin
    return await handler(request)


async def add_cors_headers(request: web.Request, response: web.StreamResponse) -> None:
    """An on_response_prepare signal, for answers whose page may read them."""
    origin = request.get(CORS_ORIGIN)
    if origin is not None:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = _EXPOSED
        response.headers["Vary"] = "Origin"
