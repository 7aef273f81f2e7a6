"""Sessions that sleep, divide, and become templates, in real VMs; and what is refused of what they leave on disk."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.app import disk_dir, running
from gateway.routes.services import Services
from gateway.sessions.lifecycle import State
from gateway.sessions.session import Session
from gateway.vm.files import MachineFiles
from gateway.vm.images import GoldenImage
from gateway.vm.qemu_vm import QemuVm
from tests.leaks import footprint, grown
from tests.vm.sessions import settings_for, until

pytestmark = pytest.mark.timeout(400)

MARKER = "fenster-marker-in-the-running-shell"


@pytest.fixture
async def gateway(golden_image: GoldenImage) -> AsyncIterator[Services]:
    with settings_for(golden_image) as settings:
        before = footprint(settings.run_dir, disk_dir(settings))
        async with running(settings, media_port=0) as services:
            yield services
        after = footprint(settings.run_dir, disk_dir(settings))
        assert {kind: grown(before, after).get(kind) for kind in ("processes", "files")} == {
            "processes": None,
            "files": None,
        }


async def ready(gateway: Services, template: str | None = None) -> Session:
    session = await gateway.manager.create(template=template)
    await session.wait_ready()
    return session


async def sh(session: Session, script: str) -> str:
    """What a script prints, run by the desktop's user."""
    ran = await session.exec(["sh", "-c", script], as_user=True)
    assert ran["code"] == 0, ran
    return str(ran["stdout"]).strip()


async def leave_traces(session: Session) -> str:
    """A file, and a process that is known by its name; gives the process's id."""
    return await sh(
        session, f"echo kept > ~/kept; nohup sh -c 'exec -a {MARKER} sleep 9999' >/dev/null 2>&1 & echo $!"
    )


async def runs(session: Session, pid: str) -> bool:
    told = await session.exec(["cat", f"/proc/{pid}/cmdline"])
    return MARKER in str(told["stdout"])


async def asleep(session: Session) -> None:
    session.suspend()
    await until(session, State.SUSPENDED)


def private_mib(session: Session) -> int:
    """Memory that is the machine's alone (proc_pid_smaps(5))."""
    assert isinstance(session.vm, QemuVm)
    lines = Path(f"/proc/{session.vm.process.pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) // 1024


async def test_a_sleeper_wakes_as_it_was_and_takes_no_memory_meanwhile(gateway: Services) -> None:
    idle = footprint()["processes"]
    session = await ready(gateway)
    pid = await leave_traces(session)
    boot = await sh(session, "cat /proc/sys/kernel/random/boot_id /etc/machine-id")
    before = private_mib(session)
    await asleep(session)
    assert footprint()["processes"] == idle
    assert gateway.manager.live() == 0

    await gateway.manager.resume(session.id)
    await until(session, State.READY)
    assert session.notice == ""
    assert await sh(session, "cat ~/kept") == "kept"
    assert await sh(session, "cat /proc/sys/kernel/random/boot_id /etc/machine-id") == boot
    assert await runs(session, pid)
    asked = time.time()
    assert asked - 1.0 < float(await sh(session, "date +%s.%N")) < time.time() + 1.0
    print(f"\nprivate memory: {before} MiB before, 0 asleep, {private_mib(session)} MiB awake; {session.durations}")
    # It sleeps as well as the first time.
    await asleep(session)
    await gateway.manager.resume(session.id)
    await until(session, State.READY)
    assert await runs(session, pid)


@pytest.mark.parametrize("harm", ["another QEMU", "a changed byte", "a missing end"])
async def test_a_sleeper_whose_memory_is_of_no_use_starts_anew_from_its_disk(
    gateway: Services, golden_image: GoldenImage, harm: str
) -> None:
    session = await ready(gateway)
    pid = await leave_traces(session)
    machine_id = await sh(session, "sync; cat /etc/machine-id")
    await asleep(session)
    files = MachineFiles(golden_image.path.parent.parent / "disks", session.id)
    match harm:
        case "another QEMU":
            told = json.loads(files.record.read_text())
            told["suspended"]["key"] = "0" * 16
            files.record.write_text(json.dumps(told))
        case "a changed byte":
            with files.stream.open("r+b") as stream:
                stream.seek(files.stream.stat().st_size // 2)
                byte = stream.read(1)
                stream.seek(-1, 1)
                stream.write(bytes([byte[0] ^ 1]))
        case _:
            with files.stream.open("r+b") as stream:
                stream.truncate(files.stream.stat().st_size - 4096)

    await gateway.manager.resume(session.id)
    await until(session, State.READY)

    assert "anew from its disk" in session.notice
    assert await sh(session, "cat ~/kept") == "kept"
    assert not await runs(session, pid)
    assert await sh(session, "cat /etc/machine-id") == machine_id


async def test_a_fork_is_another_machine_with_the_same_programs(gateway: Services) -> None:
    session = await ready(gateway)
    pid = await leave_traces(session)
    child = await gateway.manager.fork(session.id)
    await sh(session, "echo later > ~/later")
    await child.wait_ready()

    assert await runs(session, pid)
    assert await runs(child, pid)
    assert await sh(child, "cat ~/kept; ls ~/later 2>/dev/null || echo no later") == "kept\nno later"
    assert await sh(child, ". /etc/environment; echo $SESSION_ID") == child.id
    ids = [await sh(one, "cat /etc/machine-id") for one in (session, child)]
    assert len(set(ids)) == 2
    assert session.vnc_password != child.vnc_password
    draws = [await sh(one, "head -c 16 /dev/urandom | od -An -tx1") for one in (session, child)]
    assert len(set(draws)) == 2
    print(f"\nthe source stood still for {session.durations['fork_pause']} s; the fork: {child.durations}")


async def test_a_saved_desktop_starts_others(gateway: Services) -> None:
    session = await ready(gateway)
    pid = await leave_traces(session)
    saved = await gateway.manager.save_template(session.id, "prepared")
    assert saved.name in gateway.manager.templates

    first, second = await ready(gateway, "prepared"), await ready(gateway, "prepared")

    facts = await gateway.facts()
    assert facts.counters["clones"] == 3
    for one in (first, second):
        assert await sh(one, "cat ~/kept") == "kept"
        assert await runs(one, pid)
        assert await sh(one, ". /etc/environment; echo $SESSION_ID") == one.id
    assert len({await sh(one, "cat /etc/machine-id") for one in (session, first, second)}) == 3
    print(f"\na session of a saved desktop: {first.timings}")


async def test_a_guests_reboot_keeps_the_session(gateway: Services) -> None:
    session = await ready(gateway)
    pid = await leave_traces(session)
    await sh(session, "sync")
    await session.exec(["systemd-run", "--on-active=1", "systemctl", "reboot"])
    await until(session, State.BOOTING)
    await until(session, State.READY)
    assert await sh(session, "cat ~/kept") == "kept"
    assert not await runs(session, pid)
    assert await sh(session, ". /etc/environment; echo $SESSION_ID") == session.id
