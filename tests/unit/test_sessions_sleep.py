"""A session sleeps and wakes, on doubles: it stays who it is, and whatever goes wrong loses as little as can be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import Conflict, DiskError, LinkClosed
from gateway.sessions.control import Viewer
from gateway.sessions.lifecycle import State
from gateway.sessions.session import Session
from tests.sessions import LONG_S, Stage, turns_until, until, watch
from tests.unit.test_signaling_whep import OFFER, REACH

SOMEBODY = Viewer("a" * 32, "control")


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path / "run", tmp_path / "logs")
    yield stage
    await stage.manager.close()
    assert stage.left() == []


async def writing(stage: Stage) -> Session:
    """A session whose memory is being written, until the write gate is set."""
    session = await stage.ready()
    stage.driver.write_gate.clear()
    session.suspend()
    await stage.driver.writing.wait()
    return session


async def waking(stage: Stage) -> Session:
    """A session whose machine is being started, until the gate is set."""
    session = await stage.asleep()
    stage.driver.gate.clear()
    stage.driver.starting.clear()
    session.resume()
    await stage.driver.starting.wait()
    return session


def calls(stage: Stage, session: Session) -> dict[str, Any]:
    return dict(stage.vm(session).guest.calls)


async def test_it_goes_through_its_states_in_order(stage: Stage) -> None:
    session = await stage.ready()
    watching = asyncio.create_task(watch(session))
    await asyncio.sleep(0)
    session.suspend()
    await until(session, State.SUSPENDED)
    session.resume()
    await until(session, State.READY)
    await stage.manager.destroy(session.id)
    states = ["ready", "suspending", "suspended", "resuming", "assigning", "ready", "stopping", "stopped"]
    assert await watching == states


async def test_one_that_sleeps_has_nothing_but_its_files(stage: Stage) -> None:
    session = await stage.asleep()
    assert stage.vm(session).ended
    assert stage.dataplane.lans == {}
    assert not session.run_dir.exists()
    assert stage.driver.disks == set(stage.driver.asleep) == {session.id}
    assert stage.store.kept_sessions[session.id].state == "suspended"
    assert session.processor_s() is None
    with pytest.raises(LinkClosed):
        _ = session.link


async def test_one_that_wakes_is_who_it_was(stage: Stage) -> None:
    session = await stage.ready()
    before, machine, password = calls(stage, session), stage.vm(session).spec, session.vnc_password
    session.suspend()
    await until(session, State.SUSPENDED)
    session.resume()
    await until(session, State.READY)
    after = calls(stage, session)
    assert "identify" not in after
    assert after["assign"]["epoch_ns"] > before["assign"]["epoch_ns"]
    assert {**after["assign"], "epoch_ns": 0} == {**before["assign"], "epoch_ns": 0}
    assert session.vnc_password == password
    assert stage.vm(session).spec == machine
    assert stage.driver.asleep == {}
    assert stage.store.kept_sessions[session.id].state == "ready"
    assert (await session.exec(["true"]))["code"] == 0


async def test_what_it_took_is_told_and_its_beginning_is_not_timed_anew(stage: Stage) -> None:
    session = await stage.ready()
    await turns_until(lambda: "complete" in session.timings)
    before = dict(session.timings)
    session.suspend()
    await until(session, State.SUSPENDED)
    session.resume()
    await until(session, State.READY)
    assert session.timings == before
    assert set(session.updates.latest.durations) == {"suspend", "resume"}
    assert session.notice == ""


async def test_its_viewers_are_gone_before_it_stands_still(stage: Stage) -> None:
    session = await stage.ready()
    guest = stage.vm(session).guest
    answer = await stage.whep.offer(session, OFFER, "control", REACH)
    pump = asyncio.create_task(asyncio.Event().wait(), name="vnc-test")
    with session.pumping(pump, SOMEBODY, lambda controls: None):
        guest.notify("peer", {"peer": answer.peer, "state": "connected", "reason": ""})
        await turns_until(lambda: session.viewers == 2)
        stage.driver.write_gate.clear()
        session.suspend()
        await stage.driver.writing.wait()
        assert pump.cancelled()
    assert ("bye", {"peer": answer.peer}) in guest.calls
    assert guest.peers == {}
    assert session.viewers == 0
    assert stage.dataplane.admitted == {}
    assert not stage.vm(session).ended
    stage.driver.write_gate.set()
    await until(session, State.SUSPENDED)


async def test_a_viewer_that_comes_too_late_is_turned_away(stage: Stage) -> None:
    session = await writing(stage)
    pump = asyncio.create_task(asyncio.Event().wait(), name="vnc-test")
    with session.pumping(pump, SOMEBODY, lambda controls: None):
        await asyncio.wait({pump})
    assert pump.cancelled()
    stage.driver.write_gate.set()
    await until(session, State.SUSPENDED)


async def test_a_suspend_that_fails_leaves_it_as_it_was_and_says_so(stage: Stage) -> None:
    session = await stage.ready()
    machine = stage.vm(session)
    stage.driver.suspend_error = DiskError("no space", hint="free some")
    session.suspend()
    await until(session, State.SUSPENDING)
    view = await until(session, State.READY)
    assert "no space" in view.notice
    assert view.error is None
    assert stage.vm(session) is machine
    assert (await session.exec(["true"]))["code"] == 0
    stage.driver.suspend_error = None
    session.suspend()
    view = await until(session, State.SUSPENDED)
    assert view.notice == ""


@pytest.mark.parametrize("begun", [Stage.asleep, writing, waking])
async def test_a_stop_at_any_time_leaves_nothing(stage: Stage, begun: Callable[[Stage], Any]) -> None:
    session = await begun(stage)
    await asyncio.gather(session.stop(), session.stop())
    assert session.state is State.STOPPED
    assert session.error is None
    assert stage.left() == []


async def test_a_machine_that_is_killed_while_it_is_written_fails_its_session(stage: Stage) -> None:
    session = await writing(stage)
    await stage.vm(session).crash("QEMU was killed by signal 9", hint="see dmesg")
    async with asyncio.timeout(LONG_S):
        await session.wait_ended()
    assert session.state is State.FAILED
    assert session.error is not None
    assert session.error.message == "QEMU was killed by signal 9"
    assert stage.left() == []


async def test_suspend_and_resume_may_be_repeated(stage: Stage) -> None:
    session = await writing(stage)
    session.suspend()
    stage.driver.write_gate.set()
    await until(session, State.SUSPENDED)
    session.suspend()
    assert session.state is State.SUSPENDED
    await asyncio.gather(*(stage.manager.resume(session.id) for _ in range(3)))
    session.resume()
    await until(session, State.READY)
    await stage.manager.resume(session.id)
    await turns_until(lambda: "complete" in session.timings)
    assert session.state.value == "ready"
    assert len(stage.driver.specs) == 2


async def test_what_cannot_be_suspended_or_resumed_says_what_to_do(stage: Stage) -> None:
    stage.driver.gate.clear()
    session = await stage.manager.create()
    with pytest.raises(Conflict, match="creating") as caught:
        session.suspend()
    assert "wait" in caught.value.hint
    session.resume()
    assert session.state is State.CREATING
    stage.driver.gate.set()
    await until(session, State.READY)
    stage.driver.write_gate.clear()
    session.suspend()
    with pytest.raises(Conflict, match="suspending") as caught:
        session.resume()
    assert "when it is suspended" in caught.value.hint
    stage.driver.write_gate.set()
    await until(session, State.SUSPENDED)
    with pytest.raises(Conflict, match="suspended") as caught:
        session.require_ready()
    assert caught.value.hint == "resume it"
    await session.stop()
    for ask in (session.suspend, session.resume):
        with pytest.raises(Conflict, match="stopped") as caught:
            ask()
        assert "new session" in caught.value.hint
