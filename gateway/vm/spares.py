"""Disks copied ahead of need, so that a new VM waits for a rename and not for gigabytes."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gateway.errors import DiskError
from gateway.vm.disk import Pace, copy_disk
from gateway.vm.snapshot import Snapshot

__all__ = ["DiskSource", "SpareDisks"]

logger = logging.getLogger(__name__)

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


@dataclass(frozen=True, slots=True)
class _Making:
    task: asyncio.Task[None]
    pace: Pace


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
        self._making: dict[Path, _Making] = {}
        self._closed = False

    async def take(self, image: DiskSource, target: Path) -> None:
        """Make ``target`` a copy of the image's disk. Failing or cancelled, it leaves no target. Raises DiskError."""
        await asyncio.to_thread(self._folder.mkdir, mode=0o700, parents=True, exist_ok=True)
        making = self._making.get(image.path)
        if making is not None and not making.pace.hurried:
            # Sooner there than a copy that begins now; whoever comes next finds it in a hurry, and copies.
            making.pace.hurry()
            await asyncio.wait({making.task})
        spare = self._ready.pop(image.path, None)
        if spare is not None:
            try:
                spare.rename(target)
            except OSError as exc:  # Somebody tidied up; the copy below is as good.
                logger.warning("! the spare disk %s is gone: %s", spare, exc)
            else:
                return
        await copy_disk(image.disk, target, reflink=self._reflink, cached=_boots(image))

    def refill(self, image: DiskSource) -> None:
        """Begin to make the image's spare in the background, unless it is there or being made."""
        if self._ahead and not self._closed and image.path not in self._ready and image.path not in self._making:
            pace = Pace()
            task = asyncio.create_task(self._make(image, pace), name=f"spare-{image.key}")
            self._making[image.path] = _Making(task, pace)

    async def close(self) -> None:
        """Stop making, and delete what was made. Idempotent."""
        self._closed = True
        making = [one.task for one in self._making.values()]
        for task in making:
            task.cancel()
        if making:
            await asyncio.wait(making)
        spares = list(self._ready.values())
        self._ready.clear()
        await asyncio.to_thread(_delete, spares)

    async def _make(self, image: DiskSource, pace: Pace) -> None:
        spare = self._folder / f"spare-{os.getpid()}-{image.profile}-{image.key}.raw"
        try:
            await asyncio.to_thread(_prepare, self._folder)
            await copy_disk(image.disk, spare, reflink=self._reflink, cached=_boots(image), pace=pace)
            self._ready[image.path] = spare
        except (DiskError, OSError) as exc:
            # Nobody waits for it; the next VM copies for itself, and says so if it cannot either.
            logger.warning("! no spare disk: %s", exc)
        finally:
            del self._making[image.path]


def _boots(source: DiskSource) -> bool:
    """Whether its machine reads most of the disk soon: a clone has in its RAM what it needs."""
    return not isinstance(source, Snapshot)


def _prepare(folder: Path) -> None:
    """Make the folder, and delete spares of gateways that are no more."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    names = [(entry, _NAME.fullmatch(entry.name)) for entry in folder.iterdir()]
    _delete([entry for entry, match in names if match and not Path("/proc", match[1]).exists()])


def _delete(spares: list[Path]) -> None:
    for spare in spares:
        spare.unlink(missing_ok=True)
