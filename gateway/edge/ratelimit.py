"""Token buckets: how often a caller may do something. Pure; time is an argument.

A bucket is kept for each key (an address, an owner) in a table of bounded size. The bucket that was used the longest
ago gives way to a new one: it is the one that has refilled most.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

__all__ = ["MAX_BUCKETS", "Rate", "RateLimiter", "per_minute"]

MAX_BUCKETS = 16_384
"""About 3 MB. A flood from more addresses than that makes old buckets forget, and no more than that."""


@dataclass(frozen=True, slots=True)
class Rate:
    per_s: float
    burst: float
    """What a bucket holds when it is full."""


def per_minute(count: int) -> Rate:
    """So many in any minute's beginning, then evenly."""
    return Rate(count / 60, count)


class RateLimiter:
    def __init__(self, max_buckets: int = MAX_BUCKETS) -> None:
        self._max_buckets = max_buckets
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Tokens, and when that was so; the least recently used first."""

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: str, rate: Rate, now: float) -> float:
        """Take a token.

        Args:
            now: s, of any clock; one that was set back costs nobody a token.

        Returns:
            0.0 when there was one; else how long until there is, in s, and nothing is taken.
        """
        tokens, at = self._buckets.pop(key, (rate.burst, now))
        tokens = min(rate.burst, tokens + max(0.0, now - at) * rate.per_s)
        granted = tokens >= 1.0
        self._buckets[key] = (tokens - 1.0 if granted else tokens, now)
        if len(self._buckets) > self._max_buckets:
            self._buckets.popitem(last=False)
        if granted:
            return 0.0
        return (1.0 - tokens) / rate.per_s if rate.per_s > 0 else math.inf
