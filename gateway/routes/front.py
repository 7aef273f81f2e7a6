"""What every request passes before its route: for whom it is, whose it is, and how often that one may ask.

Host is checked against the names that this gateway answers to (edge/hosts.py), so that no page reaches it by DNS
rebinding. Health checks are exempt: a load balancer asks by whatever name it likes, and learns nothing.
"""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.edge.addresses import bucket_of, client_address
from gateway.edge.ratelimit import Rate
from gateway.errors import BadRequest, Misdirected, RateLimited
from gateway.routes.services import SERVICES

__all__ = ["ADDRESS", "REQUEST_ID", "address_of", "front", "spend"]

ADDRESS: web.RequestKey[str] = web.RequestKey("address", str)
"""Of a request: its client's address."""
REQUEST_ID: web.RequestKey[str] = web.RequestKey("request_id", str)

_HEALTH = frozenset({"/healthz", "/readyz"})


@web.middleware
async def front(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Raises BadRequest, Misdirected."""
    services = request.app[SERVICES]
    if request.transport is not None:
        services.head_is_here(request.transport)
    peer = request.transport.get_extra_info("peername") if request.transport is not None else None
    request[ADDRESS] = client_address(
        str(peer[0]) if isinstance(peer, tuple) else "",
        request.headers.getall("X-Forwarded-For", []),
        services.trusted_proxies,
    )
    if request.path not in _HEALTH:
        hosts = request.headers.getall("Host", [])
        if len(hosts) != 1:
            # RFC 9112 3.2. aiohttp would put this host's own name in its place.
            raise BadRequest("a request names its host, once")
        if not services.hosts.knows(hosts[0]):
            raise Misdirected(
                "this gateway does not answer to that name",
                hint="its operator names it by public_url or allowed_hosts",
            )
    return await handler(request)


def address_of(request: web.Request) -> str:
    return request[ADDRESS]


def spend(request: web.Request, what: str, rate: Rate, *, of: str = "") -> None:
    """Take from what may be done in a while.

    Args:
        what: is done; each has buckets of its own.
        rate: at most so often.
        of: whose bucket; the client's address unless given.

    Raises:
        RateLimited: it is empty.
    """
    services = request.app[SERVICES]
    key = f"{what} {of or bucket_of(address_of(request))}"
    wait_s = services.limiter.take(key, rate, services.clock())
    if wait_s > 0:
        services.refused[what] = services.refused.get(what, 0) + 1
        raise RateLimited(f"too many calls of this kind ({what})", retry_after_s=wait_s, hint="slow down")
