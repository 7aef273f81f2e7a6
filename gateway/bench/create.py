"""How long a session takes to be ready: booted cold, cloned from a snapshot, and taken from the warm pool.

All on this host, one after the other, in one run. With a browser, also how long until it shows the desktop.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from gateway.bench.facts import Host
from gateway.errors import GatewayError
from gateway.sessions.manager import SessionManager
from gateway.sessions.session import Session

__all__ = ["MODES", "PAINTED", "CreateReport", "Gateway", "ViewerPage", "measure"]

MODES = ("pool", "clone", "cold")
PAINTED = "painted"
"""The stage that only a browser reaches."""
PAINT_LIMIT_S = 60.0
"""After ready; longer than the viewer tries WebRTC and then noVNC."""


class ViewerPage(Protocol):
    """A browser's page that has loaded the viewer, and waits for a session to show."""

    async def ask(self) -> str:
        """Ask the gateway for a session and go to it; the session's id. Raises GatewayError."""

    async def says(self) -> Mapping[str, str]:
        """What the viewer says of itself, such as its ``transport``. Raises GatewayError."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running gateway of one mode."""

    manager: SessionManager
    open_page: Callable[[], AbstractAsyncContextManager[ViewerPage]] | None = None
    """How to load the viewer in a browser; None where none looks."""


@dataclass(slots=True)
class CreateReport:
    """Seconds from the request to each stage, run by run."""

    versions: Mapping[str, str]
    accelerator: str
    why: str = ""
    """Why this accelerator, in a sentence."""
    host: Host | None = None
    machine: Mapping[str, int | str] = field(default_factory=dict)
    """What each session was given: profile, vcpus, memory_mib."""
    browser: str = ""
    """Name and version of the browser that looked; empty when none did."""
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    runs: dict[str, list[dict[str, float]]] = field(default_factory=lambda: {mode: [] for mode in MODES})
    transports: dict[str, list[str]] = field(default_factory=lambda: {mode: [] for mode in MODES})
    """How the first picture came, run by run; empty without a browser."""

    def seen_s(self, mode: str, stage: str) -> list[float]:
        """Of the runs that reached the stage, in their order."""
        return [run[stage] for run in self.runs[mode] if stage in run]

    def median_s(self, mode: str, stage: str = "ready") -> float | None:
        """Of the runs that reached the stage; None when none did."""
        seen = self.seen_s(mode, stage)
        return statistics.median(seen) if seen else None

    def without_disk_s(self, mode: str) -> float | None:
        """Median of ready less the disk copy, which can be made ahead."""
        seen = [run["ready"] - run.get("disk", 0.0) for run in self.runs[mode] if "ready" in run]
        return statistics.median(seen) if seen else None

    def stages(self, mode: str) -> list[str]:
        """In the order of their medians."""
        names = {name for run in self.runs[mode] for name in run}
        return sorted(names, key=lambda name: self.median_s(mode, name) or 0.0)

    def ratios(self) -> dict[str, float]:
        """How many times longer a cold boot takes to be ready, the disk copies left out."""
        return _cold_over(self.without_disk_s)

    def stage_ratios(self, stage: str) -> dict[str, float]:
        """How many times longer a cold boot takes to reach the stage, the disk copies counted."""
        return _cold_over(lambda mode: self.median_s(mode, stage))

    def as_json(self) -> dict[str, Any]:
        medians = {mode: {stage: self.median_s(mode, stage) for stage in self.stages(mode)} for mode in MODES}
        return {
            "versions": dict(self.versions),
            "accelerator": self.accelerator,
            "runs": self.runs,
            "medians_s": medians,
            "ready_without_disk_s": {mode: self.without_disk_s(mode) for mode in MODES},
            "cold_over": self.ratios(),
            "cold_over_with_disk": {stage: self.stage_ratios(stage) for stage in ("ready", PAINTED)},
            "began": self.began.isoformat(timespec="seconds"),
            "why": self.why,
            "host": asdict(self.host) if self.host is not None else None,
            "machine": dict(self.machine),
            "browser": self.browser or None,
            "transports": self.transports,
        }


def _cold_over(median_s: Callable[[str], float | None]) -> dict[str, float]:
    cold = median_s("cold")
    others = {mode: median_s(mode) for mode in MODES if mode != "cold"}
    return {mode: round(cold / value, 1) for mode, value in others.items() if cold and value}


async def measure(
    gateways: Mapping[str, Callable[[], AbstractAsyncContextManager[Gateway]]],
    runs: int,
    report: CreateReport,
    progress: Callable[[str, Mapping[str, float]], None],
) -> None:
    """Create and destroy ``runs`` sessions in each mode, adding their stages to ``report``.

    Args:
        gateways: for each of MODES, how to run a gateway that creates sessions in that way.
        progress: told each session's mode and stages once it is ready, and painted where a browser looks.

    Raises:
        GatewayError: a session did not come up, or the browser did not show it.
    """
    for mode in MODES:
        async with gateways[mode]() as gateway:
            for _ in range(runs):
                if mode == "pool":
                    await gateway.manager.pool.filled()
                timings, transport = await _one(gateway)
                report.runs[mode].append(timings)
                if transport is not None:
                    report.transports[mode].append(transport)
                progress(mode, timings)


async def _one(gateway: Gateway) -> tuple[dict[str, float], str | None]:
    """A session's stages, and over what its picture came; None without a browser."""
    async with gateway.open_page() if gateway.open_page is not None else nullcontext() as page:
        session = await gateway.manager.create() if page is None else gateway.manager.get(await page.ask())
        try:
            await session.wait_ready()
            transport = await _painted(session, page) if page is not None else None
            return dict(session.timings), transport
        finally:
            await asyncio.shield(gateway.manager.destroy(session.id))


async def _painted(session: Session, page: ViewerPage) -> str:
    """Wait for the viewer's own word that it shows a picture; over what it came."""
    try:
        async with asyncio.timeout(PAINT_LIMIT_S):
            await _marked(session)
    except TimeoutError:
        said = " ".join(f"{key}={value}" for key, value in (await page.says()).items())
        raise GatewayError(
            f"{session.id} was ready, but the browser showed no picture within {PAINT_LIMIT_S:.0f} s ({said})",
            hint="a browser that decodes H.264 is needed: try another with --browser, or leave it out",
        ) from None
    return (await page.says()).get("transport", "unknown")


async def _marked(session: Session) -> None:
    with session.updates.watch() as updates:
        while (view := await updates.get()) is not None:
            if PAINTED in view.timings:
                return
            if view.error is not None:
                raise GatewayError(view.error.message, hint=view.error.hint)
    raise GatewayError("the session was stopped")
