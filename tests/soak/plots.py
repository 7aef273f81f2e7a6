"""A run's course as SVG to stand inside an HTML page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.bench.charts import page_style, pygal, svg
from tests.soak.judge import MAX_GAP_S
from tests.soak.record import Gap, Record
from tests.soak.stats import Point

__all__ = ["COLOURS", "plots"]

COLOURS = ("#0b6e4f", "#2459c8", "#b4530a", "#7d3c98", "#8a7a1c")
WIDTH_PX, HEIGHT_PX = 640, 400
"""Of the drawing, which a phone shrinks to its own width, and the text with it."""
MOST_POINTS = 240


def plots(record: Record) -> list[tuple[str, str]]:
    """Captions, and SVG."""
    series = record.series.values()
    viewers = record.viewers
    found = [
        ("Resident memory", "MB", {one.name: one.rss() for one in series}, False),
        ("Proportional share of memory (PSS)", "MB", {one.name: one.pss() for one in series}, False),
        (
            "Open descriptors",
            "",
            {one.name: [(s.at_s, float(s.fds)) for s in one.samples] for one in series},
            False,
        ),
        (
            "Longest time between painted frames, in each look",
            "s",
            {one.name: _points(one.frame_gaps) for one in viewers},
            True,
        ),
        (
            "Longest time between answers to presses, in each look",
            "s",
            {one.name: _points(one.answer_gaps) for one in viewers},
            False,
        ),
        (
            "Sessions beside: from the request until ready",
            "s",
            {"ready": [(one.at_s, one.ready_s) for one in record.creates if one.ready_s is not None]},
            False,
        ),
        (
            "The host's processor",
            "cores",
            {
                "this run": [(one.at_s, one.ours) for one in record.cores],
                "others": [(one.at_s, one.others) for one in record.cores],
                "stolen": [(one.at_s, one.stolen) for one in record.cores],
            },
            False,
        ),
        ("The viewer pages' JavaScript heap", "MB", {one.name: one.heap_mb for one in viewers}, False),
    ]
    return [
        (f"{title}{f', {unit}' if unit else ''}.", _chart(title, unit, lines, bounded=bounded))
        for title, unit, lines, bounded in found
        if any(lines.values())
    ]


def thinned(points: Sequence[Point]) -> list[Point]:
    """At most MOST_POINTS: of each stretch its highest, so that no peak is lost."""
    step = math.ceil(len(points) / MOST_POINTS) or 1
    return [max(points[at : at + step], key=lambda point: point[1]) for at in range(0, len(points), step)]


def _points(gaps: Sequence[Gap]) -> list[Point]:
    return [(gap.at_s, gap.length_s) for gap in gaps]


def _chart(title: str, unit: str, lines: Mapping[str, Sequence[Point]], *, bounded: bool) -> str:
    highest = max(value for points in lines.values() for _, value in points)
    chart: Any = pygal.XY(
        style=page_style(COLOURS), js=(), width=WIDTH_PX, height=HEIGHT_PX, show_dots=len(lines) == 1,
        legend_at_bottom=True, legend_at_bottom_columns=2, show_y_guides=True, x_title="minutes",
        x_value_formatter=lambda minutes: f"{minutes:g}", value_formatter=lambda value: f"{value:g} {unit}".strip(),
        range=(0, max(highest, MAX_GAP_S if bounded else 0) * 1.05),
    )  # fmt: skip
    for name, points in lines.items():
        chart.add(name, [(at_s / 60, value) for at_s, value in thinned(points)])
    if bounded:
        end = max(at_s for points in lines.values() for at_s, _ in points) / 60
        chart.add("bound", [(0, MAX_GAP_S), (end, MAX_GAP_S)])
    return svg(chart, title)
