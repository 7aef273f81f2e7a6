"""Who may call what. Every route states its access; there is no way to add one that does not.

An API key opens the calls of its scopes, on the sessions of its owner; with the scope admin, all calls on all of
them. Another owner's session is as one that does not exist. A viewer token opens the calls of its own session that a
viewer needs. A ticket opens nothing but its exchange for a token.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from enum import Enum
from functools import partial

from aiohttp import web

from gateway.edge.apikeys import ApiKey, Scope, key_id
from gateway.edge.ratelimit import Rate, per_minute
from gateway.errors import Forbidden, GatewayError, NotFound, RequestError, Unauthorized
from gateway.origins import is_own
from gateway.routes.front import REQUEST_ID, address_of, spend
from gateway.routes.services import SERVICES, Services
from gateway.sessions.admission import Owner
from gateway.tickets import TICKET_PREFIX
from gateway.tokens import API_KEY_PREFIX, Role, verify

__all__ = [
    "AUDITED",
    "CORS_ORIGIN",
    "SCOPE",
    "TOKEN_PROTOCOL",
    "VIEWER_NAME",
    "Access",
    "Caller",
    "Handler",
    "bearer",
    "check_origin",
    "note",
    "note_seldom",
    "offered_protocols",
    "route",
    "spend_create",
    "spend_token",
]

AUDITED: web.RequestKey[str] = web.RequestKey("audited", str)
"""Of a request: the session that it is about, where its path does not say."""
VIEWER_NAME: web.RequestKey[str] = web.RequestKey("viewer_name", str)
"""Of a request: the public name of the viewer that asks."""
SCOPE = "scope"
"""Attribute of a route's handler: what an API key needs for it."""
CORS_ORIGIN: web.RequestKey[str] = web.RequestKey("cors_origin", str)
"""Of a request: another origin whose page may read the answer."""

TOKEN_PROTOCOL = "fenster.token."
"""Prefix of the WebSocket subprotocol that carries a credential: browsers can set no header there, and a
token in a URL ends in logs."""

_HINT = "send it as Authorization: Bearer"


class Access(Enum):
    PUBLIC = "public"
    ADMIN = "admin"
    """An API key."""
    VIEWER = "viewer"
    """An API key, or a viewer token of the session that the path names as ``{sid}``."""
    SOCKET = "socket"
    """As VIEWER, the credential in the subprotocol."""
    TICKET = "ticket"
    """A ticket that is still open."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who was let in."""

    role: Role
    key: ApiKey | None = None
    origins: tuple[str, ...] = ()
    """Origins besides the gateway's own whose pages may call with this token."""
    credential: str = ""
    """Of a token or ticket: which one, for the audit log; it opens nothing."""
    ticket: bool = False
    sid: str = ""
    """The session that a token opens."""

    @property
    def admin(self) -> bool:
        """With an API key: it may what its scopes say, and no session's switches count for it."""
        return self.key is not None

    @property
    def owner(self) -> Owner:
        """Whose the sessions are that it makes, and how many may run."""
        return Owner(self.key.owner, self.key.max_sessions) if self.key is not None else Owner()

    def sees(self, owner: str) -> bool:
        """Whether an owner's sessions are there for it."""
        return self.key is not None and (self.key.sees_all or self.key.owner == owner)

    def may(self, scope: Scope) -> bool:
        return self.key is not None and self.key.may(scope)


VIEWERS_ENTRIES = Rate(per_s=2, burst=300)
"""Of one token in the audit log: its holder must not be able to rotate everybody else's deeds away."""

NOBODY = Caller(role="view")
Handler = Callable[[web.Request, Caller], Awaitable[web.StreamResponse]]


def route(
    method: str, path: str, handler: Handler, access: Access, scope: Scope = Scope.ADMIN, *, audit: str = ""
) -> web.RouteDef:
    """A route whose handler runs only for a caller with ``access``.

    Args:
        scope: that an API key needs for it.
        audit: the event (edge/audit.py) that a call of it is.
    """

    async def guarded(request: web.Request) -> web.StreamResponse:
        caller = _authorize(request, access, scope)
        noting = partial(note, request, caller, audit)
        try:
            response = await handler(request, caller)
        except GatewayError as exc:
            noting("refused" if isinstance(exc, RequestError) else "failed", exc.kind)
            raise
        noting("ok" if response.status < 400 else "failed")
        return response

    guarded.__dict__[SCOPE] = scope
    # A GET route would answer HEAD too, by running the handler: an event stream without an end.
    options = {"allow_head": False} if method == "GET" and access is not Access.PUBLIC else {}
    return web.RouteDef(method, path, guarded, options)


def note(request: web.Request, caller: Caller, event: str, outcome: str, reason: str = "") -> None:
    """Write down what a request did, where it is an event."""
    if not event:
        return
    key, services = caller.key, request.app[SERVICES]
    who = caller.credential or address_of(request)
    if key is None and services.noted.take(f"entries {who}", VIEWERS_ENTRIES, services.clock()):
        services.audit.skip()
        return
    services.audit.note(
        event,
        outcome,
        actor="key" if key is not None else "ticket" if caller.ticket else "token" if caller.credential else "nobody",
        key=key.id if key is not None else None,
        owner=key.owner if key is not None else None,
        credential=caller.credential,
        role=caller.role if key is None and caller.credential else None,
        address=address_of(request),
        session=request.get(AUDITED) or request.match_info.get("sid"),
        viewer=request.get(VIEWER_NAME),
        request=request.get(REQUEST_ID),
        reason=reason,
    )


