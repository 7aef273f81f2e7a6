"""WHEP without HTTP: what an offer leaves behind when anything on its way fails."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from gateway.dataplane import IceCredentials
from gateway.errors import BadRequest, CapacityError, ConfigError, Conflict, GuestError, LinkClosed, LinkTimeout
from gateway.signaling.candidates import Endpoint
from gateway.signaling.whep import PeerSession, Whep
from gateway.vm.driver import AgentLink, GuestEvent
from tests.fakes import FakeDataPlane

OFFER = (
    "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\n"
    "a=candidate:1 1 udp 1 x.local 5 typ host\r\na=ice-ufrag:browser1\r\na=ice-pwd:" + "b" * 24 + "\r\n"
    "a=fingerprint:sha-256 AB:CD\r\na=mid:0\r\n"
)
ANSWER = OFFER.replace("browser1", "agentone").replace("m=video 9", "m=video 41234")
REACH = [Endpoint("udp", "203.0.113.7", 3478), Endpoint("tcp", "203.0.113.7", 8443)]


def result(ufrag: str = "agentone", **changes: object) -> dict[str, object]:
    return {"sdp": ANSWER, "ufrag": ufrag, "pwd": "a" * 22, "port": 41234, **changes}


class ScriptedLink:
    """Answers offers in order; records every call."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[GuestEvent] = asyncio.Queue(8)
        self.calls: list[tuple[str, Mapping[str, Any]]] = []
        self.answers: list[Mapping[str, Any] | Exception] = []
        self.asked = asyncio.Event()
        self.told = asyncio.Event()
        """Something else than an offer came."""
        self.hold: asyncio.Event | None = None

    async def hello(self, timeout_s: float) -> Mapping[str, Any]:
        return {}

    async def call(self, method: str, params: Mapping[str, Any], *, timeout_s: float = 10.0) -> Mapping[str, Any]:
        self.calls.append((method, params))
        if method != "offer":
            self.told.set()
            return {}
        self.asked.set()
        if self.hold is not None:
            await self.hold.wait()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def byes(self) -> list[str]:
        return [params["peer"] for method, params in self.calls if method == "bye"]


class Session:
    def __init__(self, name: str = "vm1") -> None:
        self.id = name
        self.scripted = ScriptedLink()
        self.link: AgentLink = self.scripted
        self.changes = 0

    def peers_changed(self) -> None:
        self.changes += 1


_session: type[PeerSession] = Session


@pytest.fixture
def dataplane() -> FakeDataPlane:
    return FakeDataPlane(media_port=3478)


@pytest.fixture
def whep(dataplane: FakeDataPlane) -> Whep:
    return Whep(dataplane, max_peers=2)


def nothing_left(whep: Whep, dataplane: FakeDataPlane) -> None:
    assert whep.peers("vm1") == []
    assert dataplane.admitted == {}


async def test_offer_strips_asks_admits_and_answers(whep: Whep, dataplane: FakeDataPlane) -> None:
    session = Session()
    session.scripted.answers = [result()]
    answer = await whep.offer(session, OFFER, "view", REACH)
    method, params = session.scripted.calls[0]
    assert (method, params["peer"], params["role"]) == ("offer", answer.peer, "view")
    assert "candidate" not in params["sdp"]
    assert " 203.0.113.7 3478 typ host\r\n" in answer.sdp
    assert " 203.0.113.7 8443 typ host tcptype passive\r\n" in answer.sdp
    assert "m=video 3478 " in answer.sdp
    assert dataplane.admitted == {("vm1", "agentone"): IceCredentials("agentone", "a" * 22, 41234)}
    assert [(peer.id, peer.role) for peer in whep.peers("vm1")] == [(answer.peer, "view")]


