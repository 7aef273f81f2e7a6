"""verify: what a session must show, on a fresh machine."""

from __future__ import annotations

import asyncio
import signal

import typer
from rich.markup import escape

from gateway import log
from gateway.app import running
from gateway.cli import options
from gateway.cli.output import console, emit, notes
from gateway.cli.progress import StageLines
from gateway.netns.userns import ensure_privileges
from gateway.sessions.view import SessionView
from gateway.settings import Settings, load
from gateway.verify.report import Check, Report
from gateway.verify.run import plan
from gateway.verify.run import verify as run_verify

__all__ = ["verify"]


def verify(
    driver: options.Driver = None,
    accel: options.Accel = None,
    profile: options.Profile = None,
    vcpus: options.Vcpus = None,
    memory_mib: options.Memory = None,
    hello_timeout_s: options.Hello = None,
    ready_timeout_s: options.Ready = None,
    state_dir: options.StateDir = None,
    cache_dir: options.CacheDir = None,
    run_dir: options.RunDir = None,
    log_level: options.LogLevel = None,
    config: options.Config = None,
    as_json: options.AsJson = False,
) -> None:
    """Start a fresh machine and check what a session must show."""
    flags = {key: value for key, value in locals().items() if key not in ("config", "as_json")}
    settings = load(flags, config=config)
    log.configure(settings.log_level if log_level is not None else "warning", json=settings.log_json)
    ensure_privileges()
    report = asyncio.run(_verify(settings, as_json=as_json))
    if as_json:
        emit(report.as_json())
    else:
        passed = sum(check.ok for check in report.checks)
        color = "green" if report.ok else "red"
        console().print(f"[{color}]{passed} of {len(report.checks)} checks passed[/{color}] ({report.accelerator})")
    if not report.ok:
        raise typer.Exit(1)


async def _verify(settings: Settings, *, as_json: bool) -> Report:
    # A signal ends the machine in order, as a passed verification does.
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    out, lines = console(), StageLines(notes())
    width = max(len(name) for name, _ in plan())

    def progress(view: SessionView) -> None:
        if not as_json:
            lines(view.timings)

    def checked(check: Check) -> None:
        if not as_json:
            mark = "[green]ok  [/green]" if check.ok else "[red]fail[/red]"
            out.print(f"{mark}  {check.name:{width}}  {escape(check.detail)}", soft_wrap=True)

    async with running(settings, media_port=0) as services:
        return await run_verify(
            services.manager,
            progress=progress,
            checked=checked,
            out=settings.proxy,
            looked_at=bool(settings.proxy_check_url),
        )
