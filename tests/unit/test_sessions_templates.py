"""Templates that people make of a desktop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.errors import Conflict, SnapshotError
from gateway.sessions.lifecycle import State
from gateway.sessions.session import Session
from tests.sessions import LONG_S, Stage, until


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path / "run", tmp_path / "logs")
    yield stage
    await stage.manager.close()
    assert stage.left() == []


def alone(stage: Stage, source: Session) -> None:
    """Nothing is left but the source, and nothing was changed in it."""
    assert source.state is State.READY
    assert stage.manager.list() == [source]
    assert stage.driver.disks == set(stage.store.kept_machines) == set(stage.dataplane.lans) == {source.id}
    assert stage.driver.asleep == {}
    assert [path.name for path in stage.run_root.iterdir()] == [source.id]


async def test_a_desktop_that_was_saved_starts_sessions(stage: Stage) -> None:
    source = await stage.manager.create(template="openbox")
    await until(source, State.READY)
    saved = await stage.manager.save_template(source.id, "mine")
    assert (saved.name, saved.profile, saved.vcpus, saved.memory_mib) == ("mine", "openbox", 1, 1024)
    alone(stage, source)
    assert list(stage.manager.templates) == ["xfce", "openbox", "mine"]
    session = await stage.manager.create(template="mine")
    await until(session, State.READY)
    spec = stage.vm(session).spec
    assert (spec.saved, spec.profile, spec.vcpus, spec.memory_mib) == ("mine", "openbox", 1, 1024)
    assert session.view().template == "mine"
    assert "identify" in dict(stage.vm(session).guest.calls)


async def test_a_forks_template_is_the_sources_also_when_it_was_saved(stage: Stage) -> None:
    source = await stage.ready()
    await stage.manager.save_template(source.id, "mine")
    await stage.manager.destroy(source.id)
    session = await stage.manager.create(template="mine")
    await until(session, State.READY)
    child = await stage.manager.fork(session.id)
    await until(child, State.READY)
    assert child.view().template == "mine"
    assert stage.vm(child).spec.saved == "mine"


async def test_a_name_is_given_once(stage: Stage) -> None:
    source = await stage.ready()
    stage.driver.write_gate.clear()
    saving = asyncio.create_task(stage.manager.save_template(source.id, "mine"))
    await stage.driver.writing.wait()
    for taken in ("mine", "xfce", "openbox"):
        with pytest.raises(Conflict, match=f"template {taken} already") as caught:
            await stage.manager.save_template(source.id, taken)
        assert "another name" in caught.value.hint
    stage.driver.write_gate.set()
    await saving
    with pytest.raises(Conflict, match="template mine already"):
        await stage.manager.save_template(source.id, "mine")
    assert [one.name for one in stage.driver.templates] == ["mine"]
    alone(stage, source)


async def test_a_template_that_cannot_be_saved_leaves_nothing_and_its_name_free(stage: Stage) -> None:
    source = await stage.ready()
    stage.driver.save_error = SnapshotError("its memory could not be restored")
    with pytest.raises(SnapshotError):
        await stage.manager.save_template(source.id, "mine")
    alone(stage, source)
    assert "mine" not in stage.manager.templates
    stage.driver.save_error = None
    async with asyncio.timeout(LONG_S):
        await stage.manager.save_template(source.id, "mine")
    assert "mine" in stage.manager.templates