def note_seldom(request: web.Request, caller: Caller, event: str) -> None:
    """The same of what a caller does all the time with a session: once in ten minutes."""
    services = request.app[SERVICES]
    who = caller.credential or (caller.key.id if caller.key is not None else "")
    if not services.noted.take(f"{event} {who} {request.match_info.get('sid')}", Rate(1 / 600, 1), services.clock()):
        note(request, caller, event, "ok")


def _authorize(request: web.Request, access: Access, scope: Scope) -> Caller:
    if access is Access.PUBLIC:
        return NOBODY
    services = request.app[SERVICES]
    credential = _from_protocols(request) if access is Access.SOCKET else bearer(request)
    sid = request.match_info.get("sid")
    caller = NOBODY
    try:
        if not credential:
            raise Unauthorized("this call needs a credential", hint=_HINT)
        caller = _identify(services, credential, access)
        # An API key manages sessions: it has no place in another's page.
        check_origin(request, () if caller.admin else (*caller.origins, *services.embed_origins))
        _check(services, caller, access, scope, sid)
    except Unauthorized:
        _failed(request)
        raise
    except Forbidden as exc:
        note(request, caller, "access.refuse", "refused", exc.kind)
        raise
    return caller


def _failed(request: web.Request) -> None:
    """A wrong credential. Good ones go on working: there is nothing to be guessed in 256 bits, and a lock-out would
    let one client shut out all others of its address. Raises RateLimited, and what comes too often is not logged."""
    spend(request, "failed authentication", request.app[SERVICES].rates.failures)
    note(request, NOBODY, "auth.fail", "refused")


def _identify(services: Services, credential: str, access: Access) -> Caller:
    """Raises Unauthorized, Forbidden."""
    if not credential.isascii():
        # aiohttp makes lone surrogates of bytes that are no UTF-8, and nothing that signs or compares takes those.
        raise Unauthorized("the credential is none that a gateway makes", hint=_HINT)
    if credential.startswith(TICKET_PREFIX):
        ticket = services.tickets.look(credential, now=services.clock())
        if access is not Access.TICKET:
            raise Unauthorized("a ticket opens no call by itself", hint="POST /v1/tickets/exchange makes it a token")
        return Caller(ticket.role, origins=ticket.origins, credential=key_id(credential), ticket=True)
    if access is Access.TICKET:
        raise Unauthorized("this call takes a ticket", hint="POST /v1/sessions/{id}/tickets makes one")
    if credential.startswith(API_KEY_PREFIX):
        key = services.keyring.identify(credential)
        if key is None:
            raise Unauthorized(
                "the API key is not this gateway's, was revoked or has expired",
                hint="fenster keys list shows them",
            )
        return Caller(role="control", key=key)
    claims = verify(services.keys.signing_key, credential, now=services.clock())
    return Caller(claims.role, origins=claims.origins, credential=key_id(credential), sid=claims.sid)


def _check(services: Services, caller: Caller, access: Access, scope: Scope, sid: str | None) -> None:
    """Raises Forbidden, NotFound."""
    if caller.key is not None:
        if not caller.key.may(scope):
            raise Forbidden(f"the API key lacks the scope {scope}", hint="its operator can make one that has it")
        if sid is not None and not caller.key.sees_all and services.manager.owner_of(sid) != caller.key.owner:
            raise NotFound("no such session", hint="fenster ls lists the sessions")
    elif access is Access.ADMIN:
        raise Forbidden("a viewer token does not open this call", hint="use an API key")
    elif access is not Access.TICKET and caller.sid != sid:
        raise Forbidden("the token belongs to another session", hint="ask for a token of this session")


def spend_create(request: web.Request, caller: Caller) -> None:
    """What makes or wakes a machine. Raises RateLimited."""
    rate = request.app[SERVICES].rates.creates
    own = caller.key.creates_per_min if caller.key is not None else None
    _spend_both(request, "create", rate, caller, rate if own is None else per_minute(own))


def spend_token(request: web.Request, caller: Caller) -> None:
    """What makes a credential. Raises RateLimited."""
    rate = request.app[SERVICES].rates.tokens
    _spend_both(request, "token", rate, caller, rate)


def _spend_both(request: web.Request, what: str, rate: Rate, caller: Caller, own: Rate) -> None:
    if caller.key is not None:
        spend(request, what, own, of=f"owner {caller.key.owner}")
    spend(request, what, rate)


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
    if origin is None or is_own(origin, request.host) or origin == request.app[SERVICES].public_origin:
        return
    if origin in allowed:
        request[CORS_ORIGIN] = origin
        return
    # Behind a proxy that names another host, only the browser knows. No page can set this header.
    if request.headers.get("Sec-Fetch-Site") == "same-origin":
        return
    raise Forbidden("this page may not call here", hint="name its origin when you make the token or ticket")
