"""A VM's disk: a full copy of the golden one, without its holes.

Not an overlay: nothing a VM writes or the host replaces can touch another VM's disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import mmap
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
DIRECT_BYTES = 4 * 1024 * 1024
ALIGN_BYTES = 4096
"""O_DIRECT wants places, lengths and memory in multiples of the drive's blocks, which are no larger (open(2))."""
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


async def copy_disk(
    source: Path, target: Path, *, reflink: bool = False, cached: bool = True, pace: Pace | None = None
) -> None:
    """Copy ``source`` to a new file ``target``, mode 0600. Failing or cancelled, it leaves no target.

    Args:
        reflink: let the file system share blocks until either side writes them; where it cannot, copy.
        cached: leave the copy in the page cache, for who boots from it and reads most of it soon.
        pace: of a copy that nobody waits for; as fast as can be when None.

    Raises:
        DiskError: no space, or a file that cannot be read or written.
    """
    cancel = threading.Event()
    if pace is None:
        pace = Pace()
        pace.hurry()
    copying = asyncio.get_running_loop().run_in_executor(None, _copy, source, target, reflink, cached, cancel, pace)
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


def _copy(source: Path, target: Path, reflink: bool, cached: bool, cancel: threading.Event, pace: Pace) -> None:
    with source.open("rb") as src, open(target, "xb", opener=_private) as dst:
        try:
            if not (reflink and _clone(src.fileno(), dst.fileno())):
                _fill(src.fileno(), dst.fileno(), cached, cancel, pace)
            if cancel.is_set():  # The last chunk may have outrun the flag, and nobody takes the file.
                raise _Cancelled
        except BaseException:
            target.unlink()
            raise


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _fill(src: int, dst: int, cached: bool, cancel: threading.Event, pace: Pace) -> None:
    info, room = os.fstat(src), os.fstatvfs(dst)
    # Find out now, not after having filled the file system for everyone.
    if info.st_blocks * 512 > room.f_bavail * room.f_frsize:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.ftruncate(dst, info.st_size)
    with contextlib.closing(_Copier(src, dst, cached)) as copier:
        for start, end in data_extents(src, info.st_size):
            while start < end:
                if cancel.is_set():
                    raise _Cancelled
                began = time.thread_time()
                done = copier.copy(start, min(CHUNK_BYTES, end - start))
                if done == 0:
                    raise OSError(errno.EIO, "the source became shorter while it was copied")
                start += done
                pace.rest(time.thread_time() - began)


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


class _Copier:
    """Bytes of one file to the same place of another, by the cheapest way that there is.

    Unless ``cached`` that is past the page cache: pages for gigabytes that one VM may read again, and a clone hardly
    does, cost the processor more than the copying, and push out what others read.
    """

    def __init__(self, src: int, dst: int, cached: bool) -> None:
        self._src = src
        self._dst = dst
        self._direct: int | None = None
        self._memory = mmap.mmap(-1, DIRECT_BYTES)
        if not cached:
            with contextlib.suppress(OSError):  # Not every file system has it.
                self._direct = os.open(f"/proc/self/fd/{dst}", os.O_WRONLY | os.O_DIRECT | os.O_CLOEXEC)

    def copy(self, at: int, want: int) -> int:
        """At least one byte and at most ``want``; 0 when the source has none there. Raises OSError."""
        if self._direct is not None and at % ALIGN_BYTES == 0 and want >= ALIGN_BYTES:
            try:
                return self._copy_direct(self._direct, at, min(want - want % ALIGN_BYTES, DIRECT_BYTES))
            except OSError as exc:
                if exc.errno != errno.EINVAL:
                    raise
                self._close_direct()  # Larger blocks than those: each chunk would be read twice.
        try:
            return os.copy_file_range(self._src, self._dst, want, at, at)
        except OSError as exc:
            if exc.errno not in _NO_COPY_RANGE:
                raise
        return self._copy_by_hand(at, want)

    def close(self) -> None:
        self._memory.close()
        self._close_direct()

    def _close_direct(self) -> None:
        if self._direct is not None:
            os.close(self._direct)
            self._direct = None

    def _copy_direct(self, dst: int, at: int, want: int) -> int:
        with memoryview(self._memory)[:want] as part:
            got = os.preadv(self._src, [part], at)
            with part[: got - got % ALIGN_BYTES] as whole:
                return os.pwritev(dst, [whole], at)

    def _copy_by_hand(self, at: int, want: int) -> int:
        """For file systems that cannot copy between each other inside the kernel."""
        data = os.pread(self._src, min(want, 1024 * 1024), at)
        done = 0
        while done < len(data):
            done += os.pwrite(self._dst, data[done:], at + done)
        return done


def _disk_error(exc: OSError, target: Path) -> DiskError:
    if exc.errno in _NO_SPACE:
        return DiskError(f"no space for a VM's disk in {target.parent}", hint=_HINT)
    return DiskError(f"cannot make a VM's disk {target}: {exc.strerror or exc}")
