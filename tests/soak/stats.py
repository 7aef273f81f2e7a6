"""Slopes and floors. Pure."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence

__all__ = ["Point", "after", "least_squares", "theil_sen", "thirds"]

Point = tuple[float, float]
"""Seconds, and a figure."""
MOST_POINTS = 500
"""For all pairs of them: 125,000."""


def after(points: Sequence[Point], start_s: float) -> list[Point]:
    return [point for point in points if point[0] >= start_s]


def least_squares(points: Sequence[Point]) -> float:
    """The slope of the line with the least squares, in units a minute; 0 where there is no line."""
    if len(points) < 2:
        return 0.0
    mean_x = math.fsum(x for x, _ in points) / len(points)
    mean_y = math.fsum(y for _, y in points) / len(points)
    spread = math.fsum((x - mean_x) ** 2 for x, _ in points)
    together = math.fsum((x - mean_x) * (y - mean_y) for x, y in points)
    return 60 * together / spread if spread else 0.0


def theil_sen(points: Sequence[Point]) -> float:
    """The median of the slopes between all pairs, in units a minute: what nearly a third of odd samples do not move.

    Of many points evenly chosen ones stand for all.
    """
    chosen = list(points[:: math.ceil(len(points) / MOST_POINTS)]) if points else []
    slopes = [(y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in itertools.combinations(chosen, 2) if x2 != x1]
    return 60 * statistics.median(slopes) if slopes else 0.0


def thirds(points: Sequence[Point]) -> tuple[list[Point], list[Point]]:
    """The first and the last third by time; both empty where there are none."""
    if not points:
        return [], []
    begin, end = points[0][0], points[-1][0]
    third_s = (end - begin) / 3
    return [p for p in points if p[0] <= begin + third_s], [p for p in points if p[0] >= end - third_s]
