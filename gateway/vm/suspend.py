"""A machine's whole state on disk: suspending it, forking it, and going on from either.

A clone's RAM is a private view of its snapshot's file, so unlike a snapshot these hold the RAM itself, as one stream
of pages and device state.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time

from gateway.errors import DiskError, SnapshotError, VmError
from gateway.vm.disk import copy_disk
from gateway.vm.files import MachineFiles
from gateway.vm.qemu_vm import QemuVm

__all__ = ["fork", "load", "suspend"]

logger = logging.getLogger(__name__)


async def suspend(vm: QemuVm, files: MachineFiles, key: str, image: str, tsc_khz: int | None) -> None:
    """Write the machine beside its disk, then end it. Failing or cancelled, it lets the machine go on.

    Args:
        files: its own.
        key: of everything that the machine it goes on in must have in common with this one.
        image: key of the golden image that its disk was made from.

    Raises:
        VmError: and the machine runs as before.
    """
    try:
        await _write(vm, files)
        # While the machine is still there: whoever finds both later knows that the files are good.
        await asyncio.to_thread(files.seal, key, image, tsc_khz)
    except BaseException:
        await _let_go_on(vm, files)
        raise
    await vm.stop()


async def load(vm: QemuVm, files: MachineFiles) -> None:
    """Read the stream into a machine that waits for it (Launcher.launch with ``incoming``). Raises SnapshotError."""
    try:
        fd = await asyncio.to_thread(os.open, files.stream, os.O_RDONLY | os.O_CLOEXEC)
        try:
            await vm.qmp.load(fd, with_ram=True)
        finally:
            os.close(fd)
    except (OSError, VmError) as exc:
        raise SnapshotError(f"its memory could not be restored: {exc}") from exc


async def fork(
    vm: QemuVm, source: MachineFiles, child: MachineFiles, key: str, image: str, tsc_khz: int | None
) -> float:
    """Write a second machine that is this one now, and let this one go on. Failing, it leaves nothing of the second.

    Its RAM is written while it stands still; its disk is copied as it was then while it runs again
    (QEMU docs/interop/live-block-operations.rst).

    Returns:
        For how long it stood still, in s.

    Raises:
        VmError: and the machine runs as before.
    """
    began = time.monotonic()
    try:
        await _write(vm, child)
        try:
            await vm.qmp.activate()
        except VmError:
            # Before version 10 QEMU takes its disk back only by going on: copy it while nobody writes.
            await copy_disk(source.disk, child.disk)
            await vm.qmp.resume()
            pause_s = time.monotonic() - began
        else:
            pause_s = await _copy_behind(vm, child, began)
        await asyncio.to_thread(child.seal, key, image, tsc_khz)
        return pause_s
    except BaseException as exc:
        await _let_go_on(vm, child)
        await asyncio.to_thread(child.remove)
        if isinstance(exc, OSError):
            raise DiskError(f"cannot write {child.disk}: {exc.strerror}") from exc
        raise


async def _copy_behind(vm: QemuVm, child: MachineFiles, began: float) -> float:
    """Let the machine go on and copy its disk as it is now behind its back; for how long it stood still."""
    disk = os.open(child.disk, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(disk, await vm.qmp.disk_bytes())
        async with vm.qmp.backup(disk):
            await vm.qmp.resume()
            pause_s = time.monotonic() - began
    finally:
        os.close(disk)
    return pause_s


async def _write(vm: QemuVm, files: MachineFiles) -> None:
    fd = await asyncio.to_thread(files.open_stream)
    try:
        await vm.qmp.save(fd, with_ram=True)
    finally:
        os.close(fd)


async def _let_go_on(vm: QemuVm, files: MachineFiles) -> None:
    """After a failure. The files first: a machine that runs has outlived them."""
    await asyncio.to_thread(files.use_up)
    if vm.process.returncode is None:
        try:
            await vm.qmp.go_on()
        except VmError as exc:
            logger.error("! the machine %s does not go on: %s", vm.id, exc)
