"""What was repaired without anybody's help, and what sessions lack now."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter

from gateway.sessions.view import SessionView

__all__ = ["HealthFigures", "unwell"]


class HealthFigures:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._repairs = Counter(
            "fenster_repairs",
            "Parts that stood still, or had given up, and were started again: agent, x, wm, chromium, vnc, picture",
            ("part",),
            registry=registry,
        )

    def repaired(self, parts: Mapping[str, int]) -> None:
        """Of one session, since the last time. Names are the caller's to bound."""
        for part, count in parts.items():
            self._repairs.labels(part).inc(count)


def unwell(views: list[SessionView]) -> dict[tuple[str, ...], float]:
    """Sessions by what they lack now."""
    found = Tally(reason.kind for view in views for reason in view.health.reasons)
    return {(kind,): count for kind, count in found.items()}
