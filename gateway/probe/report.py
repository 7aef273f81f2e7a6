"""A probe as one HTML page that needs nothing else: no script, no other file, no network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from gateway.bench.charts import page_style, pygal, svg
from gateway.probe.limits import Verdict
from gateway.probe.samples import PERCENTILES, STAGES, Results, percentile

__all__ = ["render"]

_WIDTH, _HEIGHT = 480, 360
"""In px of the drawing, which a phone shrinks to its own width, and the text with it."""
_SHARES = (*range(0, 100, 2), 99, 100)
_AFTER = ("first_frame", "reconnect", "return")
_MEANING = {
    "input": "press in the page, until the X server has it",
    "x": "X server and marker window, until the screen is damaged",
    "capture": "grabbed and converted",
    "encode": "encoded",
    "network": "all its packets are in the browser",
    "decode": "handed to the compositor",
    "paint": "the changed pixel can be read in the page",
    "rest": "all that follows by noVNC: poll, encode, network, decode, paint",
    "total": "press to pixel",
    "first_frame": "from opening the page to the first picture",
    "reconnect": "from losing the connection to a picture by whatever way",
    "return": "and by the same way",
}


def render(results: Results, verdicts: Sequence[Verdict]) -> str:
    """The whole page, to be written as UTF-8. Milliseconds throughout."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    metrics = {name: leg.metrics() for name, leg in results.legs.items()}

    def rows(names: Sequence[str]) -> list[str]:
        return [row for row in names if any(f"{row}.p50" in found for found in metrics.values())]

    return environment.get_template("report.html.j2").render(
        results=results,
        metrics=metrics,
        stages=rows((*STAGES, "total")),
        after=rows(_AFTER),
        meaning=_MEANING,
        statistics=[f"p{p}" for p in PERCENTILES],
        verdicts=verdicts,
        # The SVG is made by this program, of numbers and of names that it escapes.
        plots=[(title, Markup(markup)) for title, markup in _plots(results) if markup],
    )


def _plots(results: Results) -> list[tuple[str, str]]:
    return [
        ("Share of presses that were answered by then.", _distribution(results)),
        ("Where the time goes: the median of each stage.", _stages(results)),
        ("Each press, in the order in which they were made.", _presses(results)),
    ]


def _colours(names: Sequence[str]) -> list[str]:
    return [f"var(--{name})" for name in names]


def _distribution(results: Results) -> str:
    legs = {name: leg for name, leg in results.legs.items() if leg.presses}
    longest_ms = max((press.total_ms for leg in legs.values() for press in leg.presses), default=1.0)
    chart = pygal.XY(
        style=page_style(_colours([*legs])), js=(), width=_WIDTH, height=_HEIGHT, dots_size=0, legend_at_bottom=True,
        show_y_guides=True, x_title="ms", y_title="% of presses", x_value_formatter=lambda ms: f"{ms:g}",
        range=(0, 100), xrange=(0, longest_ms),
    )  # fmt: skip
    for name, leg in legs.items():
        every = [press.total_ms for press in leg.presses]
        chart.add(name, [(round(percentile(every, share), 2), share) for share in _SHARES])
    return svg(chart, "Share of presses answered by then") if legs else ""


def _stages(results: Results) -> str:
    # Drawn from below.
    legs = {
        name: leg for name, leg in reversed(results.legs.items()) if any(press.stages_ms for press in leg.presses)
    }
    stages = [stage for stage in STAGES if any(leg.stage_ms(stage) for leg in legs.values())]
    chart = pygal.HorizontalStackedBar(
        style=page_style(_colours(stages)), js=(), width=_WIDTH, height=_HEIGHT, legend_at_bottom=True, max_scale=6,
        legend_at_bottom_columns=4, truncate_legend=-1, truncate_label=-1, margin_bottom=44, margin_right=24,
        x_title="ms", value_formatter=lambda ms: f"{ms:g}",
    )  # fmt: skip
    chart.x_labels = list(legs)
    for stage in stages:
        seen = [leg.stage_ms(stage) for leg in legs.values()]
        # What a clock join leaves open may make a stage of nearly nothing negative.
        chart.add(stage, [max(0.0, round(percentile(values, 50), 2)) if values else None for values in seen])
    return svg(chart, "Median of each stage") if stages else ""


def _presses(results: Results) -> str:
    legs = {name: leg for name, leg in results.legs.items() if leg.presses}
    chart = pygal.XY(
        style=page_style(_colours([*legs])), js=(), width=_WIDTH, height=_HEIGHT, dots_size=2, stroke=False,
        legend_at_bottom=True, show_y_guides=True, x_title="press", y_title="ms",
        x_value_formatter=lambda number: f"{number:g}",
    )  # fmt: skip
    for name, leg in legs.items():
        chart.add(name, [(number + 1, round(press.total_ms, 2)) for number, press in enumerate(leg.presses)])
    return svg(chart, "Milliseconds of each press") if legs else ""
