"""A second session that is the first one now, and templates made of one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import CapacityError, Conflict, DiskError, NotFound, StoreError, VmLost
from gateway.sessions.admission import Limits, Room
from gateway.sessions.lifecycle import State
from gateway.sessions.record import Lifetime
from gateway.sessions.session import Session
from tests.fakes import boot_failure
from tests.sessions import Stage, until


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path / "run", tmp_path / "logs", limits=Limits(max_sessions=2))
    yield stage
    await stage.manager.close()
    assert stage.left() == []


async def forked(stage: Stage, source: Session, **more: Any) -> Session:
    child = await stage.manager.fork(source.id, **more)
    await until(child, State.READY)
    return child


def methods(stage: Stage, session: Session) -> list[str]:
    return [method for method, _ in stage.vm(session).guest.calls]


def only(stage: Stage, source: Session) -> None:
    """Nothing is left but the source, and nothing was changed in it."""
    assert source.state is State.READY
    assert stage.manager.list() == [source]
    assert stage.driver.disks == set(stage.store.kept_machines) == set(stage.dataplane.lans) == {source.id}
    assert stage.driver.asleep == {}
    assert set(stage.store.kept_sessions) == {source.id}
    assert [path.name for path in stage.run_root.iterdir()] == [source.id]


async def test_a_fork_is_another_machine_of_the_same_template(stage: Stage) -> None:
    source = await stage.manager.create(
        template="openbox", display_px=(800, 600), lifetime=Lifetime(idle_timeout_s=60.0), metadata={"who": "me"}
    )
    await until(source, State.READY)
    child = await forked(stage, source)
    assert stage.manager.list() == [source, child]
    assert source.state is State.READY
    assert child.id != source.id
    assert (child.template, child.display_px, child.lifetime) == (source.template, (800, 600), source.lifetime)
    assert child.metadata == {"who": "me"}
    assert child.vnc_password != source.vnc_password
    ours, theirs = stage.vm(source), stage.vm(child)
    assert theirs.spec.uuid != ours.spec.uuid
    assert (theirs.spec.profile, theirs.spec.vcpus, theirs.spec.memory_mib) == ("openbox", 1, 1024)
    one, other = dict(ours.guest.calls), dict(theirs.guest.calls)
    assert other["identify"]["machine_id"] != one["identify"]["machine_id"]
    assert other["assign"]["session_id"] == child.id
    assert other["assign"]["vnc_password"] == child.vnc_password


async def test_the_copy_hears_who_it_is_before_whose(stage: Stage) -> None:
    child = await forked(stage, await stage.ready())
    told = [method for method in methods(stage, child) if method != "hello"]
    assert told == ["identify", "assign"]


async def test_the_pause_is_told_and_the_source_goes_on(stage: Stage) -> None:
    source = await stage.ready()
    machine = stage.vm(source)
    child = await forked(stage, source, metadata={"copy": "1"})
    assert source.updates.latest.durations["fork_pause"] == 0.25
    assert stage.vm(source) is machine
    assert not machine.ended
    assert methods(stage, source) == ["hello", "identify", "assign"]
    assert child.metadata == {"copy": "1"}
    assert source.metadata == {}


async def test_once_it_is_up_a_fork_is_a_session_like_any_other(stage: Stage) -> None:
    child = await forked(stage, await stage.ready())
    assert not stage.store.kept_sessions[child.id].forked
    child.suspend()
    await until(child, State.SUSPENDED)
    child.resume()
    await until(child, State.READY)
    assert "identify" not in methods(stage, child)


async def test_one_ends_without_the_other(stage: Stage) -> None:
    source = await stage.ready()
    child = await forked(stage, source)
    await stage.manager.destroy(source.id)
    assert child.state is State.READY
    grandchild = await forked(stage, child)
    await stage.manager.destroy(child.id)
    assert stage.manager.list() == [grandchild]


async def test_a_fork_that_fails_leaves_nothing(stage: Stage) -> None:
    source = await stage.ready()
    stage.driver.fork_error = DiskError("no space", hint="free some")
    with pytest.raises(DiskError, match="no space"):
        await stage.manager.fork(source.id)
    only(stage, source)
    stage.driver.fork_error = None
    await forked(stage, source)


async def test_a_fork_that_cannot_be_written_down_leaves_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = await stage.ready()
    stage.driver.write_gate.clear()
    forking = asyncio.create_task(stage.manager.fork(source.id))
    await stage.driver.writing.wait()

    async def full(record: Any) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(stage.store, "put_session", full)
    stage.driver.write_gate.set()
    with pytest.raises(StoreError):
        await forking
    monkeypatch.undo()
    only(stage, source)


async def test_a_fork_that_is_cancelled_leaves_nothing(stage: Stage) -> None:
    source = await stage.ready()
    stage.driver.write_gate.clear()
    forking = asyncio.create_task(stage.manager.fork(source.id))
    await stage.driver.writing.wait()
    forking.cancel()
    await asyncio.wait({forking})
    assert forking.cancelled()
    only(stage, source)
    stage.driver.write_gate.set()
    await forked(stage, source)


async def test_a_source_that_ends_meanwhile_takes_the_fork_with_it(stage: Stage) -> None:
    source = await stage.ready()
    stage.driver.write_gate.clear()
    forking = asyncio.create_task(stage.manager.fork(source.id))
    await stage.driver.writing.wait()
    await stage.manager.destroy(source.id)
    stage.driver.write_gate.set()
    with pytest.raises(VmLost):
        await forking
    assert stage.manager.list() == []
    assert stage.left() == []


async def test_a_copy_that_cannot_be_woken_sleeps_with_the_reason(stage: Stage) -> None:
    source = await stage.ready()
    stage.driver.start_error = boot_failure()
    child = await stage.manager.fork(source.id)
    view = await until(child, State.SUSPENDED)
    assert view.error is not None
    assert view.error.kind == "boot-failed"
    assert source.state is State.READY
    stage.driver.start_error = None
    child.resume()
    await until(child, State.READY)
    assert [method for method in methods(stage, child) if method != "hello"] == ["identify", "assign"]


async def test_one_session_is_forked_once_at_a_time_and_not_suspended_meanwhile(stage: Stage) -> None:
    source = await stage.ready()
    stage.driver.write_gate.clear()
    forking = asyncio.create_task(stage.manager.fork(source.id))
    await stage.driver.writing.wait()
    with pytest.raises(Conflict, match="being forked"):
        await stage.manager.fork(source.id)
    with pytest.raises(Conflict, match="being forked"):
        await stage.manager.save_template(source.id, "mine")
    with pytest.raises(Conflict, match="being forked"):
        source.suspend()
    assert source.state is State.READY
    stage.driver.write_gate.set()
    child = await forking
    await until(child, State.READY)
    assert set(stage.driver.disks) == {source.id, child.id}


@pytest.mark.parametrize("state", ["creating", "suspending", "suspended", "failed"])
async def test_only_what_is_ready_is_forked(stage: Stage, state: str) -> None:
    if state == "creating":
        stage.driver.gate.clear()
        source = await stage.manager.create()
    else:
        source = await stage.ready()
        stage.driver.write_gate.clear()
        if state == "failed":
            await stage.vm(source).crash()
            await source.wait_ended()
        else:
            source.suspend()
            await stage.driver.writing.wait()
    if state == "suspended":
        stage.driver.write_gate.set()
        await until(source, State.SUSPENDED)
    with pytest.raises(Conflict, match=state) as caught:
        await stage.manager.fork(source.id)
    assert caught.value.hint
    with pytest.raises(Conflict, match=state):
        await stage.manager.save_template(source.id, "mine")
    assert set(stage.store.kept_sessions) == {source.id}


async def test_without_room_nothing_is_made(stage: Stage) -> None:
    source = await stage.ready()
    stage.room = Room(memory_mib=100, disk_mib=1 << 20)
    with pytest.raises(CapacityError, match="memory"):
        await stage.manager.fork(source.id)
    with pytest.raises(CapacityError, match="memory"):
        await stage.manager.save_template(source.id, "mine")
    stage.room = Room(memory_mib=1 << 20, disk_mib=1 << 20)
    other = await stage.ready()
    with pytest.raises(CapacityError, match="limit"):
        await stage.manager.fork(source.id)
    await stage.manager.destroy(other.id)
    assert not stage.driver.writing.is_set()
    only(stage, source)
    with pytest.raises(NotFound):
        await stage.manager.fork("nosuchid")
