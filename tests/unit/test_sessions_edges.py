"""Rare orders of events around sessions, their store and their files: what none of them may lose or leave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import DiskError, ImageError, StoreError
from gateway.sessions.admission import Limits
from gateway.sessions.lifecycle import State
from gateway.sessions.record import Lifetime, MachineRecord, SessionRecord, Template
from gateway.sessions.store import Store, machine_uuids
from gateway.vm.files import MachineFiles
from gateway.vm.library import Library
from gateway.vm.snapshot import MANIFEST
from tests.fakes import FakeGuest
from tests.sessions import Stage, turns_until, until, watch
from tests.unit.test_vm_library import made, write


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path / "run", tmp_path / "logs")
    yield stage
    await stage.manager.close()


async def test_b1_a_file_that_was_moved_away_can_be_replaced_at_once(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    path.write_bytes(b"no database. " * 1000)
    with pytest.raises(StoreError):
        await Store.open(path)
    path.unlink()
    await (await Store.open(path)).close()


async def test_b2_a_machine_that_is_killed_while_it_is_written_was_lost(stage: Stage) -> None:
    session = await stage.ready()
    stage.driver.write_gate.clear()
    session.suspend()
    await stage.driver.writing.wait()
    await stage.vm(session).crash()
    await session.wait_ended()
    assert session.error is not None
    assert session.error.kind == "vm-lost"


async def test_b3_a_suspend_that_fails_is_asked_again_only_after_another_idle_time(stage: Stage) -> None:
    session = await stage.manager.create(lifetime=Lifetime(idle_timeout_s=1000.0))
    await until(session, State.READY)
    stage.driver.suspend_error = DiskError("no space")
    due = session.busy_at + 1000
    stage.manager.reaper.look(due)
    await until(session, State.SUSPENDING)
    await until(session, State.READY)
    stage.manager.reaper.look(due + 5)
    assert session.state is State.READY
    stage.manager.reaper.look(due + 1000)
    assert session.state.value == "suspending"


async def test_b4_one_that_was_being_woken_sleeps_on_and_can_be_woken(stage: Stage) -> None:
    before = await stage.asleep()
    stage.driver.gate.clear()
    stage.driver.starting.clear()
    before.resume()
    await stage.driver.starting.wait()
    following = await stage.killed()
    await following.manager.recover()
    (session,) = following.manager.list()
    assert session.state is State.SUSPENDED
    await following.manager.resume(session.id)
    await turns_until(lambda: session.state.value in ("ready", "suspended"))
    try:
        assert session.state.value == "ready", session.error
    finally:
        await following.manager.close()
    assert following.left() == []


@pytest.mark.parametrize("peers", [[7], [None], ["p1"], [["peer", "p1"]]])
async def test_b5_a_guest_that_talks_nonsense_keeps_no_gateway_from_starting(stage: Stage, peers: Any) -> None:
    before, _ = await stage.ready(), await stage.ready()
    stage.vm(before).guest.handlers["hello"] = lambda params: {
        **stage.vm(before).guest.hello_result(), "peers": peers}  # fmt: skip
    following = await stage.killed()
    await following.manager.recover()
    assert [one.state for one in following.manager.list()] == [State.READY] * 2
    await following.manager.close()


async def test_b6_a_host_that_lost_its_image_goes_on_with_what_runs(stage: Stage) -> None:
    await stage.ready()
    following = await stage.killed()
    following.driver.check_error = ImageError("there is no golden image", hint="fenster build")
    await following.manager.recover()
    (session,) = following.manager.list()
    for _ in range(3):
        assert (await session.exec(["true"]))["code"] == 0
    assert session.state is State.READY
    await following.manager.close()


async def test_b7_one_that_was_just_taken_over_can_be_suspended(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.ready()
    following = await stage.killed()
    looked, check = asyncio.Event(), following.driver.check

    async def slow() -> Any:
        await looked.wait()
        return await check()

    monkeypatch.setattr(following.driver, "check", slow)
    following = replace(following)
    following.driver.write_gate.clear()
    await following.manager.recover()
    (session,) = following.manager.list()
    session.suspend()
    looked.set()
    for _ in range(3):
        await session.exec(["true"])
    following.driver.write_gate.set()
    await until(session, State.SUSPENDED)
    await following.manager.close()


@pytest.mark.parametrize("when", ["suspend", "reboot"])
async def test_b10_a_stop_while_a_machine_is_let_go_leaves_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    session = await stage.ready()
    lan = stage.dataplane.lans[session.id]
    close = lan.close
    closing, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        closing.set()
        await go_on.wait()
        await close()

    monkeypatch.setattr(lan, "close", slow)
    if when == "suspend":
        session.suspend()
    else:
        await stage.vm(session).reboot()
    await closing.wait()
    stopping = asyncio.create_task(session.stop())
    await turns_until(lambda: session.state is State.STOPPING)
    await asyncio.sleep(0)
    go_on.set()
    await stopping
    assert lan.closed
    assert stage.left() == []


async def test_b11_a_stop_while_a_guest_answers_is_no_mistake(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    holding = asyncio.Event()

    async def hello(params: Any) -> Any:
        await holding.wait()
        return guest.hello_result()

    guest = FakeGuest(ignore_hellos=0, handlers={"hello": hello})
    stage.driver.guest = lambda: guest
    session = await stage.manager.create()
    await until(session, State.BOOTING)
    put = stage.store.put_session

    async def slow(record: SessionRecord) -> None:
        if record.state == "stopping":
            holding.set()
            for _ in range(200):
                await asyncio.sleep(0)
        await put(record)

    monkeypatch.setattr(stage.store, "put_session", slow)
    await session.stop()
    assert session.state is State.STOPPED
    assert "task failed" not in caplog.text


@pytest.mark.parametrize("name", ["a?b", "a#b", "a%20b", "a b"])
async def test_b12_uuids_are_read_whatever_the_directory_is_called(tmp_path: Path, name: str) -> None:
    path = tmp_path / name / "sessions.db"
    store = await Store.open(path)
    await store.put_machine(MachineRecord(id="aaaaaaaa", uuid="u-1", template=Template("x", "x", 1, 1)))
    assert machine_uuids(path) == ["u-1"]
    await store.close()


def test_b13_half_a_record_is_removed_too(tmp_path: Path) -> None:
    files = MachineFiles(tmp_path, "aaaaaaaa")
    files.claim("image")
    files.record.with_suffix(".json.new").write_text("{")  # The gateway was killed while it wrote.
    files.remove()
    assert list(tmp_path.iterdir()) == []


def test_b14_a_manifest_without_its_memory_hides_no_other(tmp_path: Path) -> None:
    library = Library(tmp_path / "templates")
    made(library, "whole")
    write(made(library, "broken") / MANIFEST, b'{"profile": "x", "vcpus": 1, "image": "i"}')
    write(made(library, "worse") / MANIFEST, b'{"profile": "x", "vcpus": "two", "memory_mib": 1, "image": "i"}')
    assert [one.name for one in library.list()] == ["whole"]


async def test_b16_a_key_that_cannot_be_kept_keeps_no_session(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(key: str, sid: str, asked: str) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(stage.store, "put_key", full)
    with pytest.raises(StoreError):
        await stage.manager.create_once("once", "digest", stage.manager.create)
    assert stage.manager.list() == []


async def test_b19_a_suspend_that_cannot_be_written_down_loses_nothing(stage: Stage) -> None:
    session = await stage.ready()
    stage.store.error = StoreError("the disk is full")
    session.suspend()
    await turns_until(lambda: session.state.value in ("suspended", "failed"))
    stage.store.error = None
    assert session.state is State.SUSPENDED, session.error
    stage.store.error = StoreError("the disk is full")
    session.resume()
    await turns_until(lambda: session.state.value in ("ready", "failed"))
    for _ in range(20):
        await asyncio.sleep(0)
    stage.store.error = None
    assert session.state.value == "ready", session.error


async def test_b22_an_old_failure_that_cannot_be_forgotten_keeps_no_new_session_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(tmp_path / "run", tmp_path / "logs", limits=Limits(max_failed=1))
    for _ in range(2):
        session = await stage.ready()
        await stage.vm(session).crash()
        await session.wait_ended()

    async def full(sid: str) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(stage.store, "drop_session", full)
    try:
        await stage.ready()
    finally:
        monkeypatch.undo()
        await stage.manager.close()
    assert stage.left() == []


async def test_b36_who_watches_a_failed_session_is_let_go_when_the_gateway_leaves(stage: Stage) -> None:
    session = await stage.ready()
    await stage.vm(session).crash()
    await session.wait_ended()
    watching = asyncio.create_task(watch(session))
    await asyncio.sleep(0)
    await stage.manager.leave()
    done, _ = await asyncio.wait({watching}, timeout=0.2)
    watching.cancel()
    assert done


async def test_b41_one_that_had_just_been_woken_is_told_the_time(stage: Stage) -> None:
    session = await stage.asleep()

    async def hang(params: Any) -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    guest = FakeGuest(handlers={"assign": hang})
    stage.driver.guest = lambda: guest
    session.resume()
    await turns_until(lambda: "assign" in dict(guest.calls))
    following = await stage.killed()
    guest.calls.clear()
    guest.handlers["assign"] = guest._assign
    await following.manager.recover()
    (again,) = following.manager.list()
    assert again.state is State.READY
    assert "assign" in dict(guest.calls)
    await following.manager.close()
