"""What sessions' views and agents' counters become in Prometheus's text."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.metrics import Metrics
from gateway.sessions.view import ControlView, DisplayView, EgressView, ErrorView, HealthView, SessionView

BASE = SessionView(
    id="s1", state="creating", created_at=datetime(2026, 1, 1, tzinfo=UTC), timings={}, durations={}, error=None,
    notice="", health=HealthView(ok=True, reasons=[], repairs={}), viewers=0,
    control=ControlView(controller=None, requests=[], viewers=[]),
    display=DisplayView(width=1280, height=720), template="xfce", accelerator="tcg", limits=[], metadata={},
    ends_at=None, idle_at=None, idle_action="suspend", warning=None,
    egress=EgressView(type="none", state="off", error=None, address=None, country=None, latency_ms=None,
                      checked_at=None, verdict=None),
    timezone=None, locale=None, clipboard="both", files="both",
)  # fmt: skip


def tell(metrics: Metrics, *views: dict[str, Any]) -> None:
    for fields in views:
        metrics.sessions.saw(BASE.model_copy(update=fields))


def told(metrics: Metrics, name: str) -> dict[str, float]:
    """Samples by their labels as they stand."""
    found = re.findall(rf"^{name}(?:\{{(.*)\}})? (\S+)$", metrics.text().decode(), re.MULTILINE)
    return {labels: float(value) for labels, value in found}


def created(metrics: Metrics) -> set[str]:
    return {labels for labels, count in told(metrics, "fenster_create_seconds_count").items() if count == 1}


@pytest.mark.parametrize(
    ("path", "restore", "source"),
    [("booting", {}, "cold"), ("restoring", {"restore": 0.3}, "clone"), ("restoring", {}, "pool")],
)
def test_each_stage_counts_once_by_how_the_machine_came_to_be(
    path: str, restore: dict[str, float], source: str
) -> None:
    metrics = Metrics()
    tell(
        metrics,
        {"timings": restore},
        {"state": path, "timings": restore},
        {"state": "assigning", "timings": {**restore, "hello": 0.5}},
        {"state": "ready", "timings": {**restore, "hello": 0.5, "ready": 0.9}},
        {"state": "ready", "timings": {**restore, "hello": 0.5, "ready": 0.9}},
    )
    assert created(metrics) == {f'source="{source}",stage="{stage}"' for stage in (*restore, "hello", "ready")}


def test_what_an_earlier_gateway_started_or_what_slept_is_no_create() -> None:
    metrics = Metrics()
    tell(metrics, {"state": "ready", "timings": {"ready": 0.9}})
    tell(metrics, {"id": "s2", "state": "suspended"}, {"id": "s2", "state": "resuming"},
         {"id": "s2", "state": "ready", "timings": {"ready": 9.0}, "durations": {"resume": 2.5}})  # fmt: skip
    assert created(metrics) == set()
    assert told(metrics, "fenster_change_seconds_sum") == {'change="resume"': 2.5}


def test_a_failure_counts_once_by_its_kind() -> None:
    metrics = Metrics()
    error = ErrorView(kind="boot-failed", message="no", hint="")
    tell(metrics, {}, {"state": "failed", "error": error}, {"state": "failed", "error": error, "notice": "x"})
    # Of an earlier gateway: it was counted there.
    tell(metrics, {"id": "old", "state": "failed", "error": error})
    assert told(metrics, "fenster_session_failures_total") == {'kind="boot-failed"': 1.0}


def test_agents_figures_are_rates_of_what_is_watched() -> None:
    metrics = Metrics()
    first = {"viewers": 1, "frames": 100, "frame_bytes": 1000, "path_rtt_us": 20_000, "encode_us": 5_000}
    metrics.media.saw("s1", first, 0.01, now=100.0)
    metrics.media.saw("s1", {**first, "frames": 250, "frame_bytes": 126_000}, 0.01, now=110.0)
    assert told(metrics, "fenster_media_frames_total") == {"": 150.0}
    assert told(metrics, "fenster_media_fps_sum") == {"": 15.0}
    assert told(metrics, "fenster_media_bps_sum") == {"": 100_000.0}
    assert told(metrics, "fenster_media_rtt_seconds_sum") == {"": 0.02}
    assert told(metrics, "fenster_media_stage_seconds_sum")['stage="encode"'] == 0.005
    assert told(metrics, "fenster_agent_looks_total") == {'result="answered"': 2.0}


def test_an_agent_that_was_started_anew_takes_nothing_back() -> None:
    metrics = Metrics()
    for at, frames in ((0.0, 500), (15.0, 20), (30.0, 50)):
        metrics.media.saw("s1", {"frames": frames}, 0.01, now=at)
    assert told(metrics, "fenster_media_frames_total") == {"": 30.0}


@pytest.mark.parametrize("odd", [-5, 1 << 60, 1.5, "many", None, True, [1]])
def test_what_a_guest_says_is_bounded(odd: Any) -> None:
    metrics = Metrics()
    metrics.media.saw("s1", {"frames": 0, "viewers": 1}, 0.01, now=0.0)
    metrics.media.saw("s1", {"frames": odd, "viewers": 1, "x" * 999: 7, "path_rtt_us": odd}, 0.01, now=15.0)
    assert told(metrics, "fenster_media_frames_total") == {"": 0.0}
    assert told(metrics, "fenster_media_rtt_seconds_count") == {"": 0.0}
    assert "xxx" not in metrics.text().decode()


def test_sessions_that_are_gone_are_forgotten() -> None:
    metrics = Metrics()
    metrics.media.saw("s1", {"frames": 10}, 0.01, now=0.0)
    metrics.media.keep({"s2"})
    metrics.media.saw("s1", {"frames": 90}, 0.01, now=15.0)
    assert told(metrics, "fenster_media_frames_total") == {"": 0.0}
