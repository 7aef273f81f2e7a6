"""WHEP (draft-ietf-wish-whep): an SDP offer in, an answer and a resource out."""

from __future__ import annotations

import asyncio
from typing import cast, get_args

from aiohttp import web

from gateway.edge.apikeys import Scope
from gateway.errors import BadRequest, Conflict, TooLarge, UnsupportedMedia
from gateway.routes.access import Access, Caller, route
from gateway.routes.body import read_body
from gateway.routes.control import viewer_of
from gateway.routes.limits import MAX_SDP_BYTES
from gateway.routes.services import SERVICES
from gateway.signaling.advertise import advertised
from gateway.signaling.candidates import Endpoint, Transport, endpoints

__all__ = ["routes"]

SDP_TYPE = "application/sdp"


async def offer(request: web.Request, caller: Caller) -> web.Response:
    services = request.app[SERVICES]
    session = services.manager.get(request.match_info["sid"])
    if request.content_type != SDP_TYPE:
        raise UnsupportedMedia("the body is not SDP", hint=f"send Content-Type: {SDP_TYPE}")
    transport = _transport(request)
    sdp = await _read_sdp(request)
    viewer = viewer_of(request, caller)
    session.require_ready()
    session.touch()
    session.mark("first_offer")
    reach = await _reach(request, transport)
    answer = await services.whep.offer(session, sdp, caller.role, reach, viewer.id if viewer is not None else None)
    if _is_there(request):
        services.whep.expect(answer, session.id, lambda: _is_there(request))
    else:
        # Its page went meanwhile, and cannot end a peer that it was not told of, which would keep control until the
        # agent has missed it.
        await services.whep.close(session.id, answer.peer)
    session.publish()
    return web.Response(
        status=201,
        body=answer.sdp.encode(),
        content_type=SDP_TYPE,
        headers={"Location": f"/v1/sessions/{session.id}/whep/{answer.peer}"},
    )


def _is_there(request: web.Request) -> bool:
    """Whether the connection that it came by still stands."""
    return request.transport is not None and not request.transport.is_closing()


async def _read_sdp(request: web.Request) -> str:
    try:
        raw = await read_body(request)
        if len(raw) > MAX_SDP_BYTES:
            raise TooLarge(f"an offer has at most {MAX_SDP_BYTES} bytes")
        return raw.decode()
    except UnicodeDecodeError:
        raise BadRequest("the SDP is not UTF-8") from None


def _transport(request: web.Request) -> Transport | None:
    given = request.query.getall("transport", [])
    if not given:
        return None
    if len(given) > 1 or given[0] not in get_args(Transport):
        raise BadRequest("transport is neither udp nor tcp", hint="leave it out for both")
    if given[0] == "tcp" and request.app[SERVICES].tcp is None:
        raise Conflict("this gateway sends no media by TCP", hint="set advertise_tcp_port, or ask for udp")
    return cast(Transport, given[0])


async def _reach(request: web.Request, transport: Transport | None) -> list[Endpoint]:
    services = request.app[SERVICES]
    http = request.transport
    local = http.get_extra_info("sockname") if http is not None else None
    remote = http.get_extra_info("peername") if http is not None else None
    addresses = advertised(
        configured=services.advertise,
        local=_ip(local),
        host_header=request.headers.get("Host"),
        host_addresses=await asyncio.to_thread(services.host_addresses),
        remote=_ip(remote),
    )
    return endpoints(addresses, udp_port=services.dataplane.media_port, tcp=services.tcp, transport=transport)


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
        route("POST", "/v1/sessions/{sid}/whep", offer, Access.VIEWER, Scope.DESKTOPS_USE, audit="desktop.connect"),
        route("PATCH", peer, trickle, Access.VIEWER, Scope.DESKTOPS_USE),
        route("DELETE", peer, close, Access.VIEWER, Scope.DESKTOPS_USE),
    ]
