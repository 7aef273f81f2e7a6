"""bench: figures, with their peers in the same run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Annotated, Any

import typer
from rich.table import Table

from gateway import log
from gateway.app import make_driver, running
from gateway.bench.create import MODES, CreateReport, Gateway, measure
from gateway.cli import options
from gateway.cli.output import console, emit, notes
from gateway.netns.userns import ensure_privileges
from gateway.settings import Settings, load

__all__ = ["bench"]

bench = typer.Typer(no_args_is_help=True)

_SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "cold": {"clones": False, "pool_size": 0},
    "clone": {"clones": True, "pool_size": 0},
    "pool": {"clones": True, "pool_size": 1},
}


@bench.callback()
def _bench() -> None:
    """Measure this host."""
    # With one command and no callback, typer would drop the command's name.


@bench.command()
def create(
    runs: Annotated[int, typer.Option(min=1, max=100, help="Sessions in each mode.")] = 10,
    accel: options.Accel = None,
    profile: options.Profile = None,
    vcpus: options.Vcpus = None,
    memory_mib: options.Memory = None,
    state_dir: options.StateDir = None,
    cache_dir: options.CacheDir = None,
    run_dir: options.RunDir = None,
    config: options.Config = None,
    as_json: options.AsJson = False,
) -> None:
    """Time from the request to a ready session: booted, cloned, and from the warm pool."""
    flags = {key: value for key, value in locals().items() if key not in ("runs", "config", "as_json")}
    settings = load(flags, config=config)
    log.configure("warning", json=settings.log_json)
    ensure_privileges()
    report = asyncio.run(_create(settings, runs))
    if as_json:
        emit(report.as_json())
    else:
        _print(report)


async def _create(settings: Settings, runs: int) -> CreateReport:
    facts = await make_driver(settings).check()
    report = CreateReport(facts.versions, facts.accelerator)

    def gateway(mode: str) -> AbstractAsyncContextManager[Gateway]:
        return running(settings.model_copy(update=_SETTINGS[mode]), media_port=0)

    def progress(mode: str, timings: Mapping[str, float]) -> None:
        notes().print(f"{mode:6} ready after {timings['ready']:.2f} s")

    await measure({mode: partial(gateway, mode) for mode in MODES}, runs, report, progress)
    return report


def _print(report: CreateReport) -> None:
    qemu = report.versions.get("qemu", "unknown")
    table = Table(title=f"Medians in s, {report.accelerator}, QEMU {qemu}")
    table.add_column("stage")
    for mode in MODES:
        table.add_column(f"{mode} (n={len(report.runs[mode])})", justify="right")
    stages = dict.fromkeys(stage for mode in reversed(MODES) for stage in report.stages(mode))
    rows = {stage: [report.median_s(mode, stage) for mode in MODES] for stage in stages}
    rows["ready, disk copy left out"] = [report.without_disk_s(mode) for mode in MODES]
    for stage, values in rows.items():
        table.add_row(stage, *("" if value is None else f"{value:.2f}" for value in values))
    console().print(table)
    for mode, ratio in report.ratios().items():
        console().print(f"cold boot / {mode}: {ratio:g}")
