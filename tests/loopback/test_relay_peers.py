"""A real aiortc pair through WHEP and the relay: browser's side, agent's side, the gateway in between."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from aioice.utils import random_string
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from gateway.local_dataplane import LocalDataPlane
from gateway.relay.relay import Relay
from gateway.signaling import whep as whep_module
from gateway.signaling.candidates import Endpoint
from gateway.signaling.whep import Whep
from gateway.vm.driver import AgentLink, GuestEvent, Lan
from tests.loopback.framed_tcp import listener, tunnel
from tests.loopback.relay_lan import LOOPBACK, LoopbackLan, open_files

NO_SERVERS = RTCConfiguration(iceServers=[])


class Agent:
    """The guest's end of the link: answers offers with a peer that echoes on its data channel."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[GuestEvent] = asyncio.Queue(8)
        self.peers: dict[str, RTCPeerConnection] = {}
        self.offers: list[str] = []

    async def hello(self, timeout_s: float) -> Mapping[str, Any]:
        return {}

    async def call(self, method: str, params: Mapping[str, Any], *, timeout_s: float = 10.0) -> Mapping[str, Any]:
        if method == "bye":
            await self.peers.pop(params["peer"]).close()
            return {}
        self.offers.append(params["sdp"])
        peer = self.peers[params["peer"]] = RTCPeerConnection(NO_SERVERS)
        peer.on("datachannel", lambda channel: channel.on("message", channel.send))
        await peer.setRemoteDescription(RTCSessionDescription(params["sdp"], "offer"))
        assert peer.sctp is not None
        # setup:passive, so that the browser's ClientHello need not wait for the agent to know its address.
        peer.sctp.transport._set_role("server")
        await peer.setLocalDescription(await peer.createAnswer())
        sdp = peer.localDescription.sdp
        return {
            "sdp": sdp,
            "ufrag": _find(r"a=ice-ufrag:(\S+)", sdp),
            "pwd": _find(r"a=ice-pwd:(\S+)", sdp),
            "port": int(_find(r"a=candidate:\S+ 1 udp \d+ \S+ (\d+) typ host", sdp)),
        }


def _find(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match is not None
    return match[1]


class Session:
    def __init__(self) -> None:
        self.id = "vm1"
        self.agent = Agent()
        self.link: AgentLink = self.agent

    def peers_changed(self) -> None:
        return None


class Browser:
    """The viewer's end. Its candidates have mDNS names, as browsers give them."""

    def __init__(self) -> None:
        self.peer = RTCPeerConnection(NO_SERVERS)
        self.channel = self.peer.createDataChannel("input")
        self.opened = asyncio.Event()
        self.messages: asyncio.Queue[str] = asyncio.Queue()
        self.channel.on("open", self.opened.set)
        self.channel.on("message", self.messages.put_nowait)

    async def offer(self) -> str:
        await self.peer.setLocalDescription(await self.peer.createOffer())
        hidden = f"{uuid.uuid4()}.local"
        return re.sub(r"(a=candidate:\S+ 1 udp \d+) \S+", rf"\1 {hidden}", self.peer.localDescription.sdp)

    async def accept(self, sdp: str) -> None:
        await self.peer.setRemoteDescription(RTCSessionDescription(sdp, "answer"))

    async def echo(self, text: str) -> str:
        self.channel.send(text)
        return await self.messages.get()


class Gateway:
    def __init__(self, dataplane: LocalDataPlane, session: Session) -> None:
        self.dataplane, self.session = dataplane, session
        self.whep = Whep(dataplane)
        self.reach = [Endpoint("udp", LOOPBACK, dataplane.media_port)]

    async def connect(self) -> Browser:
        browser = Browser()
        answer = await self.whep.offer(self.session, await browser.offer(), "control", self.reach)
        await browser.accept(answer.sdp)
        return browser


@pytest.fixture
async def gateway(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gateway]:
    async def open_lan(vm_id: str, pid: int | None) -> Lan:
        return LoopbackLan()

    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda use_ipv4, use_ipv6: [LOOPBACK])
    monkeypatch.setattr("aioice.ice.random_string", lambda length: random_string(max(length, 16)))
    dataplane = LocalDataPlane(open_lan, await Relay.open(0, bind=(LOOPBACK,)))
    await dataplane.attach("vm1")
    made = Gateway(dataplane, Session())
    yield made
    await made.whep.aclose()
    for peer in made.session.agent.peers.values():
        await peer.close()
    await dataplane.close()


