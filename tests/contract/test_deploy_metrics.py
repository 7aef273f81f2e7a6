"""The dashboard and the alert rules ask for nothing that the gateway does not tell."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

from gateway.observe import observe
from tests.contract.api import Api

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
OTHERS = {"up"}
"""Prometheus's own."""
NAME = re.compile(r"\b(fenster_[a-z_]+|process_[a-z_]+|up)\b(?=[{\[\s)]|$)")


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    board = json.loads((DEPLOY / "grafana" / "fenster.json").read_text())
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in alerts())
    yield from (target["expr"] for panel in panels() for target in panel["targets"])


async def told(api: Api) -> dict[str, set[str]]:
    """Samples that /metrics has, or will have once their first is counted, with the names of their labels."""
    observe(api.services.metrics, api.stage.dataplane, api.services.manager, dict, api.services.room)
    api.services.metrics.watch("fenster_connections", "Accepted", lambda: {"http": 1})
    await api.call("GET", "/v1/sessions", 200)
    text = await (await api.call("GET", "/metrics", 200)).text()
    names: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
        for suffix in suffixes:
            names.setdefault(family.name + suffix, set())
        for sample in family.samples:
            names.setdefault(sample.name, set()).update(sample.labels)
    return names


async def test_every_metric_that_is_asked_for_is_told(api: Api) -> None:
    known = set(await told(api)) | OTHERS
    asked = {name for expression in expressions() for name in NAME.findall(expression)}
    assert len(asked) > 30
    assert asked - known == set()


async def test_nothing_of_a_session_is_a_label(api: Api) -> None:
    session = await api.stage.ready()
    names = await told(api)
    assert session.id not in await (await api.call("GET", "/metrics", 200)).text()
    labels = {label for found in names.values() for label in found}
    assert labels <= {
        "name", "way", "transport", "reason", "kind", "state", "verdict", "which", "event", "how", "what", "le",
        "version", "method", "route", "status", "source", "stage", "change", "result",
    }  # fmt: skip


async def test_routes_are_patterns_and_strangers_one(api: Api) -> None:
    session = await api.stage.ready()
    await api.call("GET", f"/v1/sessions/{session.id}", 200)
    await api.client.get("/no/such/thing")
    text = await (await api.call("GET", "/metrics", 200)).text()
    assert 'fenster_http_requests_total{method="GET",route="/v1/sessions/{sid}",status="200"} 1.0' in text
    assert 'fenster_http_requests_total{method="GET",route="none",status="404"} 1.0' in text
    assert 'fenster_http_request_seconds_count{method="GET",route="/v1/sessions/{sid}"} 1.0' in text


def test_alerts_say_what_is_so_and_where_to_look() -> None:
    names = [rule["alert"] for rule in alerts()]
    assert len(names) == len(set(names)) > 10
    for rule in alerts():
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert set(rule["annotations"]) == {"summary", "look"}


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken
        taken |= cells
