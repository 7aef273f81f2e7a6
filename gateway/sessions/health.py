"""How a session's desktop is, with reasons: from what its guest and its agent say, look after look. Pure.

What a guest says is the claim of an untrusted machine: names that are known here, and whole numbers, or nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.sessions.view import EgressView, HealthView, ReasonView

__all__ = ["FULL_PERCENT", "PARTS", "Health"]

PARTS = {"x": "X server", "wm": "window manager", "chromium": "Chromium", "vnc": "x11vnc"}
"""Of a desktop, that its guest looks after (guest_agent/health/)."""
FULL_PERCENT = 95
FROZEN_LOOKS = 2
"""In a row without a picture for those who watch; an idle desktop sends one every 1.5 s."""
_BAD = ("busy", "hung", "gone")
_MOST = 1 << 31


class Health:
    """Of one session."""

    def __init__(self) -> None:
        self._guest: dict[str, ReasonView] = {}
        self._agent: dict[str, ReasonView] = {}
        self._repairs: dict[str, int] = {}
        self._frames: int | None = None
        self._still = 0

    def view(self, egress: EgressView) -> HealthView:
        reasons = [*self._agent.values(), *self._guest.values(), *_reasons_of_exit(egress)]
        return HealthView(ok=not reasons, reasons=reasons, repairs=dict(self._repairs))

    def examined(self, told: Mapping[str, Any]) -> dict[str, int]:
        """The guest's own report has come (protocol/link.py: health); gives what was repaired since the last."""
        desktop, agent = _mapping(told.get("desktop")), _mapping(told.get("agent"))
        self._guest = {reason.kind: reason for reason in _reasons(desktop)}
        repaired = _mapping(desktop.get("repairs"))
        now = {part: _count(repaired.get(part)) for part in PARTS} | {"agent": _count(agent.get("hangs"))}
        before, self._repairs = self._repairs or now, now
        # What counts was started anew, and from nothing, when it is less than before.
        grown = {part: count - before[part] if count >= before[part] else count for part, count in now.items()}
        return {part: count for part, count in grown.items() if count}

    def counted(self, told: Mapping[str, Any]) -> bool:
        """The agent has told what it counts. True, told once each time: its picture is frozen."""
        self._agent.clear()
        frames, watched = told.get("frames"), bool(told.get("viewers"))
        self._still = self._still + 1 if watched and frames == self._frames else 0
        self._frames = frames if watched and type(frames) is int else None
        if self._still < FROZEN_LOOKS:
            return False
        self._agent["picture-frozen"] = ReasonView(
            kind="picture-frozen", message="No picture has come for those who watch; its agent is started again."
        )
        self._still = 0
        return True

    def missed(self, *, silent: bool) -> None:
        """The agent has not told it. ``silent``: nor has anything else in the guest answered."""
        self._still = 0
        kind = "guest-silent" if silent else "agent-down"
        message = "The guest does not answer." if silent else "No agent runs: there is no picture by WebRTC."
        self._agent = {kind: ReasonView(kind=kind, message=message)}


def _reasons_of_exit(egress: EgressView) -> list[ReasonView]:
    if egress.verdict == "leak":
        message = "Its traffic leaves from this host, though another exit was asked for."
        return [ReasonView(kind="egress-leak", message=message)]
    if egress.error is not None:
        return [ReasonView(kind="egress-failing", message=egress.error.message)]
    return []


def _reasons(desktop: Mapping[str, Any]) -> list[ReasonView]:
    found = []
    states = _mapping(desktop.get("parts"))
    for part, name in PARTS.items():
        state = states.get(part)
        # Chromium that is not there was closed by somebody, or is being started by systemd.
        if state in _BAD and (part, state) != ("chromium", "gone"):
            how = {"busy": "does not answer yet", "hung": "hangs and is started again", "gone": "is not there"}[state]
            found.append(ReasonView(kind=f"{part}-{state}", message=f"{name} {how}."))
    for what in ("disk", "memory"):
        percent = _count(desktop.get(f"{what}_percent"))
        if FULL_PERCENT <= percent <= 100:
            found.append(ReasonView(kind=f"{what}-full", message=f"The guest's {what} is {percent} % full."))
    if desktop.get("black") is True:
        found.append(ReasonView(kind="picture-black", message="All of the display is black."))
    return found


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: object) -> int:
    return value if type(value) is int and 0 <= value < _MOST else 0