async def test_close_revokes_and_says_bye_once(whep: Whep, dataplane: FakeDataPlane) -> None:
    session = Session()
    session.scripted.answers = [result()]
    answer = await whep.offer(session, OFFER, "control", REACH)
    await whep.close("vm1", answer.peer)
    await whep.close("vm1", answer.peer)
    await whep.close("vm2", "unknown")
    await whep.aclose()
    nothing_left(whep, dataplane)
    assert session.scripted.byes() == [answer.peer]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (GuestError("busy", code=-1), GuestError),
        (LinkTimeout("silent"), LinkTimeout),
        (LinkClosed("gone"), LinkClosed),
        ({}, GuestError),
        (result(ufrag="short"), GuestError),
        (result(ufrag="with space"), GuestError),
        (result(pwd="short"), GuestError),
        (result(port=0), GuestError),
        (result(port=True), GuestError),
        (result(port="41234"), GuestError),
        (result(sdp=None), GuestError),
        (result(sdp="nonsense"), GuestError),
        (result(sdp="v=0\r\n" + "a=x\r\n" * 3000), GuestError),
    ],
)
async def test_a_failed_offer_leaves_nothing(
    whep: Whep, dataplane: FakeDataPlane, answer: Mapping[str, Any] | Exception, error: type[Exception]
) -> None:
    session = Session()
    session.scripted.answers = [answer]
    with pytest.raises(error):
        await whep.offer(session, OFFER, "control", REACH)
    await whep.aclose()
    nothing_left(whep, dataplane)
    assert session.scripted.byes() == [session.scripted.calls[0][1]["peer"]]


async def test_nonsense_never_reaches_the_guest(whep: Whep, dataplane: FakeDataPlane) -> None:
    session = Session()
    with pytest.raises(BadRequest):
        await whep.offer(session, "nonsense", "control", REACH)
    with pytest.raises(ConfigError):
        await whep.offer(session, OFFER, "control", [])
    assert session.scripted.calls == []
    nothing_left(whep, dataplane)


async def test_a_cancelled_offer_leaves_nothing(whep: Whep, dataplane: FakeDataPlane) -> None:
    session = Session()
    session.scripted.hold = asyncio.Event()
    offering = asyncio.create_task(whep.offer(session, OFFER, "control", REACH))
    await session.scripted.asked.wait()
    assert len(whep.peers("vm1")) == 1
    offering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await offering
    await whep.aclose()
    nothing_left(whep, dataplane)
    assert len(session.scripted.byes()) == 1


async def test_a_taken_ufrag_keeps_its_owner(whep: Whep, dataplane: FakeDataPlane) -> None:
    first, second = Session(), Session("vm2")
    first.scripted.answers = [result()]
    second.scripted.answers = [result()]
    await whep.offer(first, OFFER, "control", REACH)
    with pytest.raises(Conflict):
        await whep.offer(second, OFFER, "control", REACH)
    assert list(dataplane.admitted) == [("vm1", "agentone")]
    first.scripted.answers = [result()]
    with pytest.raises(Conflict):
        await whep.offer(first, OFFER, "control", REACH)
    assert list(dataplane.admitted) == [("vm1", "agentone")]


async def test_peers_are_capped_offers_under_way_included(whep: Whep) -> None:
    session = Session()
    session.scripted.hold = asyncio.Event()
    session.scripted.answers = [result(), result("agenttwo"), result("agentthree")]
    offers = [asyncio.create_task(whep.offer(session, OFFER, "view", REACH)) for _ in range(2)]
    await session.scripted.asked.wait()
    await asyncio.sleep(0)
    with pytest.raises(CapacityError):
        await whep.offer(session, OFFER, "view", REACH)
    session.scripted.hold.set()
    answers = await asyncio.gather(*offers)
    await whep.close("vm1", answers[0].peer)
    assert (await whep.offer(session, OFFER, "view", REACH)).peer != answers[1].peer


async def test_a_peer_whose_answer_nobody_read_is_closed(dataplane: FakeDataPlane) -> None:
    whep, session = Whep(dataplane, unread_s=0.0), Session()
    session.scripted.answers = [result(), result("agenttwo"), result("agentthree")]
    connected, waiting, gone = [await whep.offer(session, OFFER, "view", REACH) for _ in range(3)]
    await whep.handle_event("vm1", GuestEvent("peer", {"peer": connected.peer, "state": "connected"}))
    whep.expect(connected, "vm1", lambda: False)
    whep.expect(waiting, "vm1", lambda: True)
    whep.expect(gone, "vm1", lambda: False)
    await asyncio.wait_for(session.scripted.told.wait(), 10)
    assert session.scripted.byes() == [gone.peer]
    assert [peer.id for peer in whep.peers("vm1")] == [connected.peer, waiting.peer]
    whep.expect(gone, "vm1", lambda: False)
    await whep.aclose()
    nothing_left(whep, dataplane)


