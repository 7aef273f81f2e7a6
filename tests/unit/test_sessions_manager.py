"""The registry: limits before anything is spawned, finding, ending."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.errors import BadRequest, CapacityError, NotFound
from gateway.sessions.lifecycle import State
from gateway.sessions.manager import Limits, Room
from tests.sessions import Stage, until


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path / "run", tmp_path / "logs", limits=Limits(max_sessions=2, max_failed=2))
    yield stage
    await stage.manager.close()
    assert stage.left() == []


async def test_ids_are_short_lower_case_and_listed_in_order(stage: Stage) -> None:
    first, second = (
        await stage.manager.create(),
        await stage.manager.create(template="openbox", display_px=(800, 600)),
    )
    assert [session.id for session in stage.manager.list()] == [first.id, second.id]
    assert len(first.id) == 8
    assert first.id.isalnum()
    assert first.id == first.id.lower()
    assert stage.manager.get(second.id) is second
    await until(second, State.READY)
    spec = next(spec for spec in stage.driver.specs if spec.id == second.id)
    assert (spec.profile, spec.vcpus, spec.memory_mib, spec.display_px) == ("openbox", 1, 1024, (800, 600))


async def test_the_limit_holds_also_for_creates_at_once(stage: Stage) -> None:
    results = await asyncio.gather(*(stage.manager.create() for _ in range(4)), return_exceptions=True)
    refused = [result for result in results if isinstance(result, CapacityError)]
    assert len(refused) == 2
    assert "max_sessions" in refused[0].hint
    assert stage.manager.live() == 2


async def test_a_place_is_free_again_after_an_end_of_any_kind(stage: Stage) -> None:
    first, second = await stage.ready(), await stage.ready()
    await stage.manager.destroy(first.id)
    third = await stage.ready()
    await stage.vm(second).crash()
    await second.wait_ended()
    fourth = await stage.ready()
    assert {session.state for session in (third, fourth)} == {State.READY}


@pytest.mark.parametrize(
    ("room", "word"),
    [(Room(memory_mib=2500, disk_mib=99999), "memory"), (Room(memory_mib=99999, disk_mib=4095), "disk")],
)
async def test_a_host_without_room_refuses_before_anything_is_spawned(stage: Stage, room: Room, word: str) -> None:
    stage.room = room
    with pytest.raises(CapacityError, match=word) as caught:
        await stage.manager.create()
    assert caught.value.hint
    assert stage.manager.list() == []
    assert stage.driver.specs == []


async def test_memory_promised_to_a_booting_guest_is_not_promised_twice(stage: Stage) -> None:
    stage.room = Room(memory_mib=2048 + 2048 + 512, disk_mib=99999)
    stage.driver.gate.clear()
    await stage.manager.create()
    await stage.manager.create()
    stage.room = Room(memory_mib=2048 + 2048 + 511, disk_mib=99999)
    await stage.manager.destroy(stage.manager.list()[0].id)
    with pytest.raises(CapacityError, match="memory"):
        await stage.manager.create()


async def test_an_unknown_template_names_the_known_ones(stage: Stage) -> None:
    with pytest.raises(BadRequest) as caught:
        await stage.manager.create(template="gnome")
    assert "xfce, openbox" in caught.value.hint


async def test_destroy_is_idempotent_but_knows_what_never_was(stage: Stage) -> None:
    session = await stage.ready()
    await asyncio.gather(stage.manager.destroy(session.id), stage.manager.destroy(session.id))
    await stage.manager.destroy(session.id)
    with pytest.raises(NotFound):
        stage.manager.get(session.id)
    with pytest.raises(NotFound):
        await stage.manager.destroy("nosuchid")


async def test_a_failed_session_stays_to_be_looked_at_until_it_is_destroyed(stage: Stage) -> None:
    session = await stage.ready()
    await stage.vm(session).crash()
    await session.wait_ended()
    assert stage.manager.get(session.id).state is State.FAILED
    await stage.manager.destroy(session.id)
    assert stage.manager.list() == []


async def test_failed_sessions_are_forgotten_oldest_first(stage: Stage) -> None:
    ids = []
    for _ in range(4):
        session = await stage.ready()
        ids.append(session.id)
        await stage.vm(session).crash()
        await session.wait_ended()
    await stage.ready()
    assert [session.id for session in stage.manager.list() if session.state is State.FAILED] == ids[2:]


async def test_one_machines_end_does_not_disturb_another_session(stage: Stage) -> None:
    lost, other = await stage.ready(), await stage.ready()
    before = other.view()
    await stage.vm(lost).crash()
    await lost.wait_ended()
    assert other.view() == before
    assert (await other.exec(["true"]))["code"] == 0


async def test_close_ends_every_session_and_accepts_no_more(stage: Stage) -> None:
    first = await stage.ready()
    stage.driver.gate.clear()
    second = await stage.manager.create()
    await stage.manager.close()
    assert {first.state, second.state} == {State.STOPPED}
    assert stage.left() == []
    with pytest.raises(CapacityError, match="shutting down"):
        await stage.manager.create()
    await stage.manager.close()
