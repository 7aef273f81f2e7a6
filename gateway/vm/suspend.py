"""A machine's whole state on disk: suspending it, forking it, and going on from either.

A clone's RAM is a private view of its snapshot's file, so unlike a snapshot these hold the RAM itself, as one stream
of pages and device state.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os

from gateway.errors import DiskError, SnapshotError, VmError
from gateway.vm.files import MachineFiles
from gateway.vm.migration import go_on, save, save_running
from gateway.vm.migration import load as read
from gateway.vm.mirror import disk_bytes, mirrored
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
            await read(vm.qmp, fd, with_ram=True)
        finally:
            os.close(fd)
    except (OSError, VmError) as exc:
        raise SnapshotError(f"its memory could not be restored: {exc}") from exc


async def fork(vm: QemuVm, child: MachineFiles, key: str, image: str, tsc_khz: int | None) -> float:
    """Write a second machine that is this one now, and let this one go on. Failing, it leaves nothing of the second.

    RAM and disk are written while it runs; it stands still for the last of both.

    Returns:
        For how long it stood still, in s.

    Raises:
        VmError: and the machine runs as before.
    """
    try:
        with contextlib.ExitStack() as ours:
            disk = os.open(child.disk, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            ours.callback(os.close, disk)
            os.ftruncate(disk, await disk_bytes(vm.qmp))
            stream = await asyncio.to_thread(child.open_stream)
            ours.callback(os.close, stream)
            async with mirrored(vm.qmp, disk) as cut:
                pause_s = await save_running(vm.qmp, stream, cut)
        await asyncio.to_thread(child.seal, key, image, tsc_khz)
        return pause_s
    except BaseException as exc:
        await _let_go_on(vm, child)
        await asyncio.to_thread(child.remove)
        if isinstance(exc, OSError):
            raise DiskError(f"cannot write {child.disk}: {exc.strerror}") from exc
        raise


async def _write(vm: QemuVm, files: MachineFiles) -> None:
    fd = await asyncio.to_thread(files.open_stream)
    try:
        await save(vm.qmp, fd, with_ram=True)
    finally:
        os.close(fd)


async def _let_go_on(vm: QemuVm, files: MachineFiles) -> None:
    """After a failure. The files first: a machine that runs has outlived them."""
    await asyncio.to_thread(files.use_up)
    if vm.process.returncode is None:
        try:
            await go_on(vm.qmp)
        except VmError as exc:
            logger.error("! the machine %s does not go on: %s", vm.id, exc)
