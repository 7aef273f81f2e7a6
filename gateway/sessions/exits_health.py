"""How the exits of a gateway's sessions are doing, each by its name. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

from gateway.exits import Exit
from gateway.sessions.view import EgressView

__all__ = ["ExitHealth", "exits_health"]

ExitHealth = Literal["unknown", "ok", "failing", "leak"]
"""Worse from left to right. unknown: no desktop that is on uses it, or none has yet."""
_WORSE = get_args(ExitHealth)


def exits_health(default: Exit, used: Iterable[tuple[Exit, EgressView]]) -> dict[str, ExitHealth]:
    """The gateway's own exit and those of its sessions, by type, host and port, without credentials.

    Where several sessions leave by one exit, the worst of what they see counts: it needs a person first.
    """
    found: dict[str, ExitHealth] = {} if default.type == "none" else {str(default): "unknown"}
    for out, view in used:
        if out.type != "none":
            found[str(out)] = max(found.get(str(out), "unknown"), _health(view), key=_WORSE.index)
    return found


def _health(view: EgressView) -> ExitHealth:
    if view.verdict == "leak":
        return "leak"
    return "unknown" if view.state == "off" else view.state
