"""When things happened to one press and to the frame that shows it, for those who measure.

Instants are microseconds of CLOCK_MONOTONIC cut to 32 bits, which wrap after 71 minutes. Whoever joins clocks asks
for one (messages.WantTimes).
"""

from __future__ import annotations

import time
from dataclasses import dataclass

__all__ = ["FrameStamps", "InputTimes", "now_us"]

_MASK = 0xFFFFFFFF


def now_us() -> int:
    return time.monotonic_ns() // 1000 & _MASK


@dataclass(frozen=True, slots=True)
class FrameStamps:
    """Of one captured frame. The input is the last that had reached the X server when the frame was grabbed."""

    input_seq: int
    received_us: int
    injected_us: int
    damaged_us: int
    """The first damage that this frame shows was heard of."""
    captured_us: int
    """Grabbed and converted."""
    encoded_us: int


class InputTimes:
    """The last input. The loop notes what it receives, the input thread what it handed to the X server.

    Each instant is one assignment of one tuple, so a reader on a third thread never sees halves.
    """

    def __init__(self) -> None:
        self._received = (0, 0)
        self.last = (0, 0, 0)
        """(seq, received_us, injected_us)"""

    def received(self, seq: int) -> None:
        self._received = (seq, now_us())

    def injected(self) -> None:
        self.last = (*self._received, now_us())
