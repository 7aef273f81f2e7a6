"""When a session ends for its age, or sleeps for lack of use; and when its people are told beforehand. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gateway.sessions.record import Lifetime

__all__ = ["WARN_S", "Verdict", "judge"]

WARN_S = 120.0
"""Warned so long before; or in the last fifth of a short life."""
_WARN_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is so now."""

    due: Literal["ttl", "idle"] | None
    """What has come to its end."""
    warning: Literal["ttl", "idle"] | None
    """What will soon."""
    ends_at: float | None
    """Unix time in s."""
    idle_at: float | None
    look_again_s: float | None
    """When this may change by itself; None: never."""


def judge(life: Lifetime, busy_at: float, now: float) -> Verdict:
    """Args:
    busy_at: when the session was last in use; Unix time in s, like ``now``.
    """
    idle_at = None if life.idle_timeout_s is None else busy_at + life.idle_timeout_s
    ends_at = life.ends_at
    due: Literal["ttl", "idle"] | None = None
    if ends_at is not None and now >= ends_at:
        due = "ttl"
    elif idle_at is not None and now >= idle_at:
        due = "idle"
    warn_ttl_at = None if ends_at is None else ends_at - WARN_S
    idle_warn_s = 0.0 if life.idle_timeout_s is None else min(WARN_S, life.idle_timeout_s * _WARN_SHARE)
    warn_idle_at = None if idle_at is None else idle_at - idle_warn_s
    warning: Literal["ttl", "idle"] | None = None
    if due is None and warn_ttl_at is not None and now >= warn_ttl_at:
        warning = "ttl"
    elif due is None and warn_idle_at is not None and now >= warn_idle_at:
        warning = "idle"
    ahead = [at - now for at in (ends_at, idle_at, warn_ttl_at, warn_idle_at) if at is not None and at > now]
    return Verdict(due, warning, ends_at, idle_at, min(ahead, default=None))
