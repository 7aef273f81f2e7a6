"""The report's plots, as SVG to stand inside an HTML page.

Seconds stand on a logarithmic axis: a warm pool and a cold boot lie a hundredfold apart. The colours are CSS
variables of the page (``--pool``, ``--ink``, ...), so that the plots follow its light and dark.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from gateway.bench.charts import page_style, pygal, svg
from gateway.bench.create import MODES, CreateReport

__all__ = ["page_style", "runs_plot", "stages_plot", "svg", "ticks"]

_WIDTH, _HEIGHT = 480, 360
"""In px of the drawing. Small, because a phone shrinks it to its own width, and the text with it."""
_LEAST_S = 0.001
"""The clock's resolution; the logarithm of 0 cannot be drawn."""


def runs_plot(report: CreateReport, stage: str, title: str) -> str:
    """Each run's seconds to a stage as a point; SVG."""
    chart = _chart([report.seen_s(mode, stage) for mode in MODES], dots_size=5, stroke=False)
    chart.x_labels = [str(number) for number in range(1, max(map(len, report.runs.values())) + 1)]
    chart.x_title = "run"
    for mode in MODES:
        chart.add(mode, [_shown(run.get(stage)) for run in report.runs[mode]])
    return svg(chart, title)


def stages_plot(report: CreateReport, stages: Sequence[str], title: str) -> str:
    """The median seconds to each stage, a line for each mode; SVG."""
    medians = {mode: [report.median_s(mode, stage) for stage in stages] for mode in MODES}
    chart = _chart(
        [[value for value in values if value is not None] for values in medians.values()], dots_size=4, height=420
    )
    chart.x_labels = list(stages)
    chart.x_label_rotation = 60
    for mode, values in medians.items():
        chart.add(mode, [_shown(value) for value in values])
    return svg(chart, title)


def ticks(values: Sequence[float]) -> list[float]:
    """Round figures (1, 2 and 5 times powers of ten) from below the least to above the greatest. Pure."""
    low, high = (math.floor(math.log10(max(edge, _LEAST_S))) for edge in (min(values), max(values)))
    scale = [factor * 10.0**power for power in range(low - 1, high + 2) for factor in (1, 2, 5)]
    first = max(index for index, tick in enumerate(scale) if tick <= max(min(values), _LEAST_S))
    last = min(index for index, tick in enumerate(scale) if tick >= max(values))
    # An axis needs two.
    return [round(tick, 6) for tick in scale[first : max(last, first + 1) + 1]]


def _shown(seconds: float | None) -> float | None:
    return None if seconds is None else max(seconds, _LEAST_S)


def _chart(values: Sequence[Sequence[float]], **config: Any) -> Any:
    style = page_style([f"var(--{mode})" for mode in MODES])
    chart = pygal.Line(
        style=style,
        width=_WIDTH,
        margin=8,
        margin_bottom=20,
        margin_right=24,
        # By default pygal has the page load a script from its author's host.
        js=(),
        logarithmic=True,
        legend_at_bottom=True,
        legend_at_bottom_columns=len(MODES),
        show_y_guides=True,
        value_formatter=lambda seconds: f"{seconds:g} s",
        **{"height": _HEIGHT, **config},
    )
    seen = [value for some in values for value in some]
    if seen:
        scale = ticks(seen)
        chart.y_labels = scale
        # Up to a little more: pygal leaves out a label that stands at the very top.
        chart.range = (scale[0], scale[-1] * 1.05)
    return chart
