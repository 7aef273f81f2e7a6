"""How long a session takes to be ready: booted cold, cloned from a snapshot, and taken from the warm pool.

All on this host, one after the other, in one run.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.sessions.manager import SessionManager

__all__ = ["MODES", "CreateReport", "Gateway", "measure"]

MODES = ("pool", "clone", "cold")


class Gateway(Protocol):
    """A running gateway of one mode."""

    @property
    def manager(self) -> SessionManager: ...


@dataclass(slots=True)
class CreateReport:
    """Seconds from the request to each stage, run by run."""

    versions: Mapping[str, str]
    accelerator: str
    runs: dict[str, list[dict[str, float]]] = field(default_factory=lambda: {mode: [] for mode in MODES})

    def median_s(self, mode: str, stage: str = "ready") -> float | None:
        """Of the runs that reached the stage; None when none did."""
        seen = [run[stage] for run in self.runs[mode] if stage in run]
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
        cold = self.without_disk_s("cold")
        others = {mode: self.without_disk_s(mode) for mode in MODES if mode != "cold"}
        return {mode: round(cold / value, 1) for mode, value in others.items() if cold and value}

    def as_json(self) -> dict[str, Any]:
        medians = {mode: {stage: self.median_s(mode, stage) for stage in self.stages(mode)} for mode in MODES}
        return {
            "versions": dict(self.versions),
            "accelerator": self.accelerator,
            "runs": self.runs,
            "medians_s": medians,
            "ready_without_disk_s": {mode: self.without_disk_s(mode) for mode in MODES},
            "cold_over": self.ratios(),
        }


async def measure(
    gateways: Mapping[str, Callable[[], AbstractAsyncContextManager[Gateway]]],
    runs: int,
    report: CreateReport,
    progress: Callable[[str, Mapping[str, float]], None],
) -> None:
    """Create and destroy ``runs`` sessions in each mode, adding their stages to ``report``.

    Args:
        gateways: for each of MODES, how to run a gateway that creates sessions in that way.
        progress: told each session's mode and stages once it is ready.

    Raises:
        GatewayError: a session did not come up.
    """
    for mode in MODES:
        async with gateways[mode]() as gateway:
            for _ in range(runs):
                if mode == "pool":
                    await gateway.manager.pool.filled()
                timings = await _one(gateway.manager)
                report.runs[mode].append(timings)
                progress(mode, timings)


async def _one(manager: SessionManager) -> dict[str, float]:
    session = await manager.create()
    try:
        await session.wait_ready()
        return dict(session.timings)
    finally:
        await asyncio.shield(manager.destroy(session.id))
