"""What a run found, and how Fenster compares. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.bench.photon.stats import STATISTICS, Ratio, ratio, summary

__all__ = [
    "BOUNDS",
    "OURS",
    "WORK_BOUNDS",
    "Bound",
    "Cost",
    "Presses",
    "Results",
    "Verdict",
    "WorkBound",
    "WorkVerdict",
]

OURS = "fenster"


@dataclass
class Presses:
    """Milliseconds from the DOM's event to the changed pixel; presses that showed nothing; the servers' work."""

    ms: list[float] = field(default_factory=list)
    missed: int = 0
    cpu_s: float = 0.0
    elapsed_s: float = 0.0
    rounds: list[int] = field(default_factory=list)
    """How many of ``ms`` came from each round."""

    def add(self, more: Presses) -> None:
        self.ms += more.ms
        self.missed += more.missed
        self.cpu_s += more.cpu_s
        self.elapsed_s += more.elapsed_s
        self.rounds.append(len(more.ms))

    @property
    def cores(self) -> float:
        """Processor time of the server side for each second."""
        return self.cpu_s / self.elapsed_s if self.elapsed_s else 0.0


@dataclass
class Cost:
    """Of stretches of motion, or of none. Bytes are those of the whole loopback interface."""

    cpu_s: float = 0.0
    elapsed_s: float = 0.0
    bytes: int = 0
    frames: int = 0
    keyframes: int = 0
    """That the browser decoded, by WebRTC."""

    def add(self, more: Cost) -> None:
        self.cpu_s += more.cpu_s
        self.keyframes += more.keyframes
        self.elapsed_s += more.elapsed_s
        self.bytes += more.bytes
        self.frames += more.frames

    @property
    def cores(self) -> float:
        return self.cpu_s / self.elapsed_s if self.elapsed_s else 0.0

    @property
    def fps(self) -> float:
        return self.frames / self.elapsed_s if self.elapsed_s else 0.0

    @property
    def mbps(self) -> float:
        return self.bytes * 8e-6 / self.elapsed_s if self.elapsed_s else 0.0


@dataclass(frozen=True, slots=True)
class Bound:
    """What is aimed at: ``statistic`` of our clicks at most ``limit`` times that of a rival, on displays so high."""

    rival: str
    statistic: str
    limit: float
    height_px: int


BOUNDS = (
    Bound("selkies-webrtc", "p50", 0.65, 720),
    Bound("selkies-webrtc", "mean", 0.75, 720),
    Bound("selkies-webrtc", "p95", 0.85, 720),
    Bound("novnc", "p50", 0.3, 720),
    Bound("selkies-webrtc", "mean", 0.85, 1080),
)


@dataclass(frozen=True, slots=True)
class WorkBound:
    """The server side's processor time while ``doing``: at most ``limit`` times the rival's; without one, ``limit``
    cores."""

    doing: str
    rival: str | None
    limit: float
    height_px: int = 720


WORK_BOUNDS = (
    WorkBound("click", "selkies-webrtc", 0.5),
    WorkBound("scroll", "selkies-webrtc", 1.0),
    WorkBound("idle", None, 0.02),
)


@dataclass(frozen=True, slots=True)
class WorkVerdict:
    bound: WorkBound
    value: float

    @property
    def holds(self) -> bool:
        return self.value <= self.bound.limit


@dataclass(frozen=True, slots=True)
class Verdict:
    bound: Bound
    ratio: Ratio

    @property
    def holds(self) -> bool:
        """The whole interval lies under the bound."""
        return self.ratio.high <= self.bound.limit


@dataclass
class Results:
    size_px: tuple[int, int]
    began: str
    """UTC, ISO 8601."""
    facts: Mapping[str, str]
    presses: dict[str, dict[str, Presses]] = field(default_factory=dict)
    """By kind ("click", "key"), then by product."""
    costs: dict[str, dict[str, Cost]] = field(default_factory=dict)
    """By motion ("scroll", "animate", "idle"), then by product."""

    def products(self) -> list[str]:
        pressed = [name for by_product in self.presses.values() for name in by_product]
        return list(dict.fromkeys([*pressed, *(name for by in self.costs.values() for name in by)]))

    def verdicts(self) -> Iterator[Verdict]:
        """For each bound whose rival and size were measured."""
        clicks = self.presses.get("click", {})
        for bound in BOUNDS:
            ours, theirs = clicks.get(OURS), clicks.get(bound.rival)
            if (
                bound.height_px == self.size_px[1]
                and ours is not None
                and theirs is not None
                and ours.ms
                and theirs.ms
            ):
                yield Verdict(bound, ratio(bound.statistic, ours.ms, theirs.ms))

    def work_verdicts(self) -> Iterator[WorkVerdict]:
        """For each bound on work that was measured."""
        work: dict[str, Mapping[str, Presses | Cost]] = {**self.presses, **self.costs}
        for bound in WORK_BOUNDS:
            by_product = work.get(bound.doing, {})
            ours, theirs = by_product.get(OURS), by_product.get(bound.rival or OURS)
            if bound.height_px == self.size_px[1] and ours is not None and theirs is not None and theirs.cores:
                yield WorkVerdict(bound, ours.cores / theirs.cores if bound.rival else ours.cores)

    def ratios(self, kind: str) -> dict[str, dict[str, Ratio]]:
        """Ours to each rival's, by rival and statistic."""
        ours = self.presses.get(kind, {}).get(OURS)
        if ours is None or not ours.ms:
            return {}
        return {
            name: {statistic: ratio(statistic, ours.ms, theirs.ms) for statistic in STATISTICS}
            for name, theirs in self.presses[kind].items()
            if name != OURS and theirs.ms
        }

    def as_json(self) -> dict[str, Any]:
        return {
            "began": self.began,
            "size_px": list(self.size_px),
            "facts": dict(self.facts),
            "presses": {
                kind: {name: {**asdict(one), **_figures(one)} for name, one in by_product.items()}
                for kind, by_product in self.presses.items()
            },
            "costs": {
                motion: {
                    name: {**asdict(one), "cores": one.cores, "fps": one.fps, "mbps": one.mbps}
                    for name, one in by_product.items()
                }
                for motion, by_product in self.costs.items()
            },
            "ratios": {
                kind: {rival: {name: asdict(value) for name, value in by.items()} for rival, by in ratios.items()}
                for kind in self.presses
                if (ratios := self.ratios(kind))
            },
            "bounds": [{**asdict(v.bound), **asdict(v.ratio), "holds": v.holds} for v in self.verdicts()],
            "work_bounds": [{**asdict(v.bound), "value": v.value, "holds": v.holds} for v in self.work_verdicts()],
        }


def _figures(presses: Presses) -> dict[str, float]:
    return {**(summary(presses.ms) if presses.ms else {}), "cores": presses.cores}
