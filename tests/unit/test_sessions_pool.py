"""The warm pool on doubles: what is parked is taken, refilled, dropped when it dies, and drained."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.errors import VmBootFailed
from gateway.sessions import pool
from gateway.sessions.admission import Room
from gateway.sessions.lifecycle import State
from tests.fakes import FakeVm
from tests.sessions import Stage, turns_until, until


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path / "run", tmp_path / "logs", pool_size=2)
    yield stage
    await stage.manager.close()
    assert stage.left() == []


def parked_vms(stage: Stage) -> list[FakeVm]:
    return [vm for vm in stage.driver.vms.values() if vm.paused and not vm.stops]


async def test_what_is_parked_has_an_identity_and_stands_still(stage: Stage) -> None:
    stage.manager.pool.start()
    await stage.parked(2)
    first, second = parked_vms(stage)
    for vm in (first, second):
        assert set(dict(vm.guest.calls)) == {"hello", "identify", "warm"}
    assert dict(first.guest.calls)["identify"] != dict(second.guest.calls)["identify"]
    assert stage.manager.list() == []


async def test_a_session_takes_the_one_longest_parked_and_the_pool_is_refilled(stage: Stage) -> None:
    stage.manager.pool.start()
    await stage.parked(2)
    oldest = next(iter(stage.driver.vms.values()))

    session = await stage.ready()

    assert session.id == oldest.id
    assert not oldest.paused
    calls = dict(oldest.guest.calls)
    assert calls["assign"]["session_id"] == session.id
    assert [name for name, _ in oldest.guest.calls].count("identify") == 1
    assert {"resume", "assign", "ready"} <= set(session.timings)
    assert not {"disk", "spawn"} & set(session.timings)
    await stage.parked(2)
    assert len(stage.driver.vms) == 3
    assert stage.manager.pool.counters["pool_hits"] == 1


async def test_the_sessions_own_display_is_assigned(stage: Stage) -> None:
    stage.manager.pool.start()
    await stage.parked(2)
    session = await stage.manager.create(display_px=(800, 600))
    await until(session, State.READY)
    assert dict(stage.vm(session).guest.calls)["assign"]["display"] == [800, 600]


async def test_an_empty_pool_and_another_template_are_misses(stage: Stage) -> None:
    await stage.ready()
    stage.manager.pool.start()
    await stage.parked(2)
    other = await stage.manager.create(template="openbox")
    await until(other, State.READY)
    assert "spawn" in other.timings
    assert stage.manager.pool.parked == 2
    assert stage.manager.pool.counters["pool_misses"] == 2


async def test_one_that_dies_parked_is_replaced(stage: Stage) -> None:
    stage.manager.pool.start()
    await stage.parked(2)
    dead, alive = parked_vms(stage)
    await dead.crash()
    await stage.parked(1)
    await stage.parked(2)
    session = await stage.ready()
    assert session.id == alive.id
    assert stage.manager.pool.counters["pool_lost"] == 1
    assert dead.stops == 1


async def test_one_that_dies_on_the_hit_fails_its_session_with_the_reason(stage: Stage) -> None:
    stage.manager.pool.start()
    await stage.parked(2)
    vm = next(iter(stage.driver.vms.values()))
    session = await stage.manager.create()
    await vm.crash()
    await until(session, State.FAILED)
    assert session.error is not None
    assert "signal 9" in session.error.message


async def test_nothing_is_parked_while_a_session_starts(stage: Stage) -> None:
    stage.driver.gate.clear()
    session = await stage.manager.create()
    await stage.driver.starting.wait()
    stage.manager.pool.start()
    for _ in range(100):
        await asyncio.sleep(0)
    assert [spec.id for spec in stage.driver.specs] == [session.id]
    stage.driver.gate.set()
    await until(session, State.READY)
    await stage.parked(2)


async def test_a_machine_that_cannot_be_parked_is_tried_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "RETRY_S", (0.0, 0.0))
    stage.driver.start_error = VmBootFailed("no")
    stage.manager.pool.start()
    await turns_until(lambda: stage.manager.pool.counters["pool_failures"] == 3)
    stage.driver.start_error = None
    await stage.parked(2)


async def test_closing_drains_it_also_while_one_is_being_made(stage: Stage) -> None:
    stage.manager.pool.start()
    await stage.parked(2)
    await stage.ready()
    stage.driver.gate.clear()
    stage.driver.starting.clear()
    await stage.driver.starting.wait()
    await stage.manager.close()
    assert stage.left() == []


async def test_size_zero_makes_nothing(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "run", tmp_path / "logs")
    stage.manager.pool.start()
    session = await stage.ready()
    assert list(stage.driver.vms) == [session.id]
    assert set(stage.manager.pool.counters.values()) == {0}
    await stage.manager.close()


async def test_nothing_is_parked_where_there_is_no_room(stage: Stage) -> None:
    stage.room = Room(memory_mib=100, disk_mib=1 << 20)
    stage.manager.pool.start()
    await turns_until(lambda: stage.manager.pool.counters["pool_failures"] > 0)
    assert stage.manager.pool.parked == 0
    assert stage.driver.specs == []
