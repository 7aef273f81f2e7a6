"""Sessions whose time is over end, those that nobody uses sleep, and whatever is in use is let alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import DiskError, NotFound, StoreError
from gateway.sessions import reaper
from gateway.sessions.lifecycle import State
from gateway.sessions.reaper import BUSY_SHARE
from gateway.sessions.record import Lifetime
from gateway.sessions.session import Session
from gateway.vm.driver import VmSpec
from tests.sessions import LONG_S, Stage, turns_until, until

IDLE_S = 1000.0


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path / "run", tmp_path / "logs")
    yield stage
    await stage.manager.close()
    assert stage.left() == []


async def ready(stage: Stage, **life: Any) -> Session:
    """A session that is up, in use until now."""
    session = await stage.manager.create(lifetime=Lifetime(**life))
    await until(session, State.READY)
    return session


async def gone(stage: Stage, session: Session) -> None:
    await turns_until(lambda: session not in stage.manager.list())


async def test_a_session_whose_time_is_over_ends_and_is_forgotten(stage: Stage) -> None:
    other = await ready(stage, ends_at=5000.0)
    session = await ready(stage, ends_at=4000.0)
    stage.manager.reaper.look(3999.0)
    assert session.state is State.READY
    stage.manager.reaper.look(4000.0)
    await gone(stage, session)
    assert session.state.value == "stopped"
    assert session.error is None
    with pytest.raises(NotFound):
        stage.manager.get(session.id)
    assert stage.manager.list() == [other]
    await stage.manager.destroy(session.id)


async def test_looks_while_it_ends_end_it_once(stage: Stage) -> None:
    session = await ready(stage, ends_at=4000.0)
    for now in (4000.0, 4000.0, 4005.0):
        stage.manager.reaper.look(now)
    await gone(stage, session)
    assert stage.vm(session).stops == 1


async def test_its_people_are_warned_before(stage: Stage) -> None:
    session = await ready(stage, ends_at=4000.0)
    stage.manager.reaper.look(3000.0)
    assert session.updates.latest.warning is None
    stage.manager.reaper.look(3990.0)
    assert session.updates.latest.warning == "ttl"
    await session.live_as(Lifetime(), {}, session.sharing)
    stage.manager.reaper.look(4000.0)
    assert session.updates.latest.warning is None
    assert session.state is State.READY


async def test_one_that_still_boots_ends_by_its_ttl_too(stage: Stage) -> None:
    stage.driver.gate.clear()
    session = await stage.manager.create(lifetime=Lifetime(ends_at=4000.0))
    await stage.driver.starting.wait()
    stage.manager.reaper.look(4000.0)
    await gone(stage, session)


async def test_a_session_that_nobody_uses_is_suspended(stage: Stage) -> None:
    session = await ready(stage, idle_timeout_s=IDLE_S)
    stage.manager.reaper.look(session.busy_at + IDLE_S - 1)
    assert session.state is State.READY
    assert session.updates.latest.warning == "idle"
    stage.manager.reaper.look(session.busy_at + IDLE_S)
    await until(session, State.SUSPENDED)
    assert stage.driver.asleep == {session.id: True}
    assert stage.manager.live() == 0


async def test_or_is_stopped_where_that_is_asked(stage: Stage) -> None:
    session = await ready(stage, idle_timeout_s=IDLE_S, idle_action="stop")
    stage.manager.reaper.look(session.busy_at + IDLE_S)
    await gone(stage, session)
    assert session.state is State.STOPPED


async def test_without_a_timeout_nobody_is_sent_to_sleep(stage: Stage) -> None:
    session = await stage.ready()
    stage.manager.reaper.look(session.busy_at + 1e9)
    assert session.state is State.READY


async def test_what_is_on_its_way_up_is_not_idle(stage: Stage) -> None:
    stage.driver.gate.clear()
    session = await stage.manager.create(lifetime=Lifetime(idle_timeout_s=IDLE_S))
    await stage.driver.starting.wait()
    later = session.busy_at + 2 * IDLE_S
    stage.manager.reaper.look(later)
    assert session.busy_at == later
    stage.driver.gate.set()
    await until(session, State.READY)


async def test_a_viewer_by_webrtc_holds_it(stage: Stage) -> None:
    session = await ready(stage, idle_timeout_s=IDLE_S)
    peer = {"peer": "p", "role": "view", "connected": True, "ufrag": "u" * 8, "pwd": "p" * 22, "port": 40000}
    await stage.whep.recall(session, [peer])
    began = session.busy_at
    for turn in range(1, 4):
        stage.manager.reaper.look(began + turn * IDLE_S)
    assert session.state is State.READY
    await stage.whep.forget(session.id)
    stage.manager.reaper.look(began + 4 * IDLE_S - 1)
    assert session.state is State.READY
    stage.manager.reaper.look(began + 4 * IDLE_S)
    await until(session, State.SUSPENDED)


async def test_a_viewer_by_novnc_holds_it(stage: Stage) -> None:
    session = await ready(stage, idle_timeout_s=IDLE_S)
    pump = asyncio.create_task(asyncio.Event().wait(), name="vnc-test")
    with session.pumping(pump):
        stage.manager.reaper.look(session.busy_at + IDLE_S)
        assert session.state is State.READY
        assert not pump.cancelling()
    pump.cancel()
    await asyncio.wait({pump})
    stage.manager.reaper.look(session.busy_at + IDLE_S)
    await until(session, State.SUSPENDED)


async def test_a_program_at_work_holds_it(stage: Stage) -> None:
    session = await ready(stage, idle_timeout_s=IDLE_S)
    began, vm = session.busy_at, stage.vm(session)
    stage.manager.reaper.look(began)
    for turn in range(1, 4):
        vm.spent_s += IDLE_S * BUSY_SHARE * 1.1
        stage.manager.reaper.look(began + turn * IDLE_S)
        assert session.state is State.READY
    vm.spent_s += IDLE_S * BUSY_SHARE * 0.9
    stage.manager.reaper.look(began + 4 * IDLE_S)
    await until(session, State.SUSPENDED)


async def test_whoever_calls_holds_it(stage: Stage) -> None:
    session = await ready(stage, idle_timeout_s=IDLE_S)
    now = session.busy_at
    session.busy_at -= IDLE_S
    session.touch()
    stage.manager.reaper.look(now)
    assert session.state is State.READY
    assert session.verdict.idle_at == session.busy_at + IDLE_S
    stage.manager.reaper.look(session.busy_at + IDLE_S)
    await until(session, State.SUSPENDED)


async def test_a_suspend_that_is_refused_is_asked_again_only_after_another_idle_time(stage: Stage) -> None:
    session = await ready(stage, idle_timeout_s=IDLE_S)
    due = session.busy_at + IDLE_S
    stage.driver.write_gate.clear()
    forking = asyncio.create_task(stage.manager.fork(session.id))
    await stage.driver.writing.wait()
    stage.manager.reaper.look(due)
    stage.driver.write_gate.set()
    await forking
    stage.manager.reaper.look(due + IDLE_S - 1)
    assert session.state is State.READY
    stage.manager.reaper.look(due + IDLE_S)
    await until(session, State.SUSPENDED)


async def test_a_session_that_sleeps_is_nobodys_business_until_its_ttl(stage: Stage) -> None:
    session = await ready(stage, ends_at=9e9, idle_timeout_s=IDLE_S)
    stage.manager.reaper.look(session.busy_at + IDLE_S)
    await until(session, State.SUSPENDED)
    stage.manager.reaper.look(8e9)
    assert session.state is State.SUSPENDED
    assert session.view().idle_at is None
    stage.manager.reaper.look(9e9)
    await gone(stage, session)
    assert stage.left() == []


async def test_one_that_was_just_woken_has_a_whole_idle_time(stage: Stage) -> None:
    session = await ready(stage, idle_timeout_s=IDLE_S)
    stage.manager.reaper.look(session.busy_at + IDLE_S)
    await until(session, State.SUSPENDED)
    stage.manager.reaper.look(session.busy_at + 50 * IDLE_S)
    await stage.manager.resume(session.id)
    await until(session, State.READY)
    stage.manager.reaper.look(session.busy_at + IDLE_S - 1)
    assert session.state is State.READY


async def test_failed_sessions_are_kept_to_be_looked_at(stage: Stage) -> None:
    session = await ready(stage, ends_at=4000.0, idle_timeout_s=IDLE_S)
    await stage.vm(session).crash()
    await session.wait_ended()
    stage.manager.reaper.look(1e9)
    assert stage.manager.list() == [session]


async def test_an_end_that_fails_is_logged_keeps_no_other_and_is_tried_again(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = await ready(stage, ends_at=4000.0), await ready(stage, ends_at=4000.0)
    asked: list[str] = []

    async def end(sid: str) -> None:
        asked.append(sid)
        if sid == first.id:
            raise StoreError("the disk is full")

    looking = reaper.Reaper(stage.manager.list, end)
    looking.look(4000.0)
    await turns_until(lambda: f"end-{first.id}: the disk is full" in caplog.text)
    assert asked == [first.id, second.id]
    looking.look(4005.0)
    await looking.close()
    assert asked == [first.id, second.id] * 2


async def test_it_looks_by_itself_and_close_waits_for_an_end(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaper, "LOOK_S", 0.0)
    letting_go, let_go = asyncio.Event(), asyncio.Event()
    discard = stage.driver.discard

    async def slow(spec: VmSpec) -> None:
        letting_go.set()
        await let_go.wait()
        await discard(spec)

    monkeypatch.setattr(stage.driver, "discard", slow)
    session = await ready(stage, ends_at=4000.0)
    stage.manager.reaper.start()
    async with asyncio.timeout(LONG_S):
        await letting_go.wait()
    closing = asyncio.create_task(stage.manager.reaper.close())
    await asyncio.sleep(0)
    assert not closing.done()
    let_go.set()
    await closing
    await stage.manager.reaper.close()
    assert session.state is State.STOPPED
    assert stage.manager.list() == []


async def test_a_suspend_that_fails_leaves_the_session_up(stage: Stage) -> None:
    session = await ready(stage, idle_timeout_s=IDLE_S)
    stage.driver.suspend_error = DiskError("no space")
    stage.manager.reaper.look(session.busy_at + IDLE_S)
    await until(session, State.SUSPENDING)
    view = await until(session, State.READY)
    assert "no space" in view.notice
