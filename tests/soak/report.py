"""A run as tables for a terminal, as one HTML page that needs nothing else, and as one to keep with the sources."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gateway.bench.report import PAGE_DIR
from tests.soak.judge import Verdict, fd_growth, memory_growth, slope_bound, warm_up_s, worst
from tests.soak.plots import plots
from tests.soak.record import Record

__all__ = ["Grid", "as_html", "as_markdown", "grids", "print_report"]


@dataclass(frozen=True, slots=True)
class Grid:
    """A table, whatever it is shown as."""

    title: str
    note: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def grids(record: Record, verdicts: Sequence[Verdict]) -> list[Grid]:
    return [_verdicts(record, verdicts), _processes(record), _viewers(record), _creates(record), _cores(record)]


def _verdicts(record: Record, verdicts: Sequence[Verdict]) -> Grid:
    rows = [["holds" if v.holds else "BROKEN", v.what, v.figure, v.bound] for v in verdicts]
    note = (
        f"Slopes and descriptors after the first {warm_up_s(record.elapsed_s) / 60:.3g} minutes; "
        f"memory's bound in a run this long is {slope_bound(record.elapsed_s):.3g} MB a minute."
    )
    return Grid("Bounds", note, ("", "what", "seen", "bound"), rows)


def _processes(record: Record) -> Grid:
    rows = []
    for series in record.series.values():
        samples = series.samples
        if not samples:
            continue
        growth = memory_growth(series, record.elapsed_s)
        first, last = fd_growth(samples, record.elapsed_s)
        rows.append([
            series.name,
            str(len(samples)),
            f"{samples[0].rss_mb:.1f} / {samples[-1].rss_mb:.1f} / {max(s.rss_mb for s in samples):.1f}",
            f"{growth.least_squares:+.3f}",
            f"{growth.theil_sen:+.3f}",
            f"{growth.pss:+.3f}",
            f"{first} / {last} / {max(s.fds for s in samples)}",
            f"{samples[0].threads} / {samples[-1].threads}",
        ])  # fmt: skip
    return Grid(
        "Processes",
        "The bound is on the least squares slope of RSS, in which every sample counts; the Theil-Sen slope, which "
        "odd samples do not move, and that of PSS are beside it. Descriptors: the floor in the first and in the last "
        "third after the warm-up, and the most of the whole run.",
        ("process", "samples", "RSS MB: first / last / most", "RSS MB/min", "Theil-Sen", "PSS MB/min",
         "descriptors: floor / floor / most", "threads"),
        rows,
    )  # fmt: skip


def _viewers(record: Record) -> Grid:
    rows = [
        [
            viewer.name,
            str(viewer.frames),
            f"{worst(viewer.frame_gaps).length_s:.2f}",
            f"{viewer.answers} of {viewer.presses}",
            f"{worst(viewer.answer_gaps).length_s:.2f}",
            " / ".join(str(viewer.did.get(name, 0)) for name in ("typed", "scrolled", "pages")),
            f"{statistics.median(viewer.shown_s):.1f} / {max(viewer.shown_s):.1f}" if viewer.shown_s else "",
            str(viewer.frozen),
            str(len(viewer.troubles)),
        ]
        for viewer in record.viewers
    ]
    return Grid(
        "Viewers",
        "Frames are those that the page painted. Each press waits for the last one's answer, five seconds at most. "
        "A page's time is from its request until it is painted in the guest.",
        ("viewer", "frames", "longest gap s", "answers", "longest gap s", "typed / notches / pages",
         "page s: median / most", "frozen for a moment", "troubles"),
        rows,
    )  # fmt: skip


def _creates(record: Record) -> Grid:
    ready = [create.ready_s for create in record.creates if create.ready_s is not None]
    removed = [create.removed_s for create in record.creates if create.removed_s is not None]
    rows = [
        [name, str(len(seen)), f"{statistics.median(seen):.2f}", f"{max(seen):.2f}"]
        for name, seen in (("ready", ready), ("removed", removed))
        if seen
    ]
    note = f"One a minute; {len(record.creates)} were asked for. Seconds from the request."
    return Grid("Sessions beside", note, ("", "n", "median", "most"), rows)


def _cores(record: Record) -> Grid:
    rows = [
        [name, f"{statistics.fmean(seen):.2f}", f"{max(seen):.2f}"]
        for name, seen in (
            ("this run", [one.ours for one in record.cores]),
            ("others on this host", [one.others for one in record.cores]),
            ("stolen", [one.stolen for one in record.cores]),
        )
        if seen
    ]
    note = "Cores. Where others take much, gaps are theirs: a run that is to be believed has the host for itself."
    return Grid("The host's processor", note, ("", "mean", "most in a look"), rows)


def print_report(record: Record, verdicts: Sequence[Verdict], console: Console) -> None:
    for name, fact in record.facts.items():
        console.print(f"{name}: {fact}", markup=False)
    for grid in grids(record, verdicts):
        table = Table(title=grid.title, caption=grid.note)
        for column in grid.head:
            table.add_column(column)
        for row in grid.rows:
            table.add_row(*map(escape, row))
        console.print(table)


def as_html(record: Record, verdicts: Sequence[Verdict]) -> str:
    """The whole page, to be written as UTF-8."""
    environment = Environment(
        loader=FileSystemLoader([Path(__file__).parent, PAGE_DIR]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        record=record,
        passed=all(verdict.holds for verdict in verdicts),
        grids=grids(record, verdicts),
        # The SVG is made by this program, of numbers and of names that it escapes.
        plots=[(caption, Markup(markup)) for caption, markup in plots(record)],
        warnings={name: log.warnings for name, log in record.logs.items() if log.warnings},
    )


def as_markdown(record: Record, verdicts: Sequence[Verdict]) -> str:
    """Short, for a file that is kept with the sources."""
    broken = [verdict for verdict in verdicts if not verdict.holds]
    parts = [
        f"# Soak of {record.began[:10]}: {'every bound held' if not broken else f'{len(broken)} bounds BROKEN'}",
        f"`make soak MINUTES={record.elapsed_s / 60:.0f}`, begun {record.began}.",
        "\n".join(f"- {name}: {fact}" for name, fact in record.facts.items()),
    ]
    for grid in grids(record, verdicts):
        rows = [
            grid.head,
            ["---"] * len(grid.head),
            *([cell.replace("|", "\\|") for cell in row] for row in grid.rows),
        ]
        parts += [f"## {grid.title}", grid.note, "\n".join(f"| {' | '.join(row)} |" for row in rows)]
    warned = [f"- {name}: {text}" for name, log in record.logs.items() for text in log.warnings]
    if warned:
        parts += ["## Warnings in the logs", "\n".join(warned)]
    return "\n\n".join(parts) + "\n"
