"""A screen for the media thread without an X server, and the watching of what becomes of it.

The media thread is the real one (pump.py); in place of the X connection stands an array that a test paints. Each
painting carries its number in its first rows, so that whoever decodes it knows how old it is and how it should look.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from dataclasses import dataclass

import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from numpy.typing import NDArray

from guest_agent.rects import Rect

__all__ = [
    "HEIGHT_PX",
    "WIDTH_PX",
    "PaintedScreen",
    "Painting",
    "Seen",
    "Watch",
    "paint",
    "paint_page",
    "painted_screen",
]

WIDTH_PX, HEIGHT_PX = 400, 240
_BITS = 16
_BLOCK_PX = 16
_OVERREAD_ROWS = 1


def _page() -> NDArray[np.uint8]:
    """Something like dense text, dark on light, twice as high as the screen."""
    rng = np.random.default_rng(5)
    page = np.full((2 * HEIGHT_PX, WIDTH_PX), 235, np.uint8)
    for top in range(0, 2 * HEIGHT_PX - 12, 14):
        for left in range(8, WIDTH_PX - 12, 8):
            if rng.random() < 0.5:
                glyph = rng.random((9, 6)) < 0.3
                page[top : top + 9, left : left + 6][glyph] = 20
    return page


_PAGE = _page()


def paint_page(number: int, step_px: int) -> NDArray[np.uint8]:
    """Painting ``number`` in grey: the page, scrolled by ``step_px`` each time, and by more than can be foreseen."""
    grey = np.roll(_PAGE, -number * step_px - number * number * 31, axis=0)[:HEIGHT_PX].copy()
    for bit in range(_BITS):
        grey[:_BLOCK_PX, bit * _BLOCK_PX : (bit + 1) * _BLOCK_PX] = 255 if number >> bit & 1 else 0
    return grey


class PaintedScreen:
    """What pump.py takes from capture.Screen."""

    def __init__(self, display: str) -> None:
        self.width_px, self.height_px = WIDTH_PX, HEIGHT_PX
        self._pixels = np.zeros((HEIGHT_PX + _OVERREAD_ROWS, WIDTH_PX, 4), np.uint8)
        self._lock = threading.Lock()
        self._damaged = False
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        _screens.append(self)

    def paint(self, image: NDArray[np.uint8]) -> None:
        """From any thread. Grey, or BGRX."""
        with self._lock:
            self._pixels[:HEIGHT_PX] = image if image.ndim == 3 else image[..., None]
            self._damaged = True
            if self._fd >= 0:
                os.eventfd_write(self._fd, 1)

    def fileno(self) -> int:
        return self._fd

    def watch(self, on: bool) -> None:
        with self._lock:
            self._damaged = on

    def poll(self) -> tuple[bool, bool]:
        with self._lock:
            if self._damaged:
                return True, False
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._fd)
            return False, False

    def damage(self) -> list[Rect]:
        with self._lock:
            damaged, self._damaged = self._damaged, False
        return [Rect(0, 0, WIDTH_PX, HEIGHT_PX)] if damaged else []

    def grab(self, rect: Rect) -> NDArray[np.uint8]:
        with self._lock:
            copy = self._pixels.copy()
        return copy[rect.y : rect.y + rect.height, rect.x : rect.x + rect.width]

    def close(self) -> None:
        with self._lock:
            os.close(self._fd)
            self._fd = -1


_screens: list[PaintedScreen] = []


def painted_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the media thread reads a PaintedScreen."""
    _screens.clear()
    monkeypatch.setattr("guest_agent.pump.Screen", PaintedScreen)


async def paint(image: NDArray[np.uint8]) -> None:
    """Once the media thread has its screen."""
    async with asyncio.timeout(10):
        while not _screens:  # noqa: ASYNC110 - nothing to wait on
            await asyncio.sleep(0.01)
    _screens[-1].paint(image)


class Painting:
    """Paints ``fps`` times a second while it runs, and remembers when."""

    def __init__(self, fps: int = 20, step_px: int = 97) -> None:
        self.painted_at: list[float] = []
        self._step_px = step_px
        self._every_s = 1 / fps
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name="painter")

    def _run(self) -> None:
        while not self._ends.wait(self._every_s):
            if _screens:
                grey = paint_page(len(self.painted_at), self._step_px)
                self.painted_at.append(time.monotonic())
                _screens[-1].paint(grey)

    def psnr_db(self, number: int, luma: NDArray[np.uint8]) -> float:
        """How like painting ``number`` a decoded picture is, in its luma."""
        wanted = 16 + paint_page(number, self._step_px) * (219 / 255)
        error = float(np.mean((wanted - luma) ** 2))
        return float(10 * np.log10(255**2 / max(error, 1e-3)))

    async def __aenter__(self) -> Painting:
        self._thread.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._ends.set()
        await asyncio.to_thread(self._thread.join)


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture that was decoded."""

    at: float
    number: int
    age_s: float
    psnr_db: float


class Watch:
    """What one viewer sees, until its track ends."""

    def __init__(self, track: MediaStreamTrack, painting: Painting) -> None:
        self.seen: list[Seen] = []
        self._painting = painting
        self._task = asyncio.create_task(self._run(track))

    async def _run(self, track: MediaStreamTrack) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            luma = frame.to_ndarray(format="yuv420p")[:HEIGHT_PX]  # type: ignore[union-attr]
            middle = luma[_BLOCK_PX // 2, _BLOCK_PX // 2 : _BITS * _BLOCK_PX : _BLOCK_PX]
            number = sum(int(level > 128) << bit for bit, level in enumerate(middle))
            if number < len(self._painting.painted_at):
                now = time.monotonic()
                age_s = now - self._painting.painted_at[number]
                self.seen.append(Seen(now, number, age_s, self._painting.psnr_db(number, luma)))

    def between(self, since: float, until: float) -> list[Seen]:
        return [seen for seen in self.seen if since <= seen.at < until]

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
