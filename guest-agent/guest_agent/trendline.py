"""Whether a path's queue grows: the trend of one-way delays. Pure.

The estimator of Google congestion control as libwebrtc has it (trendline_estimator.cc, draft-ietf-rmcat-gcc-02 5.2 to
5.4): packets sent within 5 ms are one group; the smoothed sum of the groups' delay changes is fitted by a line, and
its slope compared with a threshold that adapts to what the path does anyway.
"""

from __future__ import annotations

from collections import deque
from enum import Enum

__all__ = ["Trend", "Trendline"]

_GROUP_S = 0.005
_CLUMP_S = 0.1
_WINDOW = 20
_SMOOTHING = 0.9
_GAIN = 4.0
_MOST_SAMPLES = 60
_OVERUSE_S = 0.010
"""So long must the slope stay above the threshold."""
_RISE, _FALL = 0.0087, 0.039
_THRESHOLD_MS = (6.0, 12.5, 600.0)
"""At least, at first, at most."""
_LEAP_MS = 15.0
"""A slope so far above the threshold does not move it: it is an event, and not how the path is."""
_PAUSE_S = 2.0
"""After such a silence the slope across it says nothing."""


class Trend(Enum):
    LEVEL = "level"
    GROWING = "growing"
    SHRINKING = "shrinking"


class Trendline:
    def __init__(self) -> None:
        self.trend = Trend.LEVEL
        self._threshold_ms = _THRESHOLD_MS[1]
        self._adapted_at: float | None = None
        self._restart()

    def _restart(self) -> None:
        self._group: tuple[float, float, float, float] | None = None
        """Send time of the first and of the last packet, arrival of the first and of the last."""
        self._before: tuple[float, float] | None = None
        self._samples: deque[tuple[float, float]] = deque(maxlen=_WINDOW)
        self._count = 0
        self._sum_ms = self._smooth_ms = 0.0
        self._slope = 0.0
        self._above_s = 0.0
        self._above_count = 0

    def add(self, sent_s: float, arrived_s: float) -> None:
        """One packet, in the order of sending."""
        group = self._group
        if group is not None and sent_s - group[1] > _PAUSE_S:
            self._restart()
            self.trend = Trend.LEVEL
            group = None
        if group is None:
            self._group = (sent_s, sent_s, arrived_s, arrived_s)
        elif sent_s < group[0]:
            return
        elif sent_s - group[0] <= _GROUP_S or self._belongs(group, sent_s, arrived_s):
            self._group = (group[0], sent_s, group[2], max(group[3], arrived_s))
        else:
            self._close(group)
            self._group = (sent_s, sent_s, arrived_s, arrived_s)

    @staticmethod
    def _belongs(group: tuple[float, float, float, float], sent_s: float, arrived_s: float) -> bool:
        """A clump that the path made (Wi-Fi holds packets back and lets them go at once) is one group too."""
        apart_s = arrived_s - group[3]
        return apart_s - (sent_s - group[1]) < 0 and apart_s <= _GROUP_S and arrived_s - group[2] < _CLUMP_S

    def _close(self, group: tuple[float, float, float, float]) -> None:
        _, sent_s, _, arrived_s = group
        before, self._before = self._before, (sent_s, arrived_s)
        if before is None:
            return
        sent_delta_s = sent_s - before[0]
        self._sum_ms += ((arrived_s - before[1]) - sent_delta_s) * 1000
        self._count += 1
        self._smooth_ms = _SMOOTHING * self._smooth_ms + (1 - _SMOOTHING) * self._sum_ms
        self._samples.append((arrived_s * 1000, self._smooth_ms))
        slope = self._slope if len(self._samples) < _WINDOW else _fit(self._samples)
        self._judge(slope, sent_delta_s, arrived_s)

    def _judge(self, slope: float, sent_delta_s: float, now: float) -> None:
        modified_ms = min(self._count, _MOST_SAMPLES) * slope * _GAIN
        if modified_ms > self._threshold_ms:
            self._above_s += sent_delta_s if self._above_count else sent_delta_s / 2
            self._above_count += 1
            if self._above_s > _OVERUSE_S and self._above_count > 1 and slope >= self._slope:
                self._above_s, self._above_count = 0.0, 0
                self.trend = Trend.GROWING
        else:
            self._above_s, self._above_count = 0.0, 0
            self.trend = Trend.SHRINKING if modified_ms < -self._threshold_ms else Trend.LEVEL
        self._slope = slope
        self._adapt(modified_ms, now)

    def _adapt(self, modified_ms: float, now: float) -> None:
        last, self._adapted_at = self._adapted_at, now
        size_ms = abs(modified_ms)
        if last is None or size_ms > self._threshold_ms + _LEAP_MS:
            return
        k = _FALL if size_ms < self._threshold_ms else _RISE
        elapsed_ms = min((now - last) * 1000, 100.0)
        moved = self._threshold_ms + k * (size_ms - self._threshold_ms) * elapsed_ms
        self._threshold_ms = min(max(moved, _THRESHOLD_MS[0]), _THRESHOLD_MS[2])


def _fit(samples: deque[tuple[float, float]]) -> float:
    """Slope by least squares."""
    mean_x = sum(x for x, _ in samples) / len(samples)
    mean_y = sum(y for _, y in samples) / len(samples)
    spread = sum((x - mean_x) ** 2 for x, _ in samples)
    return sum((x - mean_x) * (y - mean_y) for x, y in samples) / spread if spread else 0.0
