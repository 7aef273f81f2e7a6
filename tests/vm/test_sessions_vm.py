"""Two sessions on real machines: one is killed, the other goes on, and in the end nothing is left."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from gateway.app import disk_dir, running
from gateway.sessions.lifecycle import State
from gateway.settings import Settings
from gateway.vm.images import GoldenImage
from gateway.vm.qemu_vm import QemuVm
from tests.leaks import footprint, left_over, namespace_of, namespace_users
from tests.vm.sessions import settings_for, until

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]


@pytest.fixture
def settings(golden_image: GoldenImage) -> Iterator[Settings]:
    with settings_for(golden_image) as settings:
        yield settings


async def test_one_killed_of_two(settings: Settings) -> None:
    await asyncio.to_thread(int)
    async with running(settings, media_port=0) as services:
        before = footprint(settings.run_dir, disk_dir(settings))
        lost, other = await services.manager.create(), await services.manager.create()
        await asyncio.gather(until(lost, State.READY), until(other, State.READY))
        assert isinstance(lost.vm, QemuVm)
        assert isinstance(other.vm, QemuVm)
        spaces = [namespace_of(session.vm.process.pid) for session in (lost, other)]  # type: ignore[attr-defined]
        assert spaces[0] != spaces[1]

        os.kill(lost.vm.process.pid, signal.SIGKILL)
        await until(lost, State.FAILED)
        assert lost.error is not None
        assert lost.error.kind == "vm-lost"
        assert "killed by signal 9" in lost.error.message
        assert lost.error.hint
        assert not lost.run_dir.exists()
        assert namespace_users(spaces[0]) == []

        assert other.state is State.READY
        done = await other.exec(["bash", "-lc", "echo $SESSION_ID"], as_user=True, timeout_s=60)
        assert done["stdout"].strip() == other.id
        print({session.id: session.timings for session in (lost, other)})

        await asyncio.gather(*(services.manager.destroy(session.id) for session in (lost, other)))
        assert namespace_users(spaces[1]) == []
        assert await left_over(before, settings.run_dir, disk_dir(settings)) == {}


async def test_a_session_stopped_while_its_guest_boots(settings: Settings) -> None:
    await asyncio.to_thread(int)
    async with running(settings.model_copy(update={"clones": False}), media_port=0) as services:
        before = footprint(settings.run_dir, disk_dir(settings))
        session = await services.manager.create()
        await until(session, State.BOOTING)
        await services.manager.destroy(session.id)
        assert session.state is State.STOPPED
        assert await left_over(before, settings.run_dir, disk_dir(settings)) == {}
