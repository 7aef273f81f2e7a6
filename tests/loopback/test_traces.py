"""A collector is told of every start: one trace each, whose parts are its stages."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from gateway.errors import ConfigError
from gateway.metrics.traces import MAX_STARTING, tracing
from gateway.sessions.view import ErrorView
from tests.unit.test_metrics import BASE

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
MS = 1_000_000


class Collector:
    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.asked = 0
        self.spans: list[Span] = []
        self.services: set[str] = set()

    async def take(self, request: web.Request) -> web.Response:
        self.asked += 1
        told = ExportTraceServiceRequest.FromString(await request.read())
        if self.status == 200:
            for resource in told.resource_spans:
                names = {one.key: one.value.string_value for one in resource.resource.attributes}
                self.services.add(names["service.name"])
                self.spans += [span for scope in resource.scope_spans for span in scope.spans]
        return web.Response(status=self.status)


async def collected(*views: dict[str, Any], status: int = 200) -> Collector:
    """What a collector has once all of it was told and the gateway has ended."""
    collector = Collector(status)
    app = web.Application()
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with tracing(f"http://127.0.0.1:{runner.addresses[0][1]}/") as saw:
            for fields in views:
                saw(BASE.model_copy(update=fields))
    finally:
        await runner.cleanup()
    return collector


def attributes(span: Span) -> dict[str, str]:
    return {one.key: one.value.string_value for one in span.attributes}


def times_ms(span: Span) -> tuple[int, int]:
    began_ns = int(BEGAN.timestamp() * 1e9)
    return (span.start_time_unix_nano - began_ns) // MS, (span.end_time_unix_nano - began_ns) // MS


async def test_a_start_is_a_trace_of_its_stages() -> None:
    timings = {"disk": 0.25, "restore": 0.5, "hello": 0.75, "ready": 1.0}
    collector = await collected(
        {"state": "creating"},
        {"state": "restoring", "timings": {"disk": 0.25, "restore": 0.5}},
        {"state": "assigning", "timings": timings},
        {"state": "ready", "timings": timings},
        {"state": "ready", "timings": timings},
    )
    assert collector.services == {"fenster"}
    (root,) = (span for span in collector.spans if not span.parent_span_id)
    assert root.name == "session.create"
    assert times_ms(root) == (0, 1000)
    assert attributes(root) == {
        "fenster.session_id": "s1",
        "fenster.template": "xfce",
        "fenster.source": "clone",
        "fenster.accelerator": "tcg",
    }
    assert root.status.code != Status.STATUS_CODE_ERROR
    parts = [span for span in collector.spans if span is not root]
    assert {(span.name, *times_ms(span)) for span in parts} == {
        ("disk", 0, 250),
        ("restore", 250, 500),
        ("hello", 500, 750),
        ("ready", 750, 1000),
    }
    assert {(span.trace_id, span.parent_span_id) for span in parts} == {(root.trace_id, root.span_id)}


async def test_a_start_that_failed_says_at_which_stage_and_why() -> None:
    error = ErrorView(kind="boot-timeout", message="no hello", hint="")
    collector = await collected(
        {"state": "creating"},
        {"state": "booting", "timings": {"disk": 0.25}},
        {"state": "failed", "timings": {"disk": 0.25}, "error": error},
    )
    root, part = sorted(collector.spans, key=lambda span: len(span.parent_span_id))
    assert root.status.code == Status.STATUS_CODE_ERROR
    assert root.status.message == "no hello"
    assert attributes(root)["error.type"] == "boot-timeout"
    assert attributes(root)["fenster.source"] == "cold"
    assert part.name == "disk"


async def test_what_did_not_start_here_has_no_trace() -> None:
    collector = await collected({"state": "ready"}, {"state": "suspending"}, {"state": "ready"})
    assert collector.spans == []


async def test_the_longest_untouched_start_is_forgotten() -> None:
    ids = [f"s{number}" for number in range(MAX_STARTING + 1)]
    collector = await collected(
        *({"id": one, "state": "creating"} for one in ids),
        *({"id": one, "state": "ready"} for one in (ids[0], ids[1], ids[-1])),
    )
    assert {attributes(span)["fenster.session_id"] for span in collector.spans} == {ids[1], ids[-1]}


async def test_a_collector_that_refuses_disturbs_nothing() -> None:
    async with asyncio.timeout(20):
        collector = await collected({"state": "creating"}, {"state": "ready"}, status=400)
    assert collector.asked == 1
    assert collector.spans == []


async def test_without_the_packages_the_setting_is_an_error_that_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(ConfigError, match="otlp_url") as caught:
        async with tracing("http://127.0.0.1:4318"):
            pass
    assert "fenster[traces]" in (caught.value.hint or "")


async def test_without_the_setting_nobody_is_told() -> None:
    async with tracing(None) as saw:
        saw(BASE)
