"""Creates by stage and source, changes, and failures by reason: from the views that sessions tell."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Histogram

from gateway.sessions.view import SessionView

__all__ = ["SessionFigures", "source_of"]

_CREATE_S = (0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0)
MAX_SESSIONS = 16_384
"""Remembered; the longest untouched is forgotten first."""


@dataclass(slots=True)
class _Seen:
    state: str
    source: str = ""
    """How it began: cold, clone or pool; "" while that is not known, or when it began before this gateway."""
    stages: set[str] = field(default_factory=set)
    durations: dict[str, float] = field(default_factory=dict)


class SessionFigures:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._create_s = Histogram(
            "fenster_create_seconds",
            "From the request to each stage of a session's start, by how its machine came to be",
            ("source", "stage"),
            buckets=_CREATE_S,
            registry=registry,
        )
        self._change_s = Histogram(
            "fenster_change_seconds",
            "What suspending, resuming and a fork's pause took",
            ("change",),
            buckets=_CREATE_S,
            registry=registry,
        )
        self._failures = Counter(
            "fenster_session_failures", "Sessions that ended failed, by kind of error", ("kind",), registry=registry
        )
        self._seen: OrderedDict[str, _Seen] = OrderedDict()

    def saw(self, view: SessionView) -> None:
        """A session's view, each time that it is told of."""
        seen = self._seen.pop(view.id, None) or _Seen("")
        self._seen[view.id] = seen
        if len(self._seen) > MAX_SESSIONS:
            self._seen.popitem(last=False)
        seen.source = seen.source or source_of(seen.state, view)
        if seen.source:
            for stage in view.timings.keys() - seen.stages:
                self._create_s.labels(seen.source, stage).observe(view.timings[stage])
                seen.stages.add(stage)
        for change, seconds in view.durations.items():
            if seen.durations.get(change) != seconds:
                self._change_s.labels(change).observe(seconds)
        seen.durations = dict(view.durations)
        if view.state == "failed" and seen.state not in ("", "failed"):
            self._failures.labels(view.error.kind if view.error is not None else "unknown").inc()
        seen.state = view.state
        if view.state == "stopped":
            del self._seen[view.id]


def source_of(before: str, view: SessionView) -> str:
    """Known once it leaves ``creating``; one that an earlier gateway had, or that slept, is never seen there."""
    if before != "creating":
        return ""
    if view.state == "booting":
        return "cold"
    if view.state == "restoring":
        return "clone" if "restore" in view.timings else "pool"
    return ""
