"""What a run must keep to, and whether it did. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.soak.record import Create, Gap, Record, Sample, Series, ViewerRecord
from tests.soak.stats import after, least_squares, theil_sen, thirds

__all__ = [
    "MAX_ANSWER_GAP_S", "MAX_GAP_S", "MAX_SLOPE_MB_PER_MIN", "PRESS_EVERY_S", "Growth", "Verdict", "fd_growth",
    "judge", "memory_growth", "slope_bound", "warm_up_s", "worst",
]  # fmt: skip

MAX_GAP_S = 5.0
MAX_ANSWER_GAP_S = 10.0
"""A press that a busy guest lost is waited for as long as a frame at most, and the next one has its own time to be
answered. So one may be lost, and not two in a row."""
MIN_ANSWERED = 0.99
"""Of all presses."""
MAX_SLOPE_MB_PER_MIN = 1.0
WARM_UP_S = 300.0
SETTLING_MB = 10.0
"""In a window shorter than ten minutes: what caches and a heap may take while they settle."""
PRESS_EVERY_S = 2.5
"""A viewer that pressed less often proves nothing by a picture without gaps."""
SAMPLES_EVERY_S = 30.0
"""A process that was looked at less often is not known."""


@dataclass(frozen=True, slots=True)
class Verdict:
    what: str
    figure: str
    bound: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Growth:
    """Of a process's memory after the warm-up, in MB a minute."""

    least_squares: float
    """Of RSS; it is what is judged."""
    theil_sen: float
    """Of RSS."""
    pss: float
    """Least squares of PSS."""


def warm_up_s(elapsed_s: float) -> float:
    """Five minutes, or a third of a short run: what is left out of slopes and descriptors."""
    return min(WARM_UP_S, elapsed_s / 3)


def slope_bound(elapsed_s: float) -> float:
    """MB a minute. In a window shorter than ten minutes SETTLING_MB over all of it."""
    window_min = (elapsed_s - warm_up_s(elapsed_s)) / 60
    return max(MAX_SLOPE_MB_PER_MIN, SETTLING_MB / window_min) if window_min > 0 else MAX_SLOPE_MB_PER_MIN


def memory_growth(series: Series, elapsed_s: float) -> Growth:
    rss, pss = (after(points, warm_up_s(elapsed_s)) for points in (series.rss(), series.pss()))
    return Growth(least_squares(rss), theil_sen(rss), least_squares(pss))


def fd_growth(samples: Sequence[Sample], elapsed_s: float) -> tuple[int, int]:
    """The fewest descriptors in the first and in the last third after the warm-up, while no session came or went.

    Connections come and go, so a count alone says little; what is never closed raises the floor.
    """
    settled = [sample for sample in samples if sample.at_s >= warm_up_s(elapsed_s)]
    quiet = [sample for sample in settled if not sample.busy] or settled
    first, last = thirds([(sample.at_s, float(sample.fds)) for sample in quiet])
    return int(min((fds for _, fds in first), default=0)), int(min((fds for _, fds in last), default=0))


def worst(gaps: Sequence[Gap]) -> Gap:
    return max(gaps, key=lambda gap: gap.length_s, default=Gap(0.0, 0.0))


def judge(record: Record) -> list[Verdict]:
    """Every bound, in the order in which a person asks."""
    return [
        *(verdict for viewer in record.viewers for verdict in _viewer(viewer, record.elapsed_s)),
        _creates(record.creates),
        _clones(record.machines),
        *(verdict for series in record.series.values() for verdict in _process(series, record.elapsed_s)),
        _none("sessions and processes", [f"{t.at_s:.0f} s: {t.what}" for t in record.troubles]),
        *(_none(f"errors in the log of the {name}", log.errors) for name, log in record.logs.items()),
        _none("left after the end", record.left),
    ]


def _viewer(viewer: ViewerRecord, elapsed_s: float) -> Iterator[Verdict]:
    yield _none(
        f"{viewer.name}: peers failed, disconnects, errors", [f"{t.at_s:.0f} s: {t.what}" for t in viewer.troubles]
    )
    for what, gaps, most_s in (
        ("frames", viewer.frame_gaps, MAX_GAP_S), ("answers to presses", viewer.answer_gaps, MAX_ANSWER_GAP_S)
    ):  # fmt: skip
        gap = worst(gaps)
        figure = f"{gap.length_s:.2f} s at {gap.at_s:.0f} s"
        yield Verdict(f"{viewer.name}: longest gap in {what}", figure, f"<= {most_s:g} s", gap.length_s <= most_s)
    yield Verdict(
        f"{viewer.name}: presses answered", f"{viewer.answers} of {viewer.presses}", f">= {MIN_ANSWERED:.0%}",
        viewer.answers >= MIN_ANSWERED * viewer.presses,
    )  # fmt: skip
    least = int(elapsed_s / PRESS_EVERY_S)
    yield Verdict(f"{viewer.name}: presses", str(viewer.presses), f">= {least}", viewer.presses >= least)
    idle = [name for name in ("typed", "scrolled", "pages") if not viewer.did.get(name)]
    yield Verdict(f"{viewer.name}: typed, scrolled, browsed", _did(viewer), "each", not idle)


def _did(viewer: ViewerRecord) -> str:
    return ", ".join(f"{viewer.did.get(name, 0)} {name}" for name in ("typed", "scrolled", "pages"))


def _creates(creates: Sequence[Create]) -> Verdict:
    failed = [create for create in creates if create.error or create.ready_s is None or create.removed_s is None]
    figure = f"{len(failed)} of {len(creates)}" + "".join(f"; {c.at_s:.0f} s: {c.error}" for c in failed)
    return Verdict("failed creates and removals", figure, "none of at least 1", bool(creates) and not failed)


def _clones(machines: Mapping[str, int]) -> Verdict:
    figure = ", ".join(f"{machines.get(name, 0)} {name}" for name in ("clones", "boots", "clone_failures"))
    booted = machines.get("boots", 0) + machines.get("clone_failures", 0)
    return Verdict("machines cloned", figure, "all", bool(machines.get("clones")) and not booted)


def _process(series: Series, elapsed_s: float) -> Iterator[Verdict]:
    samples = series.samples
    least = max(2, int(elapsed_s / SAMPLES_EVERY_S))
    yield Verdict(f"{series.name}: looked at", f"{len(samples)} times", f">= {least}", len(samples) >= least)
    pids = {sample.pid for sample in samples}
    yield Verdict(f"{series.name}: one process throughout", f"{len(pids)}", "1", len(pids) == 1)
    growth, bound = memory_growth(series, elapsed_s), slope_bound(elapsed_s)
    yield Verdict(
        f"{series.name}: memory", f"{growth.least_squares:+.3f} MB/min", f"< {bound:g} MB/min",
        growth.least_squares < bound,
    )  # fmt: skip
    first, last = fd_growth(samples, elapsed_s)
    yield Verdict(f"{series.name}: descriptors", f"{first} to {last}", "no growth", last <= first)


def _none(what: str, found: Sequence[str]) -> Verdict:
    return Verdict(
        what, "; ".join(found[:5]) + (f" and {len(found) - 5} more" if found[5:] else "") or "none", "none", not found
    )
