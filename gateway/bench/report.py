"""The create benchmark as one HTML page that needs nothing else: no script, no other file, no network."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from gateway.bench.create import MODES, PAINTED, CreateReport
from gateway.bench.plots import runs_plot, stages_plot

__all__ = ["PAGE_DIR", "render", "stage_order"]

PAGE_DIR = Path(__file__).parent
"""Has page.css.j2, which other reports include too."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Of one stage in one mode. All empty where no run reached it."""

    median: str = ""
    spread: str = ""
    """Least and greatest."""
    n: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    label: str
    cells: Sequence[Cell]


@dataclass(frozen=True, slots=True)
class Ratio:
    label: str
    values: Sequence[str]


@dataclass(frozen=True, slots=True)
class Plot:
    caption: str
    svg: Markup


def render(report: CreateReport, names: Mapping[str, str]) -> str:
    """The whole page.

    Args:
        names: what stages are called to a person, in the order in which a session reaches them.

    Returns:
        HTML in one text, to be written as UTF-8. Seconds throughout.
    """
    environment = Environment(
        loader=FileSystemLoader(PAGE_DIR),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    stages = stage_order(report, names)
    return environment.get_template("report.html.j2").render(
        modes=MODES,
        counts=[len(report.runs[mode]) for mode in MODES],
        began=report.began.strftime("%Y-%m-%d %H:%M UTC"),
        under=_under(report),
        facts=_facts(report),
        rows=_rows(report, stages, names),
        ratio_modes=[mode for mode in MODES if mode != "cold"],
        ratios=_ratios(report),
        plots=_plots(report, stages, names),
        painted=any(report.seen_s(mode, PAINTED) for mode in MODES),
        stages=stages,
        runs=report.runs,
    )


def stage_order(report: CreateReport, names: Mapping[str, str]) -> list[str]:
    """Every stage that was reached: the known ones in their order, then the others as they came. Pure."""
    seen = dict.fromkeys(stage for mode in reversed(MODES) for stage in report.stages(mode))
    return [stage for stage in names if stage in seen] + [stage for stage in seen if stage not in names]


def _under(report: CreateReport) -> str:
    """What stands beside every figure; the packager's addition to QEMU's version is left to the facts."""
    qemu = report.versions.get("qemu", "unknown").partition(" (")[0]
    return f"QEMU {qemu}, accelerator {report.accelerator}"


def _facts(report: CreateReport) -> dict[str, str]:
    facts = {
        "QEMU": report.versions.get("qemu", "unknown"),
        "Accelerator": report.accelerator + (f": {report.why}" if report.why else ""),
    }
    if report.host is not None:
        host = report.host
        facts["Cores"] = f"{host.cores}" + (f" of {host.cpu}" if host.cpu else "")
        facts["Memory"] = f"{host.memory_mib / 1024:.1f} GiB"
        facts["Host kernel"] = host.kernel
    if report.machine:
        machine = report.machine
        facts["Each session"] = f"{machine['profile']}, {machine['vcpus']} vCPUs, {machine['memory_mib']} MiB"
    if report.browser:
        facts["Browser"] = f"{report.browser}, on the same host"
        facts["First picture over"] = _transports(report)
    if "image" in report.versions:
        facts["Golden image"] = report.versions["image"]
    return facts


def _transports(report: CreateReport) -> str:
    every = [transport for mode in MODES for transport in report.transports[mode]]
    return ", ".join(f"{name} ({every.count(name)} of {len(every)})" for name in dict.fromkeys(every)) or "none"


def _rows(report: CreateReport, stages: Sequence[str], names: Mapping[str, str]) -> list[Row]:
    table = [
        Row(stage, names.get(stage, stage), [_cell(report.seen_s(mode, stage)) for mode in MODES]) for stage in stages
    ]
    bare = [[run["ready"] - run.get("disk", 0.0) for run in report.runs[mode] if "ready" in run] for mode in MODES]
    after_ready = stages.index("ready") + 1 if "ready" in stages else len(table)
    table.insert(after_ready, Row("", "ready, disk copy left out", [_cell(seen) for seen in bare]))
    return table


def _cell(seen: Sequence[float]) -> Cell:
    if not seen:
        return Cell()
    return Cell(f"{statistics.median(seen):.2f}", f"{min(seen):.2f}–{max(seen):.2f}", len(seen))


def _ratios(report: CreateReport) -> list[Ratio]:
    every = {
        "ready": report.stage_ratios("ready"),
        "ready, disk copy left out": report.ratios(),
        "first frame painted": report.stage_ratios(PAINTED),
    }
    return [
        Ratio(label, [f"{values[mode]:.1f}" if mode in values else "" for mode in MODES if mode != "cold"])
        for label, values in every.items()
        if values
    ]


def _plots(report: CreateReport, stages: Sequence[str], names: Mapping[str, str]) -> list[Plot]:
    def plot(title: str, svg: str) -> Plot:
        # The SVG is made by this program, of numbers and of names that it escapes.
        return Plot(f"{title} {_under(report)}.", Markup(svg))

    plots = []
    for stage in ("ready", PAINTED):
        if any(report.seen_s(mode, stage) for mode in MODES):
            title = f"Seconds to “{names.get(stage, stage)}”, every run, logarithmic."
            plots.append(plot(title, runs_plot(report, stage, title)))
    if stages:
        title = "Median seconds from the request to each stage, logarithmic."
        plots.append(plot(title, stages_plot(report, stages, title)))
    return plots
