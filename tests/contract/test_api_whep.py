"""WHEP over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web

from gateway.routes.application import make_application
from gateway.sessions.lifecycle import State
from gateway.signaling.candidates import TcpReach
from tests.contract.api import Api, api_on
from tests.fakes import FakeGuest, GuestRefusal
from tests.sessions import Stage, until

OFFER = "\r\n".join(
    [
        "v=0",
        "o=- 1 1 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "m=video 9 UDP/TLS/RTP/SAVPF 96",
        "c=IN IP4 0.0.0.0",
        "a=ice-ufrag:abcd",
        "a=ice-pwd:abcdefghijklmnopqrstuvwx",
        "a=fingerprint:sha-256 " + ":".join(["00"] * 32),
        "a=candidate:1 1 udp 2113937151 0a1b2c3d.local 50000 typ host",
        "a=setup:actpass",
        "a=mid:0",
        "a=recvonly",
        "a=rtcp-mux",
        "",
    ]
)
SDP = {"Content-Type": "application/sdp"}


def offers(stage: Stage, sid: str) -> list[Any]:
    return [params for method, params in stage.driver.vms[sid].guest.calls if method == "offer"]


@pytest.mark.parametrize("role", ["control", "view"])
async def test_an_offer_is_answered_with_the_gateways_candidates(api: Api, role: Any) -> None:
    session = await api.stage.ready()
    path = f"/v1/sessions/{session.id}/whep"
    response = await api.client.post(path, data=OFFER, headers={**api.viewer(session, role), **SDP})
    assert response.status == 201
    assert response.content_type == "application/sdp"
    answer = await response.text()
    assert f"127.0.0.1 {api.stage.dataplane.media_port} typ host" in answer
    assert "203.0.113.7" in answer
    assert "169.254.0.21" not in answer
    assert response.headers["Location"].startswith(f"{path}/")
    (sent,) = offers(api.stage, session.id)
    assert sent["role"] == role
    assert "candidate" not in sent["sdp"]
    assert "first_offer" in session.timings
    assert len(api.stage.dataplane.admitted) == 1
    assert (await api.client.patch(response.headers["Location"], headers=api.viewer(session, role))).status == 204
    for _ in range(2):
        assert (
            await api.client.delete(response.headers["Location"], headers=api.viewer(session, role))
        ).status == 204
    assert api.stage.dataplane.admitted == {}


UDP, TCP = "127.0.0.1 8443 typ host\r\n", "127.0.0.1 443 typ host tcptype passive\r\n"


@pytest.mark.parametrize(
    ("query", "udp", "tcp"), [("", True, True), ("?transport=udp", True, False), ("?transport=tcp", False, True)]
)
async def test_an_answer_names_the_transports_that_were_asked_for(
    tmp_path: Path, query: str, udp: bool, tcp: bool
) -> None:
    async with api_on(tmp_path, tcp=TcpReach(443)) as api:
        session = await api.stage.ready()
        answer = await api.call("POST", f"/v1/sessions/{session.id}/whep{query}", 201, data=OFFER, headers=SDP)
        text = await answer.text()
        assert (UDP in text, TCP in text) == (udp, tcp)
        assert text.count("a=candidate:") == 2 * (udp + tcp), "two addresses"


@pytest.mark.parametrize("query", ["transport=sctp", "transport=", "transport=TCP", "transport=udp&transport=tcp"])
async def test_a_transport_that_is_none_is_refused(api: Api, query: str) -> None:
    session = await api.stage.ready()
    headers = {**api.viewer(session), **SDP}
    path = f"/v1/sessions/{session.id}/whep?{query}"
    problem = await api.refused("POST", path, 400, "bad-request", data=OFFER, headers=headers)
    assert "udp nor tcp" in problem["detail"]
    assert offers(api.stage, session.id) == []


async def test_media_by_tcp_can_be_off(api: Api) -> None:
    session = await api.stage.ready()
    headers = {**api.viewer(session), **SDP}
    path = f"/v1/sessions/{session.id}/whep"
    problem = await api.refused("POST", f"{path}?transport=tcp", 409, "conflict", data=OFFER, headers=headers)
    assert "advertise_tcp_port" in problem["hint"]
    assert offers(api.stage, session.id) == []
    assert "tcptype" not in await (await api.call("POST", path, 201, data=OFFER, headers=SDP)).text()


async def test_the_parameter_is_documented(api: Api) -> None:
    document = await (await api.client.get("/openapi.json")).json()
    (parameter,) = [
        one for one in document["paths"]["/v1/sessions/{sid}/whep"]["post"]["parameters"] if one["in"] == "query"
    ]
    assert (parameter["name"], parameter["schema"]["enum"]) == ("transport", ["udp", "tcp"])
    assert not parameter.get("required")


async def test_a_connected_viewer_is_counted_until_it_closes(api: Api) -> None:
    session = await api.stage.ready()
    response = await api.call("POST", f"/v1/sessions/{session.id}/whep", 201, data=OFFER, headers=SDP)
    peer = response.headers["Location"].rsplit("/", 1)[1]
    guest = api.stage.vm(session).guest
    for state, viewers in (("connected", 1), ("closed", 0)):
        guest.notify("peer", {"peer": peer, "state": state, "reason": ""})
        with session.updates.watch() as updates:
            while (view := await updates.get()) is not None and view.viewers != viewers:
                pass
    assert api.stage.dataplane.admitted == {}
    assert "connected" in session.timings


async def test_a_page_that_goes_before_its_answer_leaves_no_peer(api: Api) -> None:
    session = await api.stage.ready()
    guest = api.stage.vm(session).guest
    asked, answer, at_once = asyncio.Event(), asyncio.Event(), guest.handlers["offer"]

    async def slowly(params: Mapping[str, Any]) -> Any:
        asked.set()
        await answer.wait()
        return at_once(params)

    guest.handlers["offer"] = slowly
    headers = {**api.viewer(session), **SDP}
    async with asyncio.timeout(10), as_served(api) as (server, http):
        offering = asyncio.create_task(http.post(f"/v1/sessions/{session.id}/whep", data=OFFER, headers=headers))
        await asked.wait()
        assert session.view().control.controller is not None
        offering.cancel()
        while any(one.transport is not None for one in server.connections):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        answer.set()
        with session.updates.watch() as updates:
            while (view := await updates.get()) is not None and view.control.viewers:
                pass
        while guest.peers:
            guest.called.clear()
            await guest.called.wait()
    assert api.stage.dataplane.admitted == {}


@contextlib.asynccontextmanager
async def as_served(api: Api) -> AsyncIterator[tuple[web.Server, ClientSession]]:
    """As the gateway serves: aiohttp's test server cancels the handler when its client goes, and the gateway's does
    not."""
    runner = web.AppRunner(make_application(api.services), shutdown_timeout=5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        assert runner.server is not None
        async with ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}") as http:
            yield runner.server, http
    finally:
        await runner.cleanup()


async def test_a_dead_agent_takes_its_peers_along(api: Api) -> None:
    session = await api.stage.ready()
    await api.call("POST", f"/v1/sessions/{session.id}/whep", 201, data=OFFER, headers=SDP)
    guest = api.stage.vm(session).guest
    guest.notify("agent", {"state": "down", "pid": 1, "code": -11})
    guest.notify("peer", {"peer": "other", "state": "connected", "reason": ""})
    with session.updates.watch() as updates:
        while (view := await updates.get()) is not None and "connected" not in view.timings:
            pass
    assert api.stage.dataplane.admitted == {}
    assert session.state is State.READY


@pytest.mark.parametrize(
    "body", [b"", b"hello", b"v=0\r\n", OFFER.replace("v=0", "v=1").encode(), b"\xff\xfe", b"v=0\r\n\x00"]
)
async def test_malformed_sdp_is_refused_and_reaches_no_guest(api: Api, body: bytes) -> None:
    session = await api.stage.ready()
    path = f"/v1/sessions/{session.id}/whep"
    await api.refused("POST", path, 400, "bad-request", data=body, headers={**api.viewer(session), **SDP})
    assert offers(api.stage, session.id) == []


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", ""])
async def test_another_content_type_is_refused(api: Api, content_type: str) -> None:
    session = await api.stage.ready()
    headers = {**api.viewer(session), "Content-Type": content_type}
    await api.refused(
        "POST", f"/v1/sessions/{session.id}/whep", 415, "unsupported-media", data=OFFER, headers=headers
    )


async def test_sdp_that_is_too_large_is_refused(api: Api) -> None:
    session = await api.stage.ready()
    body = OFFER.encode() + b"a=x\r\n" * 14000
    headers = {**api.viewer(session), **SDP}
    await api.refused("POST", f"/v1/sessions/{session.id}/whep", 413, "too-large", data=body, headers=headers)


async def test_an_offer_before_the_desktop_is_up_is_told_to_wait(api: Api) -> None:
    api.stage.driver.gate.clear()
    session = await api.stage.manager.create()
    headers = {**api.viewer(session), **SDP}
    problem = await api.refused(
        "POST", f"/v1/sessions/{session.id}/whep", 409, "conflict", data=OFFER, headers=headers
    )
    assert "wait" in problem["hint"]
    assert "first_offer" not in session.timings
    api.stage.driver.gate.set()
    await until(session, State.READY)


async def test_an_agent_that_refuses_is_a_bad_gateway(api: Api) -> None:
    def refuse(params: Any) -> dict[str, Any]:
        raise GuestRefusal(-32602, "no codec in common")

    api.stage.driver.guest = lambda: FakeGuest(handlers={"offer": refuse})
    session = await api.stage.ready()
    headers = {**api.viewer(session), **SDP}
    problem = await api.refused(
        "POST", f"/v1/sessions/{session.id}/whep", 502, "guest-error", data=OFFER, headers=headers
    )
    assert "no codec in common" in problem["detail"]
    assert api.stage.dataplane.admitted == {}
