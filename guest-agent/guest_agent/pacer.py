"""When the next packet and the next frame may go. Pure: time is an argument, in seconds.

A queue in the path delays everything of a viewer's, its key presses' echoes and its sound too; a queue in here delays
only the picture, and a frame that was not made yet does not even age. So a frame is spread over the time that the
path needs for it anyway, and the next is not asked for before the path has had what the rate allows.

A path that was never seen to be narrow gets its frames as they come.
"""

from __future__ import annotations

__all__ = ["Pacer"]

_SPREAD = 2.0
"""Packets of a frame go at so many times the rate: the rate is an estimate, and only what arrives faster raises
it."""
_BURST_S = 0.005
"""So much of the spread rate goes at once: sleeping is not exact to the millisecond."""
_BURST_BYTES = 3600
"""At least: three packets in a row show how fast the path lets them out (delivery.py)."""
_FRAME_S = 0.02
"""So much of the rate may be outstanding when the next frame is asked for."""
_LEAST_S = 0.001
_LONGEST_S = 0.5
"""No frame waits longer: what is outstanding by then was counted at a rate that is history."""


class Pacer:
    def __init__(self) -> None:
        self._bps: float | None = None
        self._packets_debt = 0.0
        self._frames_debt = 0.0
        self._at = 0.0

    def set_rate(self, bps: float | None, now: float) -> None:
        """None: as they come."""
        self._pay(now)
        self._bps = bps

    def spend(self, size_bytes: int, now: float) -> None:
        """A packet goes out, this stream's or another's on the same path."""
        if self._bps is not None:
            self._pay(now)
            self._packets_debt += size_bytes
            self._frames_debt += size_bytes

    def packet_wait_s(self, now: float) -> float:
        """How long the next packet of a frame has to wait."""
        if self._bps is None:
            return 0.0
        self._pay(now)
        per_s = self._bps * _SPREAD / 8
        burst = max(per_s * _BURST_S, _BURST_BYTES)
        over = self._packets_debt - burst
        # Once it has to wait, it waits until half a burst may go: a timer for each packet costs more than it evens
        # out.
        return (over + burst / 2) / per_s if over > 0 else 0.0

    def frame_wait_s(self, now: float) -> float:
        """How long the next frame should not be asked for."""
        if self._bps is None:
            return 0.0
        self._pay(now)
        per_s = self._bps / 8
        wait_s = self._frames_debt / per_s - _FRAME_S
        return min(wait_s, _LONGEST_S) if wait_s > _LEAST_S else 0.0

    def _pay(self, now: float) -> None:
        elapsed_s = max(0.0, now - self._at)
        self._at = now
        if self._bps is None:
            self._packets_debt = self._frames_debt = 0.0
            return
        paid = self._bps / 8 * elapsed_s
        self._packets_debt = max(0.0, self._packets_debt - paid * _SPREAD)
        self._frames_debt = max(0.0, self._frames_debt - paid)