async def test_the_guest_closes_a_peer(whep: Whep, dataplane: FakeDataPlane) -> None:
    session = Session()
    session.scripted.answers = [result(), result("agenttwo")]
    first = await whep.offer(session, OFFER, "view", REACH)
    second = await whep.offer(session, OFFER, "view", REACH)
    await whep.handle_event("vm1", GuestEvent("peer", {"peer": first.peer, "state": "connected", "reason": ""}))
    assert [peer.connected for peer in whep.peers("vm1")] == [True, False]
    await whep.handle_event("vm1", GuestEvent("peer", {"peer": first.peer, "state": "closed", "reason": "consent"}))
    await whep.handle_event("vm1", GuestEvent("peer", {"peer": first.peer, "state": "closed", "reason": "consent"}))
    assert [peer.id for peer in whep.peers("vm1")] == [second.peer]
    assert list(dataplane.admitted) == [("vm1", "agenttwo")]
    await whep.aclose()
    assert session.scripted.byes() == [second.peer]


@pytest.mark.parametrize(
    "event",
    [
        GuestEvent("peer", {}),
        GuestEvent("peer", {"peer": ["x"], "state": "closed"}),
        GuestEvent("peer", {"peer": "x", "state": 7}),
        GuestEvent("agent", {"state": "up"}),
        GuestEvent("desktop", {"windows": []}),
    ],
)
async def test_other_events_change_nothing(whep: Whep, dataplane: FakeDataPlane, event: GuestEvent) -> None:
    session = Session()
    session.scripted.answers = [result()]
    answer = await whep.offer(session, OFFER, "view", REACH)
    await whep.handle_event("vm1", event)
    await whep.handle_event("vm2", GuestEvent("peer", {"peer": answer.peer, "state": "closed"}))
    assert [peer.id for peer in whep.peers("vm1")] == [answer.peer]
    assert len(dataplane.admitted) == 1


@pytest.mark.parametrize("how", ["agent down", "forget"])
async def test_an_agent_or_machine_that_is_gone_takes_its_peers(
    whep: Whep, dataplane: FakeDataPlane, how: str
) -> None:
    session = Session()
    session.scripted.answers = [result(), result("agenttwo")]
    await whep.offer(session, OFFER, "view", REACH)
    await whep.offer(session, OFFER, "view", REACH)
    if how == "forget":
        await whep.forget("vm1")
    else:
        await whep.handle_event("vm1", GuestEvent("agent", {"state": "down", "pid": 7, "code": None}))
    nothing_left(whep, dataplane)
    assert session.scripted.byes() == []


async def test_a_peer_closed_while_its_answer_is_made(whep: Whep, dataplane: FakeDataPlane) -> None:
    session = Session()
    session.scripted.hold = asyncio.Event()
    session.scripted.answers = [result()]
    offering = asyncio.create_task(whep.offer(session, OFFER, "control", REACH))
    await session.scripted.asked.wait()
    await whep.forget("vm1")
    session.scripted.hold.set()
    with pytest.raises(LinkClosed):
        await offering
    nothing_left(whep, dataplane)


async def test_a_peer_closed_while_it_is_admitted() -> None:
    class SlowDataPlane(FakeDataPlane):
        async def admit(self, vm_id: str, ice: IceCredentials) -> None:
            await slow.forget(vm_id)
            await super().admit(vm_id, ice)

    dataplane = SlowDataPlane()
    slow = Whep(dataplane)
    session = Session()
    session.scripted.answers = [result()]
    with pytest.raises(LinkClosed):
        await slow.offer(session, OFFER, "control", REACH)
    nothing_left(slow, dataplane)
