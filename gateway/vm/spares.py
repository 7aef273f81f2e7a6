"""Disks copied ahead of need, so that a new VM waits for a rename and not for gigabytes."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from gateway.errors import DiskError
from gateway.vm.disk import copy_disk

__all__ = ["DiskSource", "SpareDisks"]

logger = logging.getLogger(__name__)

NICE = 19
"""Of the copying thread: a VM that boots meanwhile goes first."""
_NAME = re.compile(r"spare-(\d+)-.*\.raw")


class DiskSource(Protocol):
    """A golden image or a snapshot."""

    @property
    def path(self) -> Path: ...

    @property
    def profile(self) -> str: ...

    @property
    def key(self) -> str: ...

    @property
    def disk(self) -> Path: ...


class SpareDisks:
    """At most one spare copy per source, in ``folder``.

    Args:
        ahead: False makes no spares; take() then copies.
        reflink: see copy_disk.
    """

    def __init__(self, folder: Path, *, ahead: bool, reflink: bool) -> None:
        self._folder = folder
        self._ahead = ahead
        self._reflink = reflink
        self._ready: dict[Path, Path] = {}
        """Spare by the image's directory."""
        self._making: dict[Path, asyncio.Task[None]] = {}
        self._executor: ThreadPoolExecutor | None = None
        self._closed = False

    async def take(self, image: DiskSource, target: Path) -> None:
        """Make ``target`` a copy of the image's disk. Failing or cancelled, it leaves no target. Raises DiskError."""
        await asyncio.to_thread(self._folder.mkdir, mode=0o700, parents=True, exist_ok=True)
        spare = self._ready.pop(image.path, None)
        if spare is not None:
            try:
                spare.rename(target)
            except OSError as exc:  # Somebody tidied up; the copy below is as good.
                logger.warning("! the spare disk %s is gone: %s", spare, exc)
            else:
                return
        await copy_disk(image.disk, target, reflink=self._reflink)

    def refill(self, image: DiskSource) -> None:
        """Begin to make the image's spare in the background, unless it is there or being made."""
        if self._ahead and not self._closed and image.path not in self._ready and image.path not in self._making:
            task = asyncio.create_task(self._make(image), name=f"spare-{image.key}")
            self._making[image.path] = task

    async def close(self) -> None:
        """Stop making, and delete what was made. Idempotent."""
        self._closed = True
        making = list(self._making.values())
        for task in making:
            task.cancel()
        if making:
            await asyncio.wait(making)
        spares = list(self._ready.values())
        self._ready.clear()
        await asyncio.to_thread(_delete, spares)
        if self._executor is not None:
            self._executor.shutdown(wait=True)  # Its one thread is idle by now.
            self._executor = None

    async def _make(self, image: DiskSource) -> None:
        spare = self._folder / f"spare-{os.getpid()}-{image.profile}-{image.key}.raw"
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, "spare-disk", _be_nice)
        try:
            await asyncio.to_thread(_prepare, self._folder)
            await copy_disk(image.disk, spare, reflink=self._reflink, executor=self._executor)
            self._ready[image.path] = spare
        except (DiskError, OSError) as exc:
            # Nobody waits for it; the next VM copies for itself, and says so if it cannot either.
            logger.warning("! no spare disk: %s", exc)
        finally:
            del self._making[image.path]


def _be_nice() -> None:
    # On Linux this is the thread's alone, in spite of the name.
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


def _prepare(folder: Path) -> None:
    """Make the folder, and delete spares of gateways that are no more."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    names = [(entry, _NAME.fullmatch(entry.name)) for entry in folder.iterdir()]
    _delete([entry for entry, match in names if match and not Path("/proc", match[1]).exists()])


def _delete(spares: list[Path]) -> None:
    for spare in spares:
        spare.unlink(missing_ok=True)
