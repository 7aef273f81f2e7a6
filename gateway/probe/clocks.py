"""Joining the guest's clock to the prober's. Pure.

The guest stamps in microseconds cut to 32 bits, the prober in milliseconds since some moment of its own. A ping that
came back tells that the guest's clock stood at ``at_us`` at some time between sending and receiving; the quicker it
came back, the less it leaves open, and the middle is off by at most half the round trip.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

__all__ = ["Clock", "Ping"]

_WRAP_US = 1 << 32
WINDOW_MS = 15_000.0
"""Two clocks that are steered apart by 500 ppm (the most that NTP slews) drift by 7.5 ms in it, mostly far less."""
MAX_PINGS = 4096


@dataclass(frozen=True, slots=True)
class Ping:
    """On the prober's clock but for ``at_us``."""

    sent_ms: float
    back_ms: float
    at_us: int

    @property
    def round_trip_ms(self) -> float:
        return self.back_ms - self.sent_ms


class Clock:
    """The guest's clock, as far as pings told."""

    def __init__(self) -> None:
        self._pings: deque[Ping] = deque(maxlen=MAX_PINGS)

    def add(self, ping: Ping) -> None:
        self._pings.append(ping)

    def to_ms(self, at_us: int, near_ms: float) -> float | None:
        """An instant of the guest on the prober's clock; None without a ping within WINDOW_MS of ``near_ms``."""
        ping = self._best(near_ms)
        if ping is None:
            return None
        apart_us = (at_us - ping.at_us + _WRAP_US // 2) % _WRAP_US - _WRAP_US // 2
        return (ping.sent_ms + ping.back_ms) / 2 + apart_us / 1000

    def error_ms(self, near_ms: float) -> float | None:
        """How far off :meth:`to_ms` may be for want of a quicker ping."""
        ping = self._best(near_ms)
        return None if ping is None else ping.round_trip_ms / 2

    def _best(self, near_ms: float) -> Ping | None:
        near = [ping for ping in self._pings if abs(ping.sent_ms - near_ms) <= WINDOW_MS]
        return min(near, key=lambda ping: ping.round_trip_ms, default=None)
