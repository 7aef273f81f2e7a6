"""A session's way to its desktop, a line for each stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape

__all__ = ["STAGES", "StageLines"]

STAGES = {
    "disk": "disk copied",
    "spawn": "machine started",
    "restore": "snapshot restored",
    "resume": "clone answers",
    "hello": "guest says hello",
    "identify": "guest has its identity",
    "assign": "guest knows its session",
    "agent": "agent is up",
    "vnc": "x11vnc is up",
    "ready": "ready",
    "complete": "terminal and Chromium on screen",
    "first_offer": "first viewer",
    "connected": "viewer connected",
    "painted": "first frame painted",
}


class StageLines:
    """Prints each stage once, when it is first seen."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._seen: set[str] = set()

    def __call__(self, timings: Mapping[str, Any]) -> None:
        new = [(float(seconds), stage) for stage, seconds in timings.items() if stage not in self._seen]
        for seconds, stage in sorted(new):
            self._seen.add(stage)
            self._console.print(f"  {seconds:6.1f} s  {escape(STAGES.get(stage, stage))}")
