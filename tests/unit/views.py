"""A session's view, as its watchers are told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from gateway.sessions.view import ControlView, DisplayView, EgressView, ErrorView, HealthView, SessionView, ViewerView

__all__ = ["a_view"]


def a_view(
    *,
    id: str = "abcdefgh",
    state: str = "ready",
    controller: str | None = None,
    viewers: Sequence[ViewerView] = (),
    error: ErrorView | None = None,
) -> SessionView:
    return SessionView(
        id=id,
        state=state,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        timings={},
        durations={},
        error=error,
        notice="",
        health=HealthView(ok=True, reasons=[], repairs={}),
        viewers=len(viewers),
        control=ControlView(controller=controller, requests=[], viewers=list(viewers)),
        display=DisplayView(width=1280, height=720),
        template="xfce",
        accelerator="tcg",
        limits=[],
        metadata={},
        ends_at=None,
        idle_at=None,
        idle_action="suspend",
        warning=None,
        egress=EgressView(
            type="none",
            state="off",
            error=None,
            address=None,
            country=None,
            latency_ms=None,
            checked_at=None,
            verdict=None,
        ),
        timezone=None,
        locale=None,
        clipboard="both",
        files="both",
    )
