"""bench: figures, with their peers in the same run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from gateway import log
from gateway.app import make_driver, running, serving
from gateway.bench.create import MODES, PAINTED, CreateReport, Gateway, measure
from gateway.bench.facts import this_host
from gateway.cli import options
from gateway.cli.extras import check_browser, check_place, missing, write
from gateway.cli.output import console, emit, notes
from gateway.cli.progress import STAGES
from gateway.netns.userns import ensure_privileges
from gateway.settings import Settings, load

__all__ = ["bench"]

bench = typer.Typer(no_args_is_help=True)

_SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "cold": {"clones": False, "pool_size": 0},
    "clone": {"clones": True, "pool_size": 0},
    "pool": {"clones": True, "pool_size": 1},
}
_NO_SETTINGS = ("runs", "html", "browser", "config", "as_json")
_LOOPBACK: Mapping[str, Any] = {"host": "127.0.0.1", "port": 0, "media_port": 0, "advertise": ()}
"""Where the browser finds a gateway: on free ports, and out of nobody else's reach."""

Html = Annotated[Path | None, typer.Option("--html", help="Write the report to this file, too, as a web page.")]
Browser = Annotated[
    Path | None, typer.Option("--browser", help="A Chromium's binary: time the first painted frame, too.")
]


@bench.callback()
def _bench() -> None:
    """Measure this host."""
    # With one command and no callback, typer would drop the command's name.


@bench.command()
def create(
    runs: Annotated[int, typer.Option(min=1, max=100, help="Sessions in each mode.")] = 10,
    html: Html = None,
    browser: Browser = None,
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
    flags = {key: value for key, value in locals().items() if key not in _NO_SETTINGS}
    settings = load(flags, config=config)
    log.configure("warning", json=settings.log_json)
    # What is missing is said before minutes of measuring, not after.
    render = _renderer(html) if html is not None else None
    if browser is not None:
        check_browser(browser)
    ensure_privileges()
    report = asyncio.run(_create(settings, runs, browser))
    if as_json:
        emit(report.as_json())
    else:
        _print(report)
    if html is not None and render is not None:
        write(html, render(report, STAGES))


def _renderer(html: Path) -> Callable[[CreateReport, Mapping[str, str]], str]:
    """What makes the page. Raises ConfigError: a package is missing, or there is no place for the file."""
    try:
        from gateway.bench.report import render
    except ModuleNotFoundError as exc:
        raise missing("--html", exc, "bench") from exc
    check_place(html)
    return render


async def _create(settings: Settings, runs: int, browser: Path | None) -> CreateReport:
    facts = await make_driver(settings).check()
    machine: dict[str, int | str] = {
        "profile": settings.profile,
        "vcpus": settings.vcpus,
        "memory_mib": settings.memory_mib,
    }
    report = CreateReport(facts.versions, facts.accelerator, why=facts.why, host=this_host(), machine=machine)

    def progress(mode: str, timings: Mapping[str, float]) -> None:
        painted = f", painted after {timings[PAINTED]:.2f} s" if PAINTED in timings else ""
        notes().print(f"{mode:6} ready after {timings['ready']:.2f} s{painted}")

    gateways = {mode: partial(_gateway, settings, mode, browser, report) for mode in MODES}
    await measure(gateways, runs, report, progress)
    return report


@asynccontextmanager
async def _gateway(
    settings: Settings, mode: str, browser: Path | None, report: CreateReport
) -> AsyncIterator[Gateway]:
    """A gateway of that mode; with a browser it answers HTTP on the loopback, and the browser runs beside it."""
    settings = settings.model_copy(update=_SETTINGS[mode])
    if browser is None:
        async with running(settings, media_port=0) as services:
            yield Gateway(services.manager)
        return
    from gateway.bench.browser import chromium

    async with (
        serving(settings.model_copy(update=_LOOPBACK)) as served,
        chromium(browser, served.url, served.services.keys.api_key) as looking,
    ):
        report.browser = looking.version
        yield Gateway(served.services.manager, looking.page)


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
