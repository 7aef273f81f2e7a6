"""What a probe found, and its figures. Pure.

Stages add up to the total. They are, by WebRTC:

======= ================================================================================================
input   the press in the page, to its having been handed to the X server (channel, relay, agent, XTEST)
x       to the damage that it did (X server, marker window)
capture to the picture being grabbed and converted
encode  to the encoded frame
network to its last packet in the browser (packets, agent's loop, relay, browser's socket)
decode  to the decoded frame being handed to the compositor (jitter buffer, decoder)
paint   to the changed pixel being readable in the page; none for a peer without a page
======= ================================================================================================

By noVNC the server tells of no frame: ``input`` ends when the marker window read the event, ``x`` when it drew, and
``rest`` is everything after that.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.probe.clocks import Clock
from guest_agent.protocol.messages import FrameTimes

__all__ = ["PERCENTILES", "STAGES", "Leg", "Motion", "Press", "Results", "figures", "percentile", "split_frame"]

STAGES = ("input", "x", "capture", "encode", "network", "decode", "paint", "rest")
PERCENTILES = (50, 95, 99)


@dataclass(frozen=True, slots=True)
class Press:
    """One that was answered. ``stages_ms`` is empty when its frame's times did not come; else it adds up."""

    total_ms: float
    stages_ms: Mapping[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Motion:
    """While the strip blinked 60 times a second."""

    elapsed_s: float = 0.0
    changes: int = 0
    """Of the strip, as they were seen."""
    bytes: int = 0
    packets: int = 0
    """Received by RTP."""
    lost: int = 0

    def add(self, more: Motion) -> None:
        self.elapsed_s += more.elapsed_s
        self.changes += more.changes
        self.bytes += more.bytes
        self.packets += more.packets
        self.lost += more.lost


@dataclass(slots=True)
class Leg:
    """One way to the desktop, all rounds together."""

    presses: list[Press] = field(default_factory=list)
    missed: int = 0
    """Presses that changed nothing within the limit."""
    motion: Motion = field(default_factory=Motion)
    first_frame_ms: list[float] = field(default_factory=list)
    reconnect_ms: list[float] = field(default_factory=list)
    """From the connection being taken away to a picture again, by whatever way."""
    return_ms: list[float] = field(default_factory=list)
    """To a picture by the same way again."""

    def metrics(self) -> dict[str, float]:
        """By name, such as ``total.p95``, ``encode.p50``, ``fps``; what was not measured is left out."""
        found: dict[str, float] = {"missed": self.missed}
        series = {
            "total": [press.total_ms for press in self.presses],
            **{stage: self.stage_ms(stage) for stage in STAGES},
            "first_frame": self.first_frame_ms,
            "reconnect": self.reconnect_ms,
            "return": self.return_ms,
        }
        for name, values in series.items():
            found |= {f"{name}.{statistic}": value for statistic, value in figures(values).items()}
        motion = self.motion
        if motion.elapsed_s:
            found["fps"] = motion.changes / motion.elapsed_s
            found["mbps"] = motion.bytes * 8e-6 / motion.elapsed_s
        if motion.packets:
            found["loss_percent"] = 100 * motion.lost / (motion.packets + motion.lost)
        return found

    def stage_ms(self, stage: str) -> list[float]:
        return [press.stages_ms[stage] for press in self.presses if stage in press.stages_ms]

    def as_json(self) -> dict[str, Any]:
        metrics = {name: round(value, 3) for name, value in self.metrics().items()}
        joined = sum(bool(press.stages_ms) for press in self.presses)
        samples = [
            {"total_ms": round(p.total_ms, 3), **{s: round(ms, 3) for s, ms in p.stages_ms.items()}}
            for p in self.presses
        ]
        return {"presses": len(self.presses), "with_stages": joined, "metrics": metrics, "samples": samples}


@dataclass(slots=True)
class Results:
    session: str
    began: str
    """UTC, ISO 8601."""
    facts: dict[str, str] = field(default_factory=dict)
    legs: dict[str, Leg] = field(default_factory=dict)
    """By name: webrtc, novnc, peer."""

    def as_json(self) -> dict[str, Any]:
        legs = {name: leg.as_json() for name, leg in self.legs.items()}
        return {"session": self.session, "began": self.began, "facts": self.facts, "legs": legs}


def figures(values: Sequence[float]) -> dict[str, float]:
    """p50, p95, p99 and the mean; nothing of nothing."""
    if not values:
        return {}
    return {**{f"p{p}": percentile(values, p) for p in PERCENTILES}, "mean": math.fsum(values) / len(values)}


def percentile(values: Sequence[float], percent: float) -> float:
    """Between the two nearest ranks, linearly (type 7 of Hyndman and Fan, as numpy's default)."""
    ordered = sorted(values)
    at = (len(ordered) - 1) * percent / 100
    below = math.floor(at)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (at - below)


def split_frame(
    times: FrameTimes, clock: Clock, *, pressed_ms: float, received_ms: float, decoded_ms: float, seen_ms: float
) -> dict[str, float]:
    """The stages between a press and the frame that showed it; empty when they cannot be told.

    A frame that shows an older input only, or instants that do not follow one another by more than the clocks may be
    apart, belong to something else.
    """
    error_ms = clock.error_ms(pressed_ms)
    if error_ms is None:
        return {}
    guest = (times.injected, times.damaged, times.captured, times.encoded)
    instants = [clock.to_ms(at, pressed_ms) for at in guest]
    known = [at for at in instants if at is not None]
    edges = [pressed_ms, *known, received_ms, decoded_ms, seen_ms]
    spans = [later - earlier for earlier, later in itertools.pairwise(edges)]
    if len(known) < len(guest) or min(spans) < -error_ms - 1:
        return {}
    return dict(zip(STAGES, spans, strict=False))
