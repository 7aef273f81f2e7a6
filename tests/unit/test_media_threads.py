"""How many threads the encoder gets: by how long this machine works on a picture, not by how long that takes."""

from __future__ import annotations

import time

import numpy as np
import pytest
from numpy.typing import NDArray

from guest_agent.convert import Picture
from guest_agent.pump import Pump
from guest_agent.rects import Rect
from guest_agent.yuv import Planes

WHOLE = Rect(0, 0, 1000, 1000)
"""A megapixel."""
PIXELS = np.zeros((1000, 1000, 4), np.uint8)


class Working:
    """Keeps its core busy for a while, and then stands aside for others."""

    name = "working"
    core_us_per_mpx = 500

    def __init__(self, worked_s: float, aside_s: float = 0.0) -> None:
        self._worked_ns, self._aside_s = int(worked_s * 1e9), aside_s

    def convert(self, pixels: NDArray[np.uint8], planes: Planes, threads: int) -> None:
        until = time.thread_time_ns() + self._worked_ns
        while time.thread_time_ns() < until:
            pass
        time.sleep(self._aside_s)


@pytest.mark.parametrize(
    ("converter", "threads"),
    [(Working(0.0005), (1, 2)), (Working(0.02), (3, 3)), (Working(0.0005, aside_s=0.02), (1, 2))],
    ids=["usual", "emulated", "busy host"],
)
async def test_threads_follow_the_work(
    converter: Working, threads: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2})
    pump = Pump(":0", lambda _: None, lambda *_: None)
    picture = Picture(1000, 1000, converter=converter)
    pump._choose_threads(picture, WHOLE, PIXELS)
    assert (picture.threads, pump._encoder_threads) == threads
    await pump.close()
