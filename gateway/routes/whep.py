"""WHEP (draft-ietf-wish-whep): an SDP offer in, an answer and a resource out."""

from __future__ import annotations

import asyncio

from aiohttp import web

from gateway.errors import BadRequest, UnsupportedMedia
from gateway.routes.access import Access, Caller, route
from gateway.routes.control import viewer_of
from gateway.routes.services import SERVICES
from gateway.signaling.advertise import advertised

__all__ = ["routes"]

SDP_TYPE = "application/sdp"


async def offer(request: web.Request, caller: Caller) -> web.Response:
    services = request.app[SERVICES]
    session = services.manager.get(request.match_info["sid"])
    if request.content_type != SDP_TYPE:
        raise UnsupportedMedia("the body is not SDP", hint=f"send Content-Type: {SDP_TYPE}")
    sdp = await _read_sdp(request)
    viewer = viewer_of(request, caller)
    session.require_ready()
    session.touch()
    session.mark("first_offer")
    addresses = await _addresses(request)
    answer = await services.whep.offer(
        session, sdp, caller.role, addresses, viewer.id if viewer is not None else None
    )
    session.publish()
    return web.Response(
        status=201,
        body=answer.sdp.encode(),
        content_type=SDP_TYPE,
        headers={"Location": f"/v1/sessions/{session.id}/whep/{answer.peer}"},
    )


async def _read_sdp(request: web.Request) -> str:
    # The application's client_max_size bounds it.
    try:
        return (await request.read()).decode()
    except UnicodeDecodeError:
        raise BadRequest("the SDP is not UTF-8") from None


async def _addresses(request: web.Request) -> list[str]:
    services = request.app[SERVICES]
    transport = request.transport
    local = transport.get_extra_info("sockname") if transport is not None else None
    remote = transport.get_extra_info("peername") if transport is not None else None
    return advertised(
        configured=services.advertise,
        local=_ip(local),
        host_header=request.headers.get("Host"),
        host_addresses=await asyncio.to_thread(services.host_addresses),
        remote=_ip(remote),
    )


def _ip(name: object) -> str | None:
    return str(name[0]) if isinstance(name, tuple) and name else None


async def trickle(request: web.Request, caller: Caller) -> web.Response:
    """Trickled candidates are of no use: the guest can reach none of them and learns the relay by itself."""
    request.app[SERVICES].manager.get(request.match_info["sid"])
    return web.Response(status=204)


async def close(request: web.Request, caller: Caller) -> web.Response:
    services = request.app[SERVICES]
    session = services.manager.get(request.match_info["sid"])
    await services.whep.close(session.id, request.match_info["peer"])
    session.publish()
    return web.Response(status=204)


def routes() -> list[web.RouteDef]:
    peer = "/v1/sessions/{sid}/whep/{peer}"
    return [
        route("POST", "/v1/sessions/{sid}/whep", offer, Access.VIEWER),
        route("PATCH", peer, trickle, Access.VIEWER),
        route("DELETE", peer, close, Access.VIEWER),
    ]