async def test_a_pair_connects_through_the_relay_and_parts(gateway: Gateway) -> None:
    browser = await gateway.connect()
    await browser.opened.wait()
    assert await browser.echo("hello") == "hello"
    assert "candidate" not in gateway.session.agent.offers[0]
    counters = gateway.dataplane.counters()
    assert counters["packets_to_guest"] > 4
    assert counters["packets_to_viewer"] > 4
    assert counters["dropped_bad_integrity"] == counters["dropped_unknown_ufrag"] == 0
    files = open_files()
    [peer] = gateway.whep.peers("vm1")
    await gateway.whep.close("vm1", peer.id)
    await browser.peer.close()
    await gateway.whep.aclose()
    assert gateway.session.agent.peers == {}
    assert len(files - open_files()) >= 3


async def test_a_pair_connects_by_tcp_alone(gateway: Gateway) -> None:
    async with listener(gateway.dataplane.take) as port, tunnel(port) as outer:
        gateway.reach = [Endpoint("udp", LOOPBACK, outer)]
        browser = await gateway.connect()
        await browser.opened.wait()
        big = "x" * 100_000
        assert await browser.echo("hello") == "hello"
        assert await browser.echo(big) == big
        counters = gateway.dataplane.counters()
        assert counters["tcp_packets_to_guest"] == counters["packets_to_guest"] > 4
        assert counters["tcp_bytes_to_viewer"] == counters["bytes_to_viewer"] > len(big)
        assert counters["tcp_connections"] == counters["mappings_opened"] == 1
        assert not any(count for name, count in counters.items() if name.startswith(("dropped", "tcp_closed")))
        [peer] = gateway.whep.peers("vm1")
        await gateway.whep.close("vm1", peer.id)
        assert gateway.dataplane.counters()["tcp_connections"] == 0
        await browser.peer.close()


async def test_two_pairs_at_once(gateway: Gateway) -> None:
    one, two = await gateway.connect(), await gateway.connect()
    await one.opened.wait()
    await two.opened.wait()
    assert await one.echo("one") == "one"
    assert await two.echo("two") == "two"
    [first, second] = gateway.whep.peers("vm1")
    await gateway.whep.close("vm1", first.id)
    assert await two.echo("still here") == "still here"
    assert [peer.id for peer in gateway.whep.peers("vm1")] == [second.id]
    await one.peer.close()
    await two.peer.close()


async def test_a_wrong_password_never_connects(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = asyncio.Event()
    browser = Browser()
    # An attacker with the answer's ufrag and not its password: the browser signs with another one.
    answer = await gateway.whep.offer(gateway.session, await browser.offer(), "control", gateway.reach)
    forged = re.sub(r"a=ice-pwd:\S+", "a=ice-pwd:" + "x" * 22, answer.sdp)
    monkeypatch.setattr("aioice.stun.RETRY_MAX", 1)
    monkeypatch.setattr("aioice.stun.RETRY_RTO", 0.05)

    def changed() -> None:
        if browser.peer.iceConnectionState in ("failed", "closed"):
            failed.set()

    browser.peer.on("iceconnectionstatechange", changed)
    await browser.accept(forged)
    await failed.wait()
    counters = gateway.dataplane.counters()
    assert counters["dropped_bad_integrity"] >= 1
    assert counters["packets_to_guest"] == 0
    assert counters["mappings_opened"] == 0
    await browser.peer.close()


@pytest.mark.parametrize("treated", [True, False])
async def test_connection_time_with_and_without_the_offers_candidates(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, treated: bool
) -> None:
    if not treated:
        # With the browser's end-of-candidates it would never connect: no name resolves, and nothing else may come.
        monkeypatch.setattr(whep_module, "strip_offer", lambda sdp: sdp.replace("a=end-of-candidates\r\n", ""))
    times_ms = []
    for _ in range(3):
        browser = Browser()
        offer = await browser.offer()
        started = time.perf_counter()
        answer = await gateway.whep.offer(gateway.session, offer, "control", gateway.reach)
        await browser.accept(answer.sdp)
        await browser.opened.wait()
        times_ms.append((time.perf_counter() - started) * 1000)
        await gateway.whep.close("vm1", answer.peer)
        await browser.peer.close()
    assert all(("candidate:" in offer) != treated for offer in gateway.session.agent.offers)
    shown = ", ".join(f"{ms:.0f}" for ms in times_ms)
    print(f"\noffer to open data channel, candidates {'removed' if treated else 'passed on'}: {shown} ms")
