"""Machines that do not come back as they were: their memory fits no more, their guest is mute or reboots."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import CapacityError, ImageError
from gateway.sessions.admission import Room
from gateway.sessions.lifecycle import State
from gateway.sessions.session import Session
from tests.fakes import FakeGuest, GuestRefusal, boot_failure, silent_guest
from tests.sessions import LONG_S, Stage, turns_until, until, watch
from tests.unit.test_signaling_whep import OFFER, REACH

Guests = Callable[[], FakeGuest]


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path / "run", tmp_path / "logs")
    yield stage
    await stage.manager.close()
    assert stage.left() == []


def calls(stage: Stage, session: Session) -> dict[str, Any]:
    return dict(stage.vm(session).guest.calls)


async def test_memory_that_fits_no_more_is_given_up_for_the_disk(stage: Stage) -> None:
    session = await stage.asleep()
    before, machine = calls(stage, session), stage.vm(session).spec
    stage.driver.asleep[session.id] = False
    watching = asyncio.create_task(watch(session))
    await asyncio.sleep(0)
    session.resume()
    view = await until(session, State.READY)
    assert "started anew from its disk" in view.notice
    assert "another QEMU" in view.notice
    assert view.error is None
    after = calls(stage, session)
    assert after["identify"]["machine_id"] == before["identify"]["machine_id"]
    assert after["identify"]["entropy"] != before["identify"]["entropy"]
    assert after["assign"]["vnc_password"] == session.vnc_password
    assert stage.vm(session).spec == machine
    await session.stop()
    states = ["suspended", "resuming", "booting", "assigning", "ready", "stopping", "stopped"]
    assert await watching == states


def refusing() -> FakeGuest:
    def refuse(params: Any) -> dict[str, Any]:
        raise GuestRefusal(-32603, "not myself")

    return FakeGuest(handlers={"hello": refuse})


@pytest.mark.parametrize("restored", [silent_guest, refusing])
async def test_a_machine_that_wakes_mute_is_booted_from_its_disk(stage: Stage, restored: Guests) -> None:
    stage = replace(stage, timeouts=replace(stage.timeouts, hello_s=1.0))
    session = await stage.asleep()
    guests = iter([restored, FakeGuest])
    stage.driver.guest = lambda: next(guests)()
    session.resume()
    view = await until(session, State.READY)
    assert "no sign of life" in view.notice
    assert set(calls(stage, session)) == {"hello", "identify", "assign"}
    await session.stop()
    assert stage.left() == []


async def test_a_resume_that_fails_otherwise_loses_nothing(stage: Stage) -> None:
    session = await stage.asleep()
    stage.driver.start_error = boot_failure()
    session.resume()
    await until(session, State.RESUMING)
    view = await until(session, State.SUSPENDED)
    assert view.error is not None
    assert (view.error.kind, view.error.message) == ("boot-failed", "QEMU ended at once")
    assert stage.driver.asleep == {session.id: True}
    assert stage.dataplane.lans == {}
    assert not session.run_dir.exists()
    stage.driver.start_error = None
    session.resume()
    assert session.error is None
    view = await until(session, State.READY)
    assert view.error is None


async def test_a_host_that_lost_its_image_loses_no_session_that_sleeps(stage: Stage) -> None:
    session = await stage.asleep()
    stage.driver.check_error = ImageError("there is no golden image", hint="fenster build")
    session.resume()
    await until(session, State.RESUMING)
    view = await until(session, State.SUSPENDED)
    assert view.error is not None
    assert view.error.hint == "fenster build"
    stage.driver.check_error = None
    session.resume()
    await until(session, State.READY)


async def test_a_stop_while_the_woken_guest_is_asked_leaves_nothing(stage: Stage) -> None:
    session = await stage.asleep()
    guest = silent_guest()
    stage.driver.guest = lambda: guest
    session.resume()
    await turns_until(lambda: bool(guest.calls))
    assert session.state is State.RESUMING
    await session.stop()
    assert stage.left() == []


async def test_a_guest_that_reboots_comes_back_on_the_same_disk(stage: Stage) -> None:
    session = await stage.ready()
    before, machine = calls(stage, session), stage.vm(session)
    await stage.whep.offer(session, OFFER, "control", REACH)
    watching = asyncio.create_task(watch(session))
    await asyncio.sleep(0)
    await machine.reboot()
    await until(session, State.BOOTING)
    view = await until(session, State.READY)
    assert view.error is None
    assert stage.vm(session) is not machine
    assert stage.vm(session).spec == machine.spec
    assert stage.driver.disks == {session.id}
    assert stage.whep.peers(session.id) == []
    assert stage.dataplane.admitted == {}
    after = calls(stage, session)
    assert after["identify"]["machine_id"] == before["identify"]["machine_id"]
    assert after["assign"]["vnc_password"] == before["assign"]["vnc_password"]
    await session.stop()
    assert await watching == ["ready", "booting", "assigning", "ready", "stopping", "stopped"]


async def test_a_guest_that_reboots_and_does_not_come_up_fails(stage: Stage) -> None:
    session = await stage.ready()
    stage.driver.start_error = boot_failure()
    await stage.vm(session).reboot()
    async with asyncio.timeout(LONG_S):
        await session.wait_ended()
    assert session.error is not None
    assert session.error.kind == "boot-failed"
    assert stage.left() == []


async def test_a_wake_that_has_no_room_leaves_it_asleep(stage: Stage) -> None:
    session = await stage.asleep()
    stage.room = Room(memory_mib=2559, disk_mib=1 << 20)
    with pytest.raises(CapacityError, match="memory"):
        await stage.manager.resume(session.id)
    assert session.state is State.SUSPENDED
    stage.room = Room(memory_mib=2560, disk_mib=1 << 20)
    await stage.manager.resume(session.id)
    await until(session, State.READY)
