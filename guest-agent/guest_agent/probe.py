"""The marker window (marker.py) of a guest that is being measured: a child of the agent, with an end of its own.

Whoever measures asks for it again and again; when nobody has asked for as long as was said last, it goes, so that a
probe that was killed leaves nobody with a window over their desktop.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from guest_agent.errors import DisplayError
from guest_agent.marker import MOVE, REST
from guest_agent.requests import BadParams
from guest_agent.times import now_us

__all__ = ["MAX_FLIPS", "MAX_SECONDS", "MarkerAsk", "MarkerRun"]

logger = logging.getLogger(__name__)

MAX_SECONDS = 600.0
MAX_FLIPS = 2048
"""Kept until they are asked for; the oldest are dropped. All of them fit a line of the link."""
START_S = 20.0
END_S = 2.0


@dataclass(frozen=True, slots=True)
class MarkerAsk:
    """What the link's ``marker`` asks. Zero seconds: away with it."""

    seconds: float
    moving: bool

    @classmethod
    def parse(cls, params: Mapping[str, Any]) -> Self:
        seconds, moving = params.get("seconds"), params.get("moving", False)
        if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 <= seconds <= MAX_SECONDS:
            raise BadParams(f"seconds is not between 0 and {MAX_SECONDS:g}")
        if not isinstance(moving, bool):
            raise BadParams("moving is not a boolean")
        return cls(float(seconds), moving)


class MarkerRun:
    """Args:
    display: ":1".
    """

    def __init__(self, display: str) -> None:
        self._display = display
        self._asking = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[None] | None = None
        self._where: Mapping[str, Any] = {}
        self._flips: deque[list[int]] = deque(maxlen=MAX_FLIPS)

    async def ask(self, ask: MarkerAsk) -> dict[str, Any]:
        """Start, keep or end it.

        Returns:
            ``display`` (width, height in px), ``patch`` and ``strip`` (x, y, width, height in px), ``at_us`` (the
            clock of FrameTimes now), and ``flips``: [seen_us, drawn_us] of each press since the last call. Empty when
            it was ended.

        Raises:
            DisplayError: it does not start.
        """
        async with self._asking:
            if ask.seconds == 0:
                await self._end()
                return {}
            if self._process is None or self._process.returncode is not None:
                await self._end()
                await self._start()
            self._expire_in(ask.seconds)
            self._tell(MOVE if ask.moving else REST)
            flips = list(self._flips)
            self._flips.clear()
            return {**self._where, "at_us": now_us(), "flips": flips}

    async def close(self) -> None:
        """End it. Idempotent."""
        async with self._asking:
            await self._end()
        if self._closing is not None:
            await self._closing

    async def _start(self) -> None:
        pipe = asyncio.subprocess.PIPE
        argv = (sys.executable, "-m", "guest_agent.marker", self._display)
        process = await asyncio.create_subprocess_exec(*argv, stdin=pipe, stdout=pipe)
        self._process = process
        assert process.stdout is not None
        try:
            async with asyncio.timeout(START_S):
                line = await process.stdout.readline()
            self._where = json.loads(line)
        except (TimeoutError, ValueError) as exc:
            await self._end()
            raise DisplayError("the marker window did not start", hint="the agent's log says why") from exc
        self._reading = asyncio.create_task(self._read(process.stdout), name="marker")

    async def _read(self, stdout: asyncio.StreamReader) -> None:
        while line := await stdout.readline():
            try:
                said = json.loads(line)
                self._flips.append([int(said["seen_us"]), int(said["drawn_us"])])
            except (ValueError, KeyError):
                logger.warning("! the marker said something odd")

    def _tell(self, word: bytes) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(word)

    def _expire_in(self, seconds: float) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
        self._expiry = asyncio.get_running_loop().call_later(seconds, self._expired)

    def _expired(self) -> None:
        logger.info("= nobody asks for the marker any more")
        self._closing = asyncio.create_task(self._close_expired(), name="marker-end")

    async def _close_expired(self) -> None:
        async with self._asking:
            # Somebody may have asked while this waited.
            if self._expiry is None or self._expiry.when() <= asyncio.get_running_loop().time():
                await self._end()

    async def _end(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()
            try:
                async with asyncio.timeout(END_S):
                    await process.wait()
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        reading, self._reading = self._reading, None
        if reading is not None:
            await reading
        self._flips.clear()
