"""A session's way to the internet, as it is shown. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from gateway.exits import Exit, ExitCheck, ExitReport
from gateway.sessions.view import EgressView, ErrorView

__all__ = ["egress_view"]

_HINTS = {
    "upstream-down": "see whether the upstream proxy runs, and its host and port",
    "upstream-auth": "correct user name and password of the session's proxy",
    "upstream-slow": "see how the upstream proxy is doing",
    "upstream-cut": "see how the upstream proxy is doing, and whether its type is right",
}


def egress_view(out: Exit, report: ExitReport) -> EgressView:
    """What may be told to whoever watches: nothing of the upstream's host and user."""
    error = None
    if report.state == "failing":
        error = ErrorView(kind=report.kind, message=report.message, hint=_HINTS.get(report.kind, ""))
    check = report.check
    return EgressView(
        type=out.type,
        state=report.state,
        error=error,
        address=check.address or None if check is not None else None,
        country=check.country or None if check is not None else None,
        latency_ms=check.latency_ms if check is not None else None,
        checked_at=datetime.fromtimestamp(check.at, UTC) if check is not None else None,
        verdict=_verdict(out, check) if check is not None else None,
    )


def _verdict(out: Exit, check: ExitCheck) -> Literal["ok", "direct", "leak", "unknown", "failed"]:
    if check.kind:
        return "failed"
    if out.type == "direct":
        return "direct"
    if check.ours is None:
        return "unknown"
    return "leak" if check.ours else "ok"
