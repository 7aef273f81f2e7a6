"""Pictures sent and how they travel: from what agents count, looked at now and then.

An agent is part of an untrusted machine: figures by names that are known here, whole and not negative, or none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram

__all__ = ["MediaFigures"]

_SENT = {
    "frames": "fenster_media_frames",
    "keyframes": "fenster_media_keyframes",
    "frame_bytes": "fenster_media_bytes",
    "frames_dropped": "fenster_media_frames_dropped",
    "repeated_packets": "fenster_media_repeated_packets",
    "offers_refused": "fenster_media_offers_refused",
}
_STAGES = ("capture", "convert", "encode", "packetize")
_MOST = 1 << 53
"""A float holds whole numbers up to it."""


class MediaFigures:
    def __init__(self, registry: CollectorRegistry) -> None:
        def histogram(name: str, about: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(name, about, labels, buckets=buckets, registry=registry)

        self._sent = {
            key: Counter(name, f"{key.replace('_', ' ')} of all agents", registry=registry)
            for key, name in _SENT.items()
        }
        self._looks = Counter(
            "fenster_agent_looks",
            "Looks at an agent: answered, refused (an older image's), silent",
            ("result",),
            registry=registry,
        )
        self._answer_s = histogram(
            "fenster_agent_answer_seconds", "What agents took to answer", (0.005, 0.02, 0.1, 0.5, 1.0, 5.0)
        )
        self._fps = histogram(
            "fenster_media_fps", "Pictures a second of a watched desktop, between two looks", (0.5, 1, 5, 10, 20, 40)
        )
        self._bps = histogram(
            "fenster_media_bps",
            "Bits a second of a watched desktop's pictures, between two looks",
            (1e4, 1e5, 3e5, 1e6, 3e6, 1e7, 3e7),
        )
        self._rtt_s = histogram(
            "fenster_media_rtt_seconds",
            "Round trip to a watched desktop's slowest leading viewer",
            (0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0),
        )
        self._loss = histogram(
            "fenster_media_loss_ratio", "Packets lost on that path", (0.001, 0.01, 0.02, 0.05, 0.1, 0.3)
        )
        self._stage_s = histogram(
            "fenster_media_stage_seconds",
            "What a watched desktop's last picture took in its agent",
            (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.3),
            "stage",
        )
        self._last: dict[str, tuple[float, Mapping[str, int]]] = {}

    def saw(self, sid: str, told: Mapping[str, Any], took_s: float, now: float) -> None:
        """An agent has answered. ``now`` is any clock's, in s."""
        self._looks.labels("answered").inc()
        self._answer_s.observe(took_s)
        figures = {name: value for name, value in told.items() if type(value) is int and 0 <= value < _MOST}
        before_at, before = self._last.get(sid, (now, figures))
        self._last[sid] = (now, figures)
        # An agent that was started anew counts from zero.
        grown = {key: max(0, figures.get(key, 0) - before.get(key, 0)) for key in _SENT}
        for key, counter in self._sent.items():
            counter.inc(grown[key])
        if figures.get("viewers", 0) and before.get("viewers", 0) and now > before_at:
            self._fps.observe(grown["frames"] / (now - before_at))
            self._bps.observe(grown["frame_bytes"] * 8 / (now - before_at))
            if figures.get("path_rtt_us", 0):
                self._rtt_s.observe(figures["path_rtt_us"] / 1e6)
                self._loss.observe(figures.get("path_loss_permille", 0) / 1000)
            for stage in _STAGES:
                if grown["frames"] and f"{stage}_us" in figures:
                    self._stage_s.labels(stage).observe(figures[f"{stage}_us"] / 1e6)

    def missed(self, result: str) -> None:
        """An agent has not: ``refused`` or ``silent``."""
        self._looks.labels(result).inc()

    def keep(self, sids: set[str]) -> None:
        """Forget all others."""
        self._last = {sid: last for sid, last in self._last.items() if sid in sids}
