"""How many pictures a second an encoder really gets. Pure.

Encoders give each picture its part of a second's bits by a frame rate that is fixed, but a desktop makes ten pictures
in one second and sixty in the next.
"""

from __future__ import annotations

__all__ = ["Cadence"]

_CLOCK_HZ = 90_000
_SLOWEST_FPS, _FASTEST_FPS = 10.0, 30.0
"""Slower is a burst after a pause, and what one picture may weigh is bounded otherwise; faster, and text would get
less than its share on a path that carries everything."""
_SMOOTHING = 0.25
_STEP = 0.2
"""A smaller change is none."""


class Cadence:
    def __init__(self, fps: float) -> None:
        self.fps = min(max(fps, _SLOWEST_FPS), _FASTEST_FPS)
        """As of the last change that was one."""
        self._interval_s = 1 / self.fps
        self._last_90k: int | None = None

    def picture(self, pts_90k: int) -> bool:
        """Another picture. True: ``fps`` has changed."""
        last, self._last_90k = self._last_90k, pts_90k
        if last is None:
            return False
        since_s = min(max((pts_90k - last) / _CLOCK_HZ, 1 / _FASTEST_FPS), 1 / _SLOWEST_FPS)
        self._interval_s += _SMOOTHING * (since_s - self._interval_s)
        fps = 1 / self._interval_s
        if abs(fps - self.fps) <= self.fps * _STEP:
            return False
        self.fps = fps
        return True
