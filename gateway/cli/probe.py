"""probe: what a viewer of a running session gets, stage by stage; an exit status by limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.table import Table

from gateway.bench.facts import this_host
from gateway.cli import options
from gateway.cli.extras import check_browser, check_place, missing, write
from gateway.cli.output import console, emit, notes
from gateway.cli.reach import reach
from gateway.probe.api import Session, Way, marked
from gateway.probe.limits import Verdict, judge, parse_limit
from gateway.probe.run import Plan, run
from gateway.probe.samples import STAGES, Results

__all__ = ["probe"]

BROKEN = 3
"""Exit status when a limit does not hold."""
TRANSPORTS: tuple[Literal["webrtc", "novnc"], ...] = ("webrtc", "novnc")

Require = Annotated[
    list[str] | None,
    typer.Option("--require", help="A limit, such as webrtc.total.p95<=50 (ms); status 3 when it breaks."),
]

Html = Annotated[Path | None, typer.Option("--html", help="Write the report to this file, too, as a web page.")]


def probe(
    sid: Annotated[str, typer.Argument(help="The session's id.")],
    presses: Annotated[int, typer.Option(min=1, max=10_000, help="Of each way, in all rounds together.")] = 60,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Each connects anew.")] = 3,
    motion_s: Annotated[float, typer.Option(min=0, max=25, help="How long each round lets the screen blink.")] = 5.0,
    press: Annotated[str, typer.Option(help="click or key.")] = "click",
    browser: Annotated[Path, typer.Option(help="A Chromium's binary.")] = Path("/usr/bin/chromium"),
    headless_peer: Annotated[bool, typer.Option(help="An aiortc peer in place of a browser: WebRTC only.")] = False,
    require: Require = None,
    html: Html = None,
    as_json: options.AsJson = False,
    url: options.Url = None,
    state_dir: options.StateDir = None,
    config: options.Config = None,
) -> None:
    """Measure latency from press to pixel, frame rate, bitrate, loss and reconnecting, by WebRTC and by noVNC."""
    if press not in ("click", "key"):
        raise typer.BadParameter("click or key", param_hint="--press")
    legs = ("peer",) if headless_peer else TRANSPORTS
    limits = [parse_limit(text, legs) for text in require or ()]
    # What is missing is said before minutes of measuring, not after.
    render = _renderer(html) if html is not None else None
    if not headless_peer:
        check_browser(browser)
    plan = Plan(presses, rounds, motion_s)

    async def measure() -> Results:
        async with reach(url, state_dir, config) as api:
            view = await api.call("GET", f"/v1/sessions/{sid}")
            async with marked(api, sid) as session, _ways(browser, press, headless_peer) as ways:
                results = await run(plan, session, ways, lambda said: notes().print(said))
        results.facts |= _facts(view, session, press)
        return results

    results = asyncio.run(measure())
    verdicts = judge(limits, results)
    if as_json:
        emit({**results.as_json(), "limits": [_verdict(verdict) for verdict in verdicts]})
    else:
        _print(results, verdicts)
    if html is not None and render is not None:
        write(html, render(results, verdicts))
    if not all(verdict.holds for verdict in verdicts):
        raise typer.Exit(BROKEN)


@asynccontextmanager
async def _ways(browser: Path, press: str, headless_peer: bool) -> AsyncIterator[Sequence[Way]]:
    kind: Literal["click", "key"] = "key" if press == "key" else "click"
    if headless_peer:
        try:
            from gateway.probe.peer import PeerWay
        except ModuleNotFoundError as exc:
            raise missing("--headless-peer", exc, "agent") from exc
        yield [PeerWay(kind)]
        return
    from gateway.bench.browser import launched
    from gateway.probe.browser import BrowserWay

    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(launched(browser))
        yield [BrowserWay(running, transport, kind) for transport in TRANSPORTS]


def _renderer(html: Path) -> Any:
    try:
        from gateway.probe.report import render
    except ModuleNotFoundError as exc:
        raise missing("--html", exc, "bench") from exc
    check_place(html)
    return render


def _facts(view: dict[str, Any], session: Session, press: str) -> dict[str, str]:
    host = this_host()
    return {
        "Display": "{}x{}".format(*session.display_px),
        "Pressed": "left mouse button" if press == "click" else "the key a",
        "Accelerator": str(view["accelerator"] or "none"),
        "Prober": f"{host.cores} cores" + (f" of {host.cpu}" if host.cpu else ""),
        "Kernel": host.kernel,
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {"limit": str(verdict.limit), "value": verdict.value, "holds": verdict.holds}


def _print(results: Results, verdicts: Sequence[Verdict]) -> None:
    table = Table(title=f"Session {results.session}, ms from the press")
    table.add_column("stage", no_wrap=True)
    for name in results.legs:
        for statistic in ("p50", "p95", "p99"):
            table.add_column(f"{name}\n{statistic}", justify="right")
    metrics = {name: leg.metrics() for name, leg in results.legs.items()}
    for stage in (*STAGES, "total", "first_frame", "reconnect", "return"):
        cells = [metrics[name].get(f"{stage}.{s}") for name in results.legs for s in ("p50", "p95", "p99")]
        if any(cell is not None for cell in cells):
            table.add_row(stage, *("" if cell is None else f"{cell:.1f}" for cell in cells))
    console().print(table)
    for name, leg in results.legs.items():
        found = metrics[name]
        said = [f"{len(leg.presses)} presses, {leg.missed} missed"]
        said += [f"{found['fps']:.1f} frames/s, {found['mbps']:.3f} Mb/s while it blinked"] if "fps" in found else []
        said += [f"{found['loss_percent']:.2f} % of the packets lost"] if "loss_percent" in found else []
        console().print(f"{name}: {'; '.join(said)}")
    for verdict in verdicts:
        value = "not measured" if verdict.value is None else f"{verdict.value:.2f}"
        console().print(f"{'holds' if verdict.holds else 'BROKEN'}: {verdict.limit} ({value})")
