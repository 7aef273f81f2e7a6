"""Who may call what. Every route states its access; there is no way to add one that does not.

The API key opens everything. A viewer token opens the calls of its own session that a viewer needs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

from aiohttp import web

from gateway.errors import Forbidden, Unauthorized
from gateway.routes.services import SERVICES, Services
from gateway.tokens import API_KEY_PREFIX, Role, same_key, verify

__all__ = ["TOKEN_PROTOCOL", "Access", "Caller", "Handler", "check_origin", "route"]

TOKEN_PROTOCOL = "fenster.token."
"""Prefix of the WebSocket subprotocol that carries a credential: browsers can set no header there, and a
token in a URL ends in logs."""

_HINT = "send it as Authorization: Bearer"


class Access(Enum):
    PUBLIC = "public"
    ADMIN = "admin"
    """The API key."""
    VIEWER = "viewer"
    """The API key, or a viewer token of the session that the path names as ``{sid}``."""
    SOCKET = "socket"
    """As VIEWER, the credential in the subprotocol and the Origin checked."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who was let in."""

    role: Role
    admin: bool = False
    """With the API key."""
    origins: tuple[str, ...] = ()
    """Origins besides the gateway's own that may open WebSockets with this token."""


Handler = Callable[[web.Request, Caller], Awaitable[web.StreamResponse]]


def route(method: str, path: str, handler: Handler, access: Access) -> web.RouteDef:
    """A route whose handler runs only for a caller with ``access``."""

    async def guarded(request: web.Request) -> web.StreamResponse:
        return await handler(request, _authorize(request, access))

    # A GET route would answer HEAD too, by running the handler: an event stream without an end.
    options = {"allow_head": False} if method == "GET" and access is not Access.PUBLIC else {}
    return web.RouteDef(method, path, guarded, options)


def _authorize(request: web.Request, access: Access) -> Caller:
    if access is Access.PUBLIC:
        return Caller(role="view")
    services = request.app[SERVICES]
    credential = _from_protocols(request) if access is Access.SOCKET else _from_header(request)
    if not credential:
        raise Unauthorized("this call needs a credential", hint=_HINT)
    caller = _identify(services, credential, request.match_info.get("sid"), access)
    if access is Access.SOCKET:
        check_origin(request, caller.origins)
    return caller


def _identify(services: Services, credential: str, sid: str | None, access: Access) -> Caller:
    if credential.startswith(API_KEY_PREFIX):
        if not same_key(credential, services.keys.api_key):
            raise Unauthorized(
                "the API key is not this gateway's", hint="the key is in the gateway's state directory"
            )
        return Caller(role="control", admin=True)
    claims = verify(services.keys.signing_key, credential, now=services.clock())
    if access is Access.ADMIN:
        raise Forbidden("a viewer token does not open this call", hint="use the API key")
    if claims.sid != sid:
        raise Forbidden("the token belongs to another session", hint="ask for a token of this session")
    return Caller(claims.role, origins=claims.origins)


def _from_header(request: web.Request) -> str:
    scheme, _, credential = request.headers.get("Authorization", "").partition(" ")
    return credential.strip() if scheme.lower() == "bearer" else ""


def _from_protocols(request: web.Request) -> str:
    # RFC 6455 4.1: a comma-separated list, in one header or several.
    for header in request.headers.getall("Sec-WebSocket-Protocol", []):
        for offered in header.split(","):
            if offered.strip().startswith(TOKEN_PROTOCOL):
                return offered.strip().removeprefix(TOKEN_PROTOCOL)
    return _from_header(request)


def check_origin(request: web.Request, allowed: tuple[str, ...]) -> None:
    """A browser's page may open the socket only from here, or from an origin that the token names.

    Programs send no Origin; they are let in by their credential alone.

    Raises:
        Forbidden: another origin.
    """
    origin = request.headers.get("Origin")
    if origin is None or origin in allowed:
        return
    if urlsplit(origin).netloc.lower() == request.host.lower() and request.host:
        return
    raise Forbidden("this page may not open a connection here", hint="name its origin when you make the token")
