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
    # In a session of its own: what a command leaves in its group ends with it.
    await sh(session, f"echo kept > ~/kept; setsid -f bash -c 'exec -a {MARKER} sleep 9999' >/dev/null 2>&1")
    return await sh(session, f"until pgrep -f ^{MARKER}; do sleep 0.1; done")


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


async def test_a_desktop_sleeps_divides_and_becomes_a_template(gateway: Services) -> None:
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
    assert await sh(session, "cat ~/kept /proc/sys/kernel/random/boot_id /etc/machine-id") == f"kept\n{boot}"
    assert await runs(session, pid)
    asked = time.time()
    assert asked - 1.0 < float(await sh(session, "date +%s.%N")) < time.time() + 1.0
    print(
        f"\nprivate memory: {before} MiB before, none asleep, {private_mib(session)} MiB awake; {session.durations}"
    )

    child = await gateway.manager.fork(session.id)
    await sh(session, "echo later > ~/later")
    await child.wait_ready()
    assert await runs(session, pid)
    assert await runs(child, pid)
    assert await sh(child, "cat ~/kept; ls ~/later 2>/dev/null || echo no later") == "kept\nno later"
    assert await sh(child, ". /etc/environment; echo $SESSION_ID") == child.id
    print(f"the source stood still for {session.durations['fork_pause']} s; the fork: {child.durations}")

    saved = await gateway.manager.save_template(child.id, "prepared")
    third = await ready(gateway, saved.name)
    assert (await gateway.facts()).counters["clones"] == 2
    assert await runs(third, pid)
    assert await sh(third, "cat ~/kept; . /etc/environment; echo $SESSION_ID") == f"kept\n{third.id}"
    print(f"a session of the saved desktop: {third.timings}")

    every = (session, child, third)
    for what in ("cat /etc/machine-id", "cat /proc/sys/kernel/random/uuid", "head -c 16 /dev/urandom | od -An -tx1"):
        assert len({await sh(one, what) for one in every}) == 3, what
    assert len({one.vnc_password for one in every}) == 3


@pytest.mark.slow
async def test_a_sleeper_whose_memory_is_of_no_use_starts_anew_from_its_disk(
    gateway: Services, golden_image: GoldenImage
) -> None:
    session = await ready(gateway)
    pid = await leave_traces(session)
    machine_id = await sh(session, "sync; cat /etc/machine-id")
    await asleep(session)
    # Made with another QEMU, as far as anybody can tell. What else is refused: tests/unit/test_vm_files.py.
    files = MachineFiles(golden_image.path.parents[1] / "disks", session.id)
    told = json.loads(files.record.read_text())
    told["suspended"]["key"] = "0" * 16
    files.record.write_text(json.dumps(told))

    await gateway.manager.resume(session.id)
    await until(session, State.READY)

    assert "anew from its disk" in session.notice
    assert await sh(session, "cat ~/kept /etc/machine-id") == f"kept\n{machine_id}"
    assert not await runs(session, pid)


@pytest.mark.slow
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
