"""Rare orders of events around forks and templates: what none of them may lose or leave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import CapacityError, DiskError
from gateway.sessions.admission import Limits
from gateway.sessions.lifecycle import State
from gateway.sessions.record import SessionRecord, Template
from gateway.vm.driver import VmSpec
from tests.sessions import Stage, until


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path / "run", tmp_path / "logs")
    yield stage
    await stage.manager.close()


async def test_b8_forks_at_once_do_not_both_take_the_last_place(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "run", tmp_path / "logs", limits=Limits(max_sessions=3))
    first, second = await stage.ready(), await stage.ready()
    results = await asyncio.gather(
        stage.manager.fork(first.id), stage.manager.fork(second.id), return_exceptions=True
    )
    try:
        assert sum(isinstance(one, CapacityError) for one in results) == 1
        assert stage.manager.live() == 3
    finally:
        await stage.manager.close()
    assert stage.left() == []


async def test_b8b_a_fork_holds_its_place_while_it_is_written(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "run", tmp_path / "logs", limits=Limits(max_sessions=2))
    source = await stage.ready()
    stage.driver.write_gate.clear()
    forking = asyncio.create_task(stage.manager.fork(source.id))
    await stage.driver.writing.wait()
    try:
        with pytest.raises(CapacityError):
            await stage.manager.create()
    finally:
        stage.driver.write_gate.set()
        await forking
        await stage.manager.close()
    # And gives it back when it fails.
    stage = Stage(tmp_path / "run", tmp_path / "logs", limits=Limits(max_sessions=2))
    source = await stage.ready()
    stage.driver.fork_error = DiskError("no space")
    with pytest.raises(DiskError):
        await stage.manager.fork(source.id)
    await stage.ready()
    await stage.manager.close()
    assert stage.left() == []


async def test_b9_a_gateway_that_closes_has_no_fork_left(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    source = await stage.ready()
    fork = stage.driver.fork
    sealed, go_on = asyncio.Event(), asyncio.Event()

    async def slow(vm: Any, spec: VmSpec, child: VmSpec) -> float:
        pause_s = await fork(vm, spec, child)
        sealed.set()
        await go_on.wait()  # As while the copy's digest is made.
        return pause_s

    monkeypatch.setattr(stage.driver, "fork", slow)
    forking = asyncio.create_task(stage.manager.fork(source.id))
    await sealed.wait()
    closing = asyncio.create_task(stage.manager.close())
    for _ in range(20):
        await asyncio.sleep(0)
    go_on.set()
    await closing
    await asyncio.wait({forking})
    try:
        assert forking.exception() is not None
        assert stage.manager.list() == []
        assert stage.left() == []
    finally:
        await stage.manager.close()


async def test_b18_a_fork_that_is_ended_while_it_is_written_down_stays_ended(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = await stage.ready()
    put = stage.store.put_session
    putting, go_on = asyncio.Event(), asyncio.Event()

    async def slow(record: SessionRecord) -> None:
        if record.id != source.id and record.state == "creating":
            putting.set()
            await go_on.wait()
        await put(record)

    monkeypatch.setattr(stage.store, "put_session", slow)
    forking = asyncio.create_task(stage.manager.fork(source.id))
    await putting.wait()
    (child,) = [one for one in stage.manager.list() if one is not source]
    await stage.manager.destroy(child.id)
    go_on.set()
    await asyncio.wait({forking})
    for _ in range(20):
        await asyncio.sleep(0)
    assert child.state is State.STOPPED
    await stage.manager.close()
    assert stage.left() == []


async def test_b43_a_fork_can_be_given_no_metadata(stage: Stage) -> None:
    source = await stage.manager.create(metadata={"who": "me"})
    await until(source, State.READY)
    child = await stage.manager.fork(source.id, metadata={})
    assert child.metadata == {}


async def test_b15_a_template_of_a_warm_desktop_is_started_as_one(stage: Stage) -> None:
    stage.manager._templates = {"xfce": Template("xfce", "xfce", 2, 2048, "warm")}
    source = await stage.ready()
    await stage.manager.save_template(source.id, "mine")
    assert stage.manager.templates["mine"].browser == "warm"
