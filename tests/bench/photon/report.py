"""A run as a table for a terminal, and as one HTML page that needs nothing else."""

from __future__ import annotations

from pathlib import Path

import pygal
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from rich.console import Console
from rich.table import Table

from gateway.bench.plots import page_style, svg
from gateway.bench.report import PAGE_DIR
from tests.bench.photon.results import OURS, Results
from tests.bench.photon.stats import STATISTICS, summary

__all__ = ["as_html", "print_tables"]

COLOURS = ("#0b6e4f", "#2459c8", "#b4530a", "#7d3c98")
PERCENTS = (*range(0, 100, 2), 99)


def print_tables(results: Results, console: Console) -> None:
    for kind, by_product in results.presses.items():
        table = Table(title=f"{kind}: ms from the DOM's press to the changed pixel, {_size(results)}")
        for column in ("product", "n", "missed", *STATISTICS, "server cores", *(f"{s} ratio" for s in STATISTICS)):
            table.add_column(column, justify="left" if column == "product" else "right")
        ratios = results.ratios(kind)
        for name, one in by_product.items():
            figures = summary(one.ms) if one.ms else dict.fromkeys(STATISTICS, float("nan"))
            against = [f"{r.value:.2f} ({r.low:.2f} to {r.high:.2f})" for r in ratios.get(name, {}).values()] or [
                ""
            ] * len(STATISTICS)
            shown = [f"{figures[s]:.1f}" for s in STATISTICS]
            table.add_row(name, str(len(one.ms)), str(one.missed), *shown, f"{one.cores:.3f}", *against)
        console.print(table)
    for motion, costs in results.costs.items():
        table = Table(title=f"{motion}, {_size(results)}")
        for column in ("product", "server cores", "frames/s in the browser", "keyframes", "Mb/s"):
            table.add_column(column, justify="left" if column == "product" else "right")
        for name, cost in costs.items():
            table.add_row(name, f"{cost.cores:.3f}", f"{cost.fps:.1f}", str(cost.keyframes), f"{cost.mbps:.2f}")
        console.print(table)
    for verdict in results.verdicts():
        bound, r = verdict.bound, verdict.ratio
        console.print(
            f"{'holds' if verdict.holds else 'FAILS'}: "
            f"click {bound.statistic} at most {bound.limit} of {bound.rival}: "
            f"{r.value:.2f} ({r.low:.2f} to {r.high:.2f})"
        )
    for work in results.work_verdicts():
        of = f"of {work.bound.rival}" if work.bound.rival else "cores"
        console.print(
            f"{'holds' if work.holds else 'FAILS'}: "
            f"{work.bound.doing}, server work at most {work.bound.limit} {of}: {work.value:.3f}"
        )


def as_html(runs: list[Results]) -> str:
    """The whole page, UTF-8."""
    environment = Environment(
        loader=FileSystemLoader([Path(__file__).parent, PAGE_DIR]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        runs=[
            {
                "results": results,
                "size": _size(results),
                "summaries": {
                    kind: {name: summary(one.ms) for name, one in by.items() if one.ms}
                    for kind, by in results.presses.items()
                },
                "plots": {kind: Markup(_distribution(results, kind)) for kind in results.presses},
                "colours": dict(zip(results.products(), COLOURS, strict=False)),
            }
            for results in runs
        ],
        statistics=list(STATISTICS),
        ours=OURS,
    )


def _distribution(results: Results, kind: str) -> str:
    """How many percent of the presses were answered by when; SVG."""
    chart = pygal.XY(
        style=page_style(COLOURS), js=(), width=640, height=360, dots_size=0, legend_at_bottom=True,
        show_y_guides=True, x_title="ms", y_title="% of presses", x_value_formatter=lambda ms: f"{ms:g}",
        range=(0, 100),
    )  # fmt: skip
    for name, one in results.presses[kind].items():
        if one.ms:
            ordered = sorted(one.ms)
            chart.add(name, [(ordered[int(p / 100 * (len(ordered) - 1))], p) for p in PERCENTS])
    return svg(chart, f"{kind}: share of presses answered by then")


def _size(results: Results) -> str:
    return "{}x{}".format(*results.size_px)
