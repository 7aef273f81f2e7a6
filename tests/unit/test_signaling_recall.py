"""Peers that outlive a gateway, and peers that are told before their machine stands still."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.dataplane import IceCredentials
from gateway.errors import LinkClosed, NetnsError
from gateway.signaling.whep import Whep
from gateway.vm.driver import GuestEvent
from tests.fakes import FakeDataPlane
from tests.unit.test_signaling_whep import OFFER, REACH, ScriptedLink, Session, nothing_left, result


@pytest.fixture
def dataplane() -> FakeDataPlane:
    return FakeDataPlane()


@pytest.fixture
def whep(dataplane: FakeDataPlane) -> Whep:
    return Whep(dataplane, max_peers=2, bye_timeout_s=0.05)


def told(name: str = "p1", ufrag: str = "agentone", **changes: Any) -> dict[str, Any]:
    """A peer as a guest's hello has it."""
    peer = {"peer": name, "role": "view", "connected": True, "ufrag": ufrag, "pwd": "a" * 22, "port": 41234}
    return {**peer, **changes}


async def test_peers_are_taken_over_as_they_were(whep: Whep, dataplane: FakeDataPlane) -> None:
    session = Session()
    await whep.recall(session, [told(), told("p2", "agenttwo", role="control", connected=False, port=41235)])
    peers = [(peer.id, peer.role, peer.connected) for peer in whep.peers("vm1")]
    assert peers == [("p1", "view", True), ("p2", "control", False)]
    assert dataplane.admitted == {
        ("vm1", "agentone"): IceCredentials("agentone", "a" * 22, 41234),
        ("vm1", "agenttwo"): IceCredentials("agenttwo", "a" * 22, 41235),
    }
    assert session.scripted.calls == []


async def test_they_are_peers_like_any_other(whep: Whep, dataplane: FakeDataPlane) -> None:
    session = Session()
    await whep.recall(session, [told(connected=False)])
    await whep.handle_event("vm1", GuestEvent("peer", {"peer": "p1", "state": "connected", "reason": ""}))
    assert [peer.connected for peer in whep.peers("vm1")] == [True]
    session.scripted.answers = [result("agenttwo")]
    await whep.offer(session, OFFER, "view", REACH)
    await whep.close("vm1", "p1")
    assert list(dataplane.admitted) == [("vm1", "agenttwo")]
    await whep.aclose()
    assert "p1" in session.scripted.byes()
    nothing_left(whep, dataplane)


@pytest.mark.parametrize(
    "changes",
    [
        {"peer": None},
        {"peer": 7},
        {"role": "owner"},
        {"role": None},
        {"role": ["view"]},
        {"ufrag": "short"},
        {"ufrag": None},
        {"pwd": "short"},
        {"port": 0},
        {"port": "41234"},
        {"port": True},
    ],
)
async def test_what_is_malformed_is_skipped(whep: Whep, dataplane: FakeDataPlane, changes: dict[str, Any]) -> None:
    await whep.recall(Session(), [told(**changes), told("p2", "agenttwo")])
    assert [peer.id for peer in whep.peers("vm1")] == ["p2"]
    assert list(dataplane.admitted) == [("vm1", "agenttwo")]


async def test_a_guest_cannot_bring_more_peers_than_may_be(whep: Whep, dataplane: FakeDataPlane) -> None:
    await whep.recall(Session(), [told(f"p{number}", f"agent{number:03d}") for number in range(50)])
    assert len(whep.peers("vm1")) == len(dataplane.admitted) == 2


async def test_a_guest_cannot_bring_one_twice_or_anothers(whep: Whep, dataplane: FakeDataPlane) -> None:
    await whep.recall(Session("vm1"), [told(), told(ufrag="agenttwo")])
    await whep.recall(Session("vm2"), [told()])
    assert len(whep.peers("vm1")) == 1
    assert whep.peers("vm2") == []
    assert list(dataplane.admitted) == [("vm1", "agentone")]


async def test_nobody_to_take_over_leaves_nothing(whep: Whep, dataplane: FakeDataPlane) -> None:
    await whep.recall(Session(), [])
    nothing_left(whep, dataplane)


async def test_a_data_plane_that_fails_is_told(whep: Whep, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(vm_id: str, ice: IceCredentials) -> None:
        raise NetnsError("no such machine")

    monkeypatch.setattr(whep._dataplane, "admit", broken)
    with pytest.raises(NetnsError):
        await whep.recall(Session(), [told()])


async def test_the_agent_has_heard_of_it_when_peers_are_dismissed(whep: Whep, dataplane: FakeDataPlane) -> None:
    session, other = Session(), Session("vm2")
    await whep.recall(session, [told(), told("p2", "agenttwo")])
    await whep.recall(other, [told("p3", "agentthree")])
    await whep.dismiss("vm1")
    nothing_left_of_vm1 = [key for key in dataplane.admitted if key[0] == "vm1"]
    assert (whep.peers("vm1"), nothing_left_of_vm1) == ([], [])
    assert sorted(session.scripted.byes()) == ["p1", "p2"]
    assert len(whep.peers("vm2")) == 1
    await whep.dismiss("vm1")
    await whep.dismiss("vm3")
    assert len(session.scripted.byes()) == 2


async def test_an_agent_that_is_silent_or_gone_keeps_no_peer_and_nobody_waiting(
    whep: Whep, dataplane: FakeDataPlane
) -> None:
    class Gone(ScriptedLink):
        async def call(self, *args: Any, **more: Any) -> Any:
            raise LinkClosed("the port is gone")

    session = Session()
    session.link = Gone()
    await whep.recall(session, [told()])
    async with asyncio.timeout(5):
        await whep.dismiss("vm1")
    nothing_left(whep, dataplane)


async def test_an_offer_that_is_under_way_is_dismissed_too(whep: Whep, dataplane: FakeDataPlane) -> None:
    session = Session()
    session.scripted.hold = asyncio.Event()
    session.scripted.answers = [result()]
    offering = asyncio.create_task(whep.offer(session, OFFER, "control", REACH))
    await session.scripted.asked.wait()
    await whep.dismiss("vm1")
    session.scripted.hold.set()
    with pytest.raises(LinkClosed):
        await offering
    await whep.aclose()
    nothing_left(whep, dataplane)
    assert set(session.scripted.byes()) == {session.scripted.calls[0][1]["peer"]}
