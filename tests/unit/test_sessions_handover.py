"""Control carried out: the guest, the pumps and the watchers hear of each change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import Conflict
from gateway.sessions import control
from gateway.sessions.control import Viewer
from gateway.sessions.handover import Handover
from gateway.sessions.lifecycle import State
from gateway.sessions.session import Session
from tests.fakes import FakeGuest, GuestRefusal
from tests.sessions import Stage, recovered, turns_until, until
from tests.unit.test_signaling_whep import OFFER, REACH

ANN, BEN = Viewer("a" * 32, "control"), Viewer("b" * 32, "control")


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path / "run", tmp_path / "logs")
    yield stage
    await stage.manager.close()


async def offered(stage: Stage, session: Session, viewer: Viewer) -> str:
    return (await stage.whep.offer(session, OFFER, viewer.role, REACH, viewer.id)).peer


def told(stage: Stage, session: Session) -> dict[str, Any]:
    return stage.vm(session).guest.control


async def test_the_guest_hears_whose_input_counts(stage: Stage) -> None:
    session = await stage.ready()
    ann, ben = await offered(stage, session, ANN), await offered(stage, session, BEN)
    await turns_until(lambda: told(stage, session) == {"peer": ann, "viewer": ANN.id})
    session.handover.act("grant", ANN, "bbbbbbbb")
    await turns_until(lambda: told(stage, session) == {"peer": ben, "viewer": BEN.id})
    assert session.view().control.controller == "bbbbbbbb"
    session.handover.act("release", BEN, None)
    await turns_until(lambda: told(stage, session) == {"peer": None, "viewer": None})


async def test_watchers_and_pumps_hear_of_a_request(stage: Stage) -> None:
    """A page that shows a picture asks for the state only when there is news."""
    session = await stage.ready()
    news: list[bool] = []
    pump = asyncio.create_task(asyncio.Event().wait(), name="vnc-test")
    with session.pumping(pump, ANN, news.append):
        assert news[-1] is True
        await offered(stage, session, BEN)
        await turns_until(lambda: told(stage, session) == {"peer": None, "viewer": ANN.id})
        calls = len(stage.vm(session).guest.calls)
        news.clear()
        with session.updates.watch() as updates:
            await updates.get()
            session.handover.act("request", BEN, None)
            view = await updates.get()
        assert view is not None
        assert view.control.requests == ["bbbbbbbb"]
        assert news == [True]
        await turns_until(lambda: len(stage.vm(session).guest.calls) > calls)
        session.handover.act("grant", ANN, None)
        assert news == [True, False]
    pump.cancel()


async def test_a_second_connection_of_the_one_who_controls_does_too(stage: Stage) -> None:
    session = await stage.ready()
    first, second = list[bool](), list[bool]()
    pump = asyncio.create_task(asyncio.Event().wait(), name="vnc-test")
    with session.pumping(pump, ANN, first.append), session.pumping(pump, ANN, second.append):
        assert (first[-1], second[-1]) == (True, True)
        assert len(session.view().control.viewers) == 1
    pump.cancel()


async def test_a_request_is_granted_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "GRANT_AFTER_S", 0.01)
    changed = asyncio.Event()
    handover = Handover(changed.set)
    handover.peers([("ann", ANN), ("ben", BEN)])
    handover.act("request", BEN, None)
    async with asyncio.timeout(10):
        while not handover.controls(BEN):
            changed.clear()
            await changed.wait()


async def test_one_who_left_makes_room_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "RETURN_S", 0.01)
    changed = asyncio.Event()
    handover = Handover(changed.set)
    handover.peers([("ann", ANN), ("ben", BEN)])
    handover.peers([("ben", BEN)])
    assert handover.controls(ANN)
    async with asyncio.timeout(10):
        while not handover.controls(BEN):
            changed.clear()
            await changed.wait()


async def test_a_refused_wish_changes_nothing(stage: Stage) -> None:
    session = await stage.ready()
    await offered(stage, session, ANN)
    before = session.view().control
    with pytest.raises(Conflict):
        session.handover.act("grant", ANN, None)
    assert session.view().control == before


async def test_an_older_agent_knows_nothing_of_control_and_serves_on(stage: Stage) -> None:
    def refuse(params: Any) -> dict[str, Any]:
        raise GuestRefusal(-32601, "no method")

    stage.driver.guest = lambda: FakeGuest(handlers={"control": refuse})
    session = await stage.ready()
    await offered(stage, session, ANN)
    guest = stage.vm(session).guest
    await turns_until(lambda: any(method == "control" for method, _ in guest.calls))
    await session.resize((1024, 600))
    assert session.state is State.READY


async def test_a_guest_that_forgot_is_told_again(stage: Stage) -> None:
    session = await stage.ready()
    ann = await offered(stage, session, ANN)
    guest = stage.vm(session).guest
    await turns_until(lambda: guest.control["peer"] == ann)
    guest.control = {"peer": None, "viewer": None}
    guest.notify("hello", {**guest.hello_result(), "state": "fresh"})
    await turns_until(lambda: guest.control["peer"] == ann)


@pytest.mark.parametrize("by", ["webrtc", "novnc"])
async def test_a_restarted_gateway_knows_who_controls(stage: Stage, by: str) -> None:
    before = await stage.ready()
    ann = await offered(stage, before, ANN)
    ben = await offered(stage, before, BEN)
    if by == "webrtc":
        before.handover.act("grant", ANN, "bbbbbbbb")
        await turns_until(lambda: told(stage, before)["peer"] == ben)
    else:
        pump = asyncio.create_task(asyncio.Event().wait(), name="vnc-test")
        cem = Viewer("c" * 32, "control")
        with before.pumping(pump, cem, lambda controls: None):
            before.handover.act("grant", ANN, "cccccccc")
            await turns_until(lambda: told(stage, before) == {"peer": None, "viewer": cem.id})
            following = await stage.killed()
        pump.cancel()
        async with recovered(following) as stage:
            (session,) = stage.manager.list()
            # Its page is expected back; that Ann is here first changes nothing.
            assert session.view().control.controller == "cccccccc"
            assert [seat.name for seat in session.view().control.viewers] == ["aaaaaaaa", "bbbbbbbb"]
        return
    async with recovered(await stage.killed()) as stage:
        (session,) = stage.manager.list()
        assert session.view().control.controller == "bbbbbbbb"
        assert {peer.id for peer in stage.whep.peers(session.id)} == {ann, ben}


async def test_nobody_controls_what_slept(stage: Stage) -> None:
    session = await stage.ready()
    await offered(stage, session, ANN)
    session.suspend()
    await until(session, State.SUSPENDED)
    assert session.view().control.viewers == []
    session.resume()
    await until(session, State.READY)
    ben = await offered(stage, session, ANN)
    await turns_until(lambda: told(stage, session)["peer"] == ben)


async def test_a_new_size_is_the_sessions(stage: Stage) -> None:
    session = await stage.ready()
    await session.resize((1025, 601))
    assert stage.vm(session).guest.calls[-1] == ("display", {"size": [1024, 600]})
    assert session.view().display.model_dump() == {"width": 1024, "height": 600}
    assert stage.store.kept_sessions[session.id].display_px == (1024, 600)
    session.suspend()
    with pytest.raises(Conflict):
        await session.resize((800, 600))
