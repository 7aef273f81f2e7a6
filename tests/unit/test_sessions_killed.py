"""The gateway is killed in the middle of something, and the next one finds half of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import NotFound
from gateway.sessions.lifecycle import State
from tests.sessions import Stage, recovered, until


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path / "run", tmp_path / "logs")
    yield stage
    await stage.manager.close()


async def test_one_that_started_fails_and_leaves_nothing(stage: Stage) -> None:
    stage.driver.gate.clear()
    before = await stage.manager.create()
    await stage.driver.starting.wait()
    following = await stage.killed()
    assert following.left() != []
    async with recovered(following) as stage:
        (session,) = stage.manager.list()
        assert (session.id, session.state) == (before.id, State.FAILED)
        assert session.error is not None
        assert session.error.message == "the gateway was killed while the session started"
        assert session.error.hint
        assert stage.left() == []


async def test_one_whose_machine_was_not_even_begun_fails_too(stage: Stage) -> None:
    before = await stage.manager.create()
    following = await stage.killed()
    assert (following.driver.disks, following.store.kept_machines) == (set(), {})
    async with recovered(following) as stage:
        (session,) = stage.manager.list()
        assert (session.id, session.state) == (before.id, State.FAILED)


@pytest.mark.parametrize("runs", [True, False])
async def test_an_end_that_was_begun_is_finished(stage: Stage, monkeypatch: pytest.MonkeyPatch, runs: bool) -> None:
    ending, go_on = asyncio.Event(), asyncio.Event()
    # What is let go of first, and last.
    owner, name = (stage.whep, "forget") if runs else (stage.driver, "discard")
    let_go = getattr(owner, name)

    async def slow(what: Any) -> None:
        ending.set()
        await go_on.wait()
        await let_go(what)

    monkeypatch.setattr(owner, name, slow)
    before = await stage.ready()
    destroying = asyncio.create_task(stage.manager.destroy(before.id))
    await ending.wait()
    go_on.set()
    following = await stage.killed()
    await destroying
    assert bool(following.driver.vms) == runs
    assert following.store.kept_sessions[before.id].state == "stopping"
    async with recovered(following) as stage:
        assert stage.manager.list() == []
        assert (stage.left(), stage.store.kept_sessions) == ([], {})
        await stage.manager.destroy(before.id)
        with pytest.raises(NotFound):
            await stage.manager.destroy("nosuchid")


async def test_one_that_was_being_written_goes_on(stage: Stage) -> None:
    before = await stage.ready()
    stage.driver.write_gate.clear()
    before.suspend()
    await stage.driver.writing.wait()
    async with recovered(await stage.killed()) as stage:
        assert [one.state for one in stage.manager.list()] == [State.READY]


async def test_one_that_was_written_but_not_yet_ended_sleeps(stage: Stage) -> None:
    before = await stage.ready()
    following = await stage.killed()
    following.driver.asleep[before.id] = True
    async with recovered(following) as stage:
        (session,) = stage.manager.list()
        assert session.state is State.SUSPENDED
        assert stage.driver.vms[before.id].ended
        assert list(stage.run_root.iterdir()) == []
        await stage.manager.resume(session.id)
        await until(session, State.READY)


async def test_a_fork_that_was_written_sleeps_and_wakes_as_itself(stage: Stage) -> None:
    source = await stage.ready()
    child = await stage.manager.fork(source.id)
    assert child.state is State.RESUMING
    async with recovered(await stage.killed()) as stage:
        up, copy = stage.manager.list()
        assert (up.state, copy.id, copy.state) == (State.READY, child.id, State.SUSPENDED)
        await stage.manager.resume(copy.id)
        await until(copy, State.READY)
        assert (
            dict(stage.vm(copy).guest.calls)["identify"]["machine_id"]
            == stage.store.kept_sessions[copy.id].machine_id
        )


async def test_a_fork_that_ran_as_its_source_fails(stage: Stage) -> None:
    source = await stage.ready()
    record = stage.store.kept_sessions[source.id]
    following = await stage.killed()
    following.store.kept_sessions[source.id] = record.model_copy(update={"forked": True})
    async with recovered(following) as stage:
        assert [one.state for one in stage.manager.list()] == [State.FAILED]
        assert stage.left() == []


async def test_a_fork_that_no_session_has_yet_is_cleared_away(stage: Stage) -> None:
    source = await stage.ready()
    stage.driver.write_gate.clear()
    forking = asyncio.create_task(stage.manager.fork(source.id))
    await stage.driver.writing.wait()
    forking.cancel()
    following = await stage.killed()
    assert forking.cancelled()
    assert len(following.store.kept_machines) == 2
    async with recovered(following) as stage:
        assert [one.id for one in stage.manager.list()] == [source.id]
        assert set(stage.store.kept_machines) == stage.driver.disks == {source.id}


async def test_parked_machines_are_cleared_away(stage: Stage) -> None:
    stage = replace(stage, pool_size=2)
    stage.manager.pool.start()
    await stage.parked(2)
    following = await stage.killed()
    assert len(following.driver.vms) == len(list(following.run_root.iterdir())) == 2
    async with recovered(following) as stage:
        assert stage.manager.list() == []
        assert stage.left() == []
