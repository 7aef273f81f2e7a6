"""Who may call what. Every route states its access; there is no way to add one that does not.

The API key opens everything. A viewer token opens the calls of its own session that a viewer needs. A ticket opens
nothing but its exchange for a token.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from enum import Enum

from aiohttp import web

from gateway.errors import Forbidden, Unauthorized
from gateway.origins import is_own
from gateway.routes.services import SERVICES, Services
from gateway.tickets import TICKET_PREFIX
from gateway.tokens import API_KEY_PREFIX, Role, same_key, verify

__all__ = [
    "CORS_ORIGIN",
    "TOKEN_PROTOCOL",
    "Access",
    "Caller",
    "Handler",
    "bearer",
    "check_origin",
    "offered_protocols",
    "route",
]

CORS_ORIGIN: web.RequestKey[str] = web.RequestKey("cors_origin", str)
"""Of a request: another origin whose page may read the answer."""

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
    """As VIEWER, the credential in the subprotocol."""
    TICKET = "ticket"
    """A ticket that is still open."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who was let in."""

    role: Role
    admin: bool = False
    """With the API key."""
    origins: tuple[str, ...] = ()
    """Origins besides the gateway's own whose pages may call with this token."""


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
    credential = _from_protocols(request) if access is Access.SOCKET else bearer(request)
    if not credential:
        raise Unauthorized("this call needs a credential", hint=_HINT)
    caller = _identify(services, credential, request.match_info.get("sid"), access)
    # The key manages every session: it has no place in another's page.
    check_origin(request, () if caller.admin else (*caller.origins, *services.embed_origins))
    return caller


def _identify(services: Services, credential: str, sid: str | None, access: Access) -> Caller:
    if not credential.isascii():
        # aiohttp makes lone surrogates of bytes that are no UTF-8, and nothing that signs or compares takes those.
        raise Unauthorized("the credential is none that a gateway makes", hint=_HINT)
    if credential.startswith(TICKET_PREFIX):
        ticket = services.tickets.look(credential, now=services.clock())
        if access is not Access.TICKET:
            raise Unauthorized("a ticket opens no call by itself", hint="POST /v1/tickets/exchange makes it a token")
        return Caller(ticket.role, origins=ticket.origins)
    if access is Access.TICKET:
        raise Unauthorized("this call takes a ticket", hint="POST /v1/sessions/{id}/tickets makes one")
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


def bearer(request: web.Request) -> str:
    """The credential of the Authorization header; empty when there is none."""
    scheme, _, credential = request.headers.get("Authorization", "").partition(" ")
    return credential.strip() if scheme.lower() == "bearer" else ""


def offered_protocols(request: web.Request) -> list[str]:
    """WebSocket subprotocols (RFC 6455 4.1: a comma-separated list, in one header or several)."""
    headers = request.headers.getall("Sec-WebSocket-Protocol", [])
    return [offered.strip() for header in headers for offered in header.split(",")]


def _from_protocols(request: web.Request) -> str:
    for offered in offered_protocols(request):
        if offered.startswith(TOKEN_PROTOCOL):
            return offered.removeprefix(TOKEN_PROTOCOL)
    return bearer(request)


def check_origin(request: web.Request, allowed: Collection[str]) -> None:
    """A browser's page may call only from here, or from an origin that its token or the settings name.

    Programs send no Origin; they are let in by their credential alone.

    Raises:
        Forbidden: another origin.
    """
    origin = request.headers.get("Origin")
    if origin is None or is_own(origin, request.host):
        return
    if origin in allowed:
        request[CORS_ORIGIN] = origin
        return
    # Behind a proxy that names another host, only the browser knows. No page can set this header.
    if request.headers.get("Sec-Fetch-Site") == "same-origin":
        return
    raise Forbidden("this page may not call here", hint="name its origin when you make the token or ticket")
