"""The guest's serial console: a bounded file for a person, and the few lines that mean something to us.

QEMU offers the console on a socket and the gateway writes the file, so that a guest which floods its console can
fill neither the disk nor anybody's memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

__all__ = ["ConsoleScanner", "KernelAlive", "Panic", "SerialLog", "UserspaceAlive"]

logger = logging.getLogger(__name__)

READ_BYTES = 16 * 1024
MAX_LINE_BYTES = 1024
TAIL_LINES = 20

_ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-_]|[\x00-\x08\x0b-\x1f\x7f]")
_KERNEL_LINE = re.compile(r"^\[ *\d+\.\d+\] ")
_USERSPACE = re.compile(r"systemd\[1\]:|Attempted to kill init")
_PANIC = re.compile(r"Kernel panic - not syncing: (.*)")


@dataclass(frozen=True, slots=True)
class KernelAlive:
    """The kernel proper has printed a line (its decompressor and the firmware do not count)."""


@dataclass(frozen=True, slots=True)
class UserspaceAlive:
    """A process of the initrd has printed a line."""


@dataclass(frozen=True, slots=True)
class Panic:
    """The kernel gave up."""

    text: str


class ConsoleScanner:
    """Console bytes to events. Pure. ``tail`` keeps the last lines for an error message."""

    def __init__(self) -> None:
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._rest = b""
        self._kernel = False
        self._init = False
        self._userspace = False

    def feed(self, data: bytes) -> list[KernelAlive | UserspaceAlive | Panic]:
        """Events of the lines that ``data`` completes, in order."""
        events: list[KernelAlive | UserspaceAlive | Panic] = []
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[-MAX_LINE_BYTES:]
        for raw in lines:
            line = _ESCAPES.sub(b"", raw[:MAX_LINE_BYTES]).decode("utf-8", "replace").strip()
            if line:
                self.tail.append(line)
                events += self._line(line)
        return events

    def _line(self, line: str) -> list[KernelAlive | UserspaceAlive | Panic]:
        from_kernel = _KERNEL_LINE.match(line) is not None
        events: list[KernelAlive | UserspaceAlive | Panic] = []
        if from_kernel and not self._kernel:
            self._kernel = True
            events.append(KernelAlive())
        if from_kernel and "as init process" in line:
            self._init = True
        elif self._init and not self._userspace and (not from_kernel or _USERSPACE.search(line)):
            self._userspace = True
            events.append(UserspaceAlive())
        if found := _PANIC.search(line):
            events.append(Panic(found[1]))
        return events


class SerialLog:
    """Copies a console stream to ``path`` and watches it.

    Args:
        path: the log; when it is full it becomes ``path`+ ".1"`` and the older one is forgotten.
        max_bytes: of each of the two files.
        on_event: called in the loop for each event of the scanner.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        path: Path,
        *,
        max_bytes: int = 256 * 1024,
        on_event: Callable[[KernelAlive | UserspaceAlive | Panic], None] = lambda event: None,
    ) -> None:
        self.scanner = ConsoleScanner()
        self.panic: str | None = None
        self._reader = reader
        self._writer = writer
        self._path = path
        self._max_bytes = max_bytes
        self._on_event = on_event
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._copy(), name=f"serial-{self._path.parent.name}")

    async def drained(self) -> None:
        """Return when QEMU has closed its end and everything is written."""
        if self._task is not None:
            await asyncio.wait({self._task})

    async def close(self) -> None:
        """Stop. Idempotent; the file stays."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def _copy(self) -> None:
        file: BinaryIO = await asyncio.to_thread(self._path.open, "ab")
        size = 0
        try:
            # Reading waits for writing, so a flood slows its guest down and not the gateway.
            while data := await self._reader.read(READ_BYTES):
                for event in self.scanner.feed(data):
                    if isinstance(event, Panic) and self.panic is None:
                        self.panic = event.text
                    self._on_event(event)
                if size + len(data) > self._max_bytes:
                    file = await asyncio.to_thread(self._turn_over, file)
                    size = 0
                await asyncio.to_thread(_append, file, data)
                size += len(data)
        except OSError as exc:
            logger.warning("! the serial log %s ends here: %s", self._path, exc)
        finally:
            file.close()

    def _turn_over(self, file: BinaryIO) -> BinaryIO:
        file.close()
        os.replace(self._path, f"{self._path}.1")
        return self._path.open("ab")


def _append(file: BinaryIO, data: bytes) -> None:
    file.write(data)
    file.flush()
