"""One direction of a bad network path. Pure: packets and the time in, times of arrival out, the same for one seed."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass

__all__ = ["Impairment", "LossyLink"]


@dataclass(frozen=True, slots=True)
class Impairment:
    """What a path does to what passes. Fractions are of packets."""

    rate_bps: float | None = None
    """None: any."""
    queue_s: float = 0.25
    """How much the bottleneck holds back, in seconds of its rate; what does not fit is dropped."""
    delay_s: float = 0.0
    jitter_s: float = 0.0
    """Up to so much more for each packet; order is kept."""
    stall_s: float = 0.0
    stall_every_s: float = 1.0
    """A machine on the way is busy elsewhere so often and so long, and then passes on at once what has come."""
    loss: float = 0.0
    reordered: float = 0.0
    """Overtaken by those of the next 20 ms."""
    duplicated: float = 0.0


class LossyLink:
    def __init__(self, impairment: Impairment, seed: int) -> None:
        self.impairment = impairment
        self._random = random.Random(seed)
        self._free_at = 0.0
        self._last_at = 0.0
        self.offered = self.dropped = self.lost = 0
        self._passed: deque[tuple[float, int]] = deque()

    def offer(self, size_bytes: int, now: float) -> list[float]:
        """When a packet comes out: once, never or twice."""
        to = self.impairment
        self.offered += 1
        if self._random.random() < to.loss:
            self.lost += 1
            return []
        out = now
        if to.rate_bps is not None:
            waiting_s = max(0.0, self._free_at - now)
            if waiting_s > to.queue_s:
                self.dropped += 1
                return []
            out = self._free_at = now + waiting_s + size_bytes * 8 / to.rate_bps
        if (into_s := now % to.stall_every_s) < to.stall_s:
            out += to.stall_s - into_s
        out += to.delay_s + self._random.random() * to.jitter_s
        if self._random.random() < to.reordered:
            return [out + 0.02]
        # Never at the same instant: whoever waits for it with timers would lose the order.
        out = self._last_at = max(out, self._last_at + 1e-6)
        self._passed.append((out, size_bytes))
        return [out, out + 0.001] if self._random.random() < to.duplicated else [out]

    def passed_bps(self, since: float, until: float) -> float:
        """What came out in a span of time; what is older is forgotten."""
        while self._passed and self._passed[0][0] < since:
            self._passed.popleft()
        return sum(size for at, size in self._passed if at < until) * 8 / (until - since)
