"""Over HTTP: viewers say how long presses took, Prometheus reads it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.api import Api


async def test_what_viewers_report_is_counted(api: Api) -> None:
    session = await api.stage.ready()
    body = {"transport": "webrtc", "presses": [{"total": 20, "encode": 3}, {"total": 80}]}
    path = f"/v1/sessions/{session.id}/latency"
    response = await api.client.post(path, headers=api.viewer(session, "view"), json=body)
    assert response.status == 204
    answer = await api.call("GET", "/metrics", 200)
    assert answer.content_type == "text/plain"
    told = await answer.text()
    total = 'stage="total",transport="webrtc"'
    assert f"fenster_latency_seconds_count{{{total}}} 2.0" in told
    assert f"fenster_latency_seconds_sum{{{total}}} 0.1" in told
    assert f'fenster_latency_seconds_bucket{{le="0.025",{total}}} 1.0' in told
    assert 'fenster_latency_seconds_count{stage="encode",transport="webrtc"} 1.0' in told


async def test_figures_of_other_parts_are_read_when_asked_for(api: Api) -> None:
    figures = {"packets": 0}
    api.services.metrics.watch("fenster_part", "What it counts", lambda: figures)
    figures["packets"] = 7
    told = await (await api.call("GET", "/metrics", 200)).text()
    assert 'fenster_part{name="packets"} 7.0' in told


@pytest.mark.parametrize(
    "body",
    [
        {"transport": "smoke", "presses": []},
        {"transport": "webrtc", "presses": [{"coffee": 1}]},
        {"transport": "webrtc", "presses": [{"total": -1}]},
        {"transport": "webrtc", "presses": [{"total": 1}] * 65},
    ],
)
async def test_names_and_values_are_bounded(api: Api, body: dict[str, Any]) -> None:
    session = await api.stage.ready()
    path = f"/v1/sessions/{session.id}/latency"
    await api.refused("POST", path, 400, "bad-request", headers=api.viewer(session), json=body)
    assert "coffee" not in await (await api.call("GET", "/metrics", 200)).text()


async def test_sessions_are_told_apart_by_their_tokens(api: Api) -> None:
    session, other = await api.stage.ready(), await api.stage.ready()
    path = f"/v1/sessions/{session.id}/latency"
    await api.refused("POST", path, 403, "forbidden", headers=api.viewer(other), json={})
