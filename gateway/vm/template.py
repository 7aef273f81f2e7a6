"""Making a snapshot: boot once with the RAM in a file, wait until the desktop is up and quiet, freeze it.

Nothing in the machine has an identity then: the agent is not forked yet, and Chromium, whose programs draw secret
numbers when they start, has been started once (so that its files are in memory) and ended, its profile deleted.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from gateway.errors import LinkError, SnapshotError, VmBootFailed, VmError
from gateway.vm.argv import Memory, boot_memory_mib
from gateway.vm.disk import copy_disk
from gateway.vm.driver import Lan, VmSpec
from gateway.vm.images import GoldenImage
from gateway.vm.launch import Host, Launcher, Ram
from gateway.vm.migration import save
from gateway.vm.qemu_vm import QemuVm
from gateway.vm.snapshot import DISK, RAM, STATE, Snapshot, seal, sweep

__all__ = ["freeze", "make_ram", "make_snapshot"]

logger = logging.getLogger(__name__)

HELLO_S = 120.0
DESKTOP_S = 180.0
QUIET_S = 180.0
QUIET_SHARE = 0.08
"""Of all processors, at most this busy over a look counts as quiet."""
LOOK_S = 2
QUIET_LOOKS = 3
"""In a row."""

_WINDOWS = """
for id in $(xprop -root _NET_CLIENT_LIST | grep -o '0x[0-9a-f]*'); do xprop -id "$id" WM_CLASS; done
"""
_CHROMIUM = "fenster-chromium.service"
_FORGET = f"""
systemctl stop {_CHROMIUM}
rm -rf /home/user/.config/chromium /home/user/.cache/chromium /home/user/.pki
sync
"""
_BUSY = f"head -n 1 /proc/stat; sleep {LOOK_S}; head -n 1 /proc/stat"


async def make_snapshot(
    launcher: Launcher,
    spec: VmSpec,
    lan: Lan,
    image: GoldenImage,
    host: Host,
    target: Path,
    key: str,
    progress: Callable[[str], None],
) -> Snapshot:
    """Boot, wait, freeze, and put the files at ``target``. Failing or cancelled, it leaves nothing there.

    Args:
        spec: the machine; clones will have its size.
        progress: told what is being done, in a few words.

    Raises:
        SnapshotError: it could not be made, and why.
    """
    work = target.with_name(f"{target.name}.new-{os.getpid()}")
    try:
        work.mkdir(mode=0o755, parents=True)
        progress("copying the disk")
        await copy_disk(image.disk, work / DISK)
        await asyncio.to_thread(make_ram, work / RAM, spec)
        progress("booting")
        vm = await launcher.launch(spec, lan, image, host, work / DISK, Ram(Memory.TEMPLATE, work / RAM))
        try:
            await _settle(vm, spec.browser, progress)
            progress("freezing")
            await freeze(vm, work / STATE)
        finally:
            await vm.stop()
        progress("checking sums")
        snapshot = await asyncio.to_thread(
            partial(seal, work, target, spec, key=key, image=image.key, tsc_khz=host.tsc_khz)
        )
        await asyncio.to_thread(sweep, target.parent, image.profile, image.key)
        return snapshot
    except (VmError, LinkError, OSError) as exc:
        raise SnapshotError(f"no snapshot could be made: {exc}", hint="sessions boot cold without one") from exc
    finally:
        await asyncio.to_thread(shutil.rmtree, work, ignore_errors=True)


async def freeze(vm: QemuVm, state: Path) -> None:
    """Stop a machine whose RAM is a file, and write what else it is made of. Raises VmError, OSError."""
    fd = os.open(state, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        await save(vm.qmp, fd, with_ram=False)
    finally:
        os.close(fd)


def make_ram(path: Path, spec: VmSpec) -> None:
    """A file of holes for the guest's RAM. Raises OSError."""
    with path.open("xb") as stream:
        os.fchmod(stream.fileno(), 0o600)
        stream.truncate(boot_memory_mib(spec.memory_mib) << 20)


async def _settle(vm: QemuVm, browser: str, progress: Callable[[str], None]) -> None:
    """Until everything that a clone should find running runs, and does nothing."""
    await vm.link.hello(HELLO_S)
    progress("waiting for the desktop")
    await _windows(vm, "xfce4-terminal")
    await _run(vm, ["systemctl", "start", "--no-block", _CHROMIUM])
    await _windows(vm, "xfce4-terminal", "chromium")
    progress("waiting until it is quiet")
    await _quiet(vm, progress)
    if browser != "warm":
        await _run(vm, ["sh", "-c", _FORGET])
        await _quiet(vm, progress)


async def _windows(vm: QemuVm, *wanted: str) -> None:
    try:
        async with asyncio.timeout(DESKTOP_S):
            while True:
                told = await _run(vm, ["sh", "-c", _WINDOWS], as_user=True)
                if all(name in str(told["stdout"]).lower() for name in wanted):
                    return
                await asyncio.sleep(1)
    except TimeoutError as exc:
        raise VmBootFailed(f"not all of {', '.join(wanted)} had a window after {DESKTOP_S:g} s") from exc


async def _quiet(vm: QemuVm, progress: Callable[[str], None]) -> None:
    quiet = 0
    try:
        async with asyncio.timeout(QUIET_S):
            while quiet < QUIET_LOOKS:
                told = await _run(vm, ["sh", "-c", _BUSY])
                quiet = quiet + 1 if busy_share(str(told["stdout"])) <= QUIET_SHARE else 0
    except TimeoutError:
        # Its clones will be as busy, which is no reason to have none.
        progress(f"it was never quiet in {QUIET_S:g} s; going on")


def busy_share(text: str) -> float:
    """Share of all processors' time that was not idle between two "cpu" lines of /proc/stat (proc(5))."""
    before, after = ([int(word) for word in line.split()[1:]] for line in text.splitlines()[:2])
    spent = [then - now for now, then in zip(before, after, strict=True)]
    idle = spent[3] + spent[4]
    return 1 - idle / max(1, sum(spent))


async def _run(vm: QemuVm, argv: list[str], *, as_user: bool = False) -> Mapping[str, Any]:
    params = {"argv": argv, "timeout_s": 60, "as_user": as_user, "stdin": ""}
    return await vm.link.call("exec", params, timeout_s=70.0)
