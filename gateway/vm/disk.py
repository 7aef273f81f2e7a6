"""A VM's disk: a full copy of the golden one, without its holes.

Not an overlay: nothing a VM writes or the host replaces can touch another VM's disk.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from gateway.errors import DiskError

__all__ = ["Pace", "copy_disk", "data_extents"]

CHUNK_BYTES = 16 * 1024 * 1024
"""Copied between two looks at the cancel flag."""
REST_RATIO = 1.0
"""A copy that nobody waits for rests as long as it works: half a core at most, for some seconds per gigabyte."""
MAX_REST_S = 1.0
FICLONE = 0x40049409
"""linux/fs.h"""
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_COPY_RANGE = {errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM}
_HINT = "free some space, or point the setting at a larger file system"


class _Cancelled(Exception):
    pass


class Pace:
    """Of a copy that nobody waits for yet. The processor is other VMs' meanwhile.

    It rests by itself, since a nice value says nothing to processes of another session (sched(7), autogroup), and one
    that is lowered cannot be raised again without privilege.
    """

    def __init__(self) -> None:
        self._hurry = threading.Event()

    @property
    def hurried(self) -> bool:
        return self._hurry.is_set()

    def hurry(self) -> None:
        """Somebody waits for it now. Idempotent."""
        self._hurry.set()

    def rest(self, worked_s: float) -> None:
        """Called by the copying thread after each chunk.

        Args:
            worked_s: what the chunk took of the processor.
        """
        self._hurry.wait(min(MAX_REST_S, worked_s * REST_RATIO))


async def copy_disk(source: Path, target: Path, *, reflink: bool = False, pace: Pace | None = None) -> None:
    """Copy ``source`` to a new file ``target``, mode 0600. Failing or cancelled, it leaves no target.

    Args:
        reflink: let the file system share blocks until either side writes them; where it cannot, copy.
        pace: of a copy that nobody waits for; as fast as can be when None.

    Raises:
        DiskError: no space, or a file that cannot be read or written.
    """
    cancel = threading.Event()
    if pace is None:
        pace = Pace()
        pace.hurry()
    copying = asyncio.get_running_loop().run_in_executor(None, _copy, source, target, reflink, cancel, pace)
    try:
        await asyncio.shield(copying)
    except asyncio.CancelledError:
        cancel.set()
        pace.hurry()
        await asyncio.wait({copying})
        copying.exception()
        raise
    except OSError as exc:
        raise _disk_error(exc, target) from exc


def _copy(source: Path, target: Path, reflink: bool, cancel: threading.Event, pace: Pace) -> None:
    with source.open("rb") as src, open(target, "xb", opener=_private) as dst:
        try:
            _fill(src.fileno(), dst.fileno(), reflink, cancel, pace)
            if cancel.is_set():  # The last chunk may have outrun the flag, and nobody takes the file.
                raise _Cancelled
        except BaseException:
            target.unlink()
            raise


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _fill(src: int, dst: int, reflink: bool, cancel: threading.Event, pace: Pace) -> None:
    if reflink and _clone(src, dst):
        return
    info, room = os.fstat(src), os.fstatvfs(dst)
    # Find out now, not after having filled the file system for everyone.
    if info.st_blocks * 512 > room.f_bavail * room.f_frsize:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.ftruncate(dst, info.st_size)
    for start, end in data_extents(src, info.st_size):
        _copy_range(src, dst, start, end, cancel, pace)


def _clone(src: int, dst: int) -> bool:
    try:
        fcntl.ioctl(dst, FICLONE, src)
    except OSError as exc:
        if exc.errno in _NO_SPACE:
            raise
        return False
    return True


def data_extents(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """The file's data, as (start, end) in bytes, without its holes (lseek(2))."""
    at = 0
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as exc:
            if exc.errno == errno.ENXIO:  # Only a hole is left.
                return
            raise
        at = os.lseek(fd, start, os.SEEK_HOLE)
        yield start, at


def _copy_range(src: int, dst: int, start: int, end: int, cancel: threading.Event, pace: Pace) -> None:
    at = start
    while at < end:
        if cancel.is_set():
            raise _Cancelled
        want, began = min(CHUNK_BYTES, end - at), time.thread_time()
        try:
            done = os.copy_file_range(src, dst, want, at, at)
        except OSError as exc:
            if exc.errno not in _NO_COPY_RANGE:
                raise
            done = _copy_by_hand(src, dst, at, want)
        if done == 0:
            raise OSError(errno.EIO, "the source became shorter while it was copied")
        at += done
        pace.rest(time.thread_time() - began)


def _copy_by_hand(src: int, dst: int, at: int, want: int) -> int:
    """For file systems that cannot copy between each other inside the kernel."""
    data = os.pread(src, min(want, 1024 * 1024), at)
    done = 0
    while done < len(data):
        done += os.pwrite(dst, data[done:], at + done)
    return done


def _disk_error(exc: OSError, target: Path) -> DiskError:
    if exc.errno in _NO_SPACE:
        return DiskError(f"no space for a VM's disk in {target.parent}", hint=_HINT)
    return DiskError(f"cannot make a VM's disk {target}: {exc.strerror or exc}")
