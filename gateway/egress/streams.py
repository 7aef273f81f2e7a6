"""Ends of connections: closing them in bounded time, and copying between two without a queue."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

__all__ = ["READ_BYTES", "End", "copy_both", "end_all"]

READ_BYTES = 64 * 1024
HALF_OPEN_S = 60.0
"""How long a connection may be silent once one side has ended its half."""
MAX_IGNORED_BYTES = 1 << 20

Meter = Callable[[int], Awaitable[None]]
"""Told of bytes before they are passed on; returns when they may be. Raises EgressLimited."""


@dataclass(slots=True)
class End:
    """A connected stream. Its reader holds 64 KiB at most, and so does its writer after drain()."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def abort(self) -> None:
        """Close it at once; what was not sent yet is lost."""
        self.writer.transport.abort()

    async def close(self, linger_s: float) -> None:
        """Send what is left, and close; never later than ``linger_s``."""
        self.writer.close()
        try:
            async with asyncio.timeout(linger_s):
                await self.writer.wait_closed()
        except (TimeoutError, OSError, ssl.SSLError):
            self.abort()

    async def say_last(self, data: bytes, linger_s: float) -> None:
        """Send it, and close once the other side has it.

        A socket that is closed with unread bytes is reset, and the other side may lose what it was told (RFC 9112
        9.6): what still comes is read and ignored for a while.
        """
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(linger_s):
                self.writer.write(data)
                await self.writer.drain()
                self.writer.write_eof()
                ignored = 0
                while ignored < MAX_IGNORED_BYTES and (more := await self.reader.read(READ_BYTES)):
                    ignored += len(more)
        await self.close(linger_s)


async def copy_both(one: End, other: End, up: Meter, down: Meter, idle_s: float) -> None:
    """Pass bytes both ways until both have ended, one breaks, or nothing has moved for ``idle_s``.

    Args:
        up: meters what comes from ``one``.
        down: meters what comes from ``other``.

    Raises:
        EgressLimited: a meter's.
    """
    patience_s = idle_s
    loop = asyncio.get_running_loop()

    async def copy(source: End, sink: End, meter: Meter) -> None:
        nonlocal patience_s
        while data := await source.reader.read(READ_BYTES):
            deadline.reschedule(loop.time() + patience_s)
            await meter(len(data))
            sink.writer.write(data)
            await sink.writer.drain()
        patience_s = min(patience_s, HALF_OPEN_S)
        deadline.reschedule(loop.time() + patience_s)
        # TLS has no half-closed connections; there the silence that follows ends it.
        if sink.writer.can_write_eof():
            sink.writer.write_eof()

    tasks: set[asyncio.Task[None]] = set()
    with contextlib.suppress(TimeoutError, OSError):
        try:
            async with asyncio.timeout(idle_s) as deadline:
                tasks = {asyncio.create_task(copy(one, other, up)), asyncio.create_task(copy(other, one, down))}
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
                for task in done:
                    task.result()
        finally:
            await end_all(tasks)


async def end_all(tasks: set[asyncio.Task[None]]) -> None:
    """Cancel them and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
