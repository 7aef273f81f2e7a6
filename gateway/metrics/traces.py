"""A trace of each session's start, for a collector that speaks OTLP: what took how long, stage after stage.

Optional: without ``otlp_url`` no package of OpenTelemetry is imported.
"""

from __future__ import annotations

import asyncio
import sys
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from gateway import __version__
from gateway.errors import ConfigError
from gateway.metrics.sessions import source_of
from gateway.sessions.view import SessionView

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

__all__ = ["StartTraces", "tracing"]

MAX_STARTING = 1024
"""Sessions under way; the longest untouched is forgotten first, and has no trace."""
MAX_SPANS = 2048
"""Ended and not yet sent; more are dropped, so that a collector that is away costs no memory."""
EXPORT_TIMEOUT_S = 3.0


class StartTraces:
    """Spans of sessions that this gateway saw from their beginning; named ``session.create``, its parts by stage."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("fenster", __version__)
        self._starting: OrderedDict[str, str] = OrderedDict()
        """How each began, by its id; "" while that is not known."""

    def saw(self, view: SessionView) -> None:
        """A session's view, each time that it is told of."""
        if view.state == "creating":
            self._starting.setdefault(view.id, "")
            if len(self._starting) > MAX_STARTING:
                self._starting.popitem(last=False)
        elif view.id in self._starting:
            source = self._starting[view.id] or source_of("creating", view)
            self._starting[view.id] = source
            if view.state in ("ready", "failed", "stopped"):
                del self._starting[view.id]
                self._tell(view, source)

    def _tell(self, view: SessionView, source: str) -> None:
        from opentelemetry.trace import Status, StatusCode, set_span_in_context

        began_ns = int(view.created_at.timestamp() * 1e9)
        stages = sorted(view.timings.items(), key=lambda stage: stage[1])
        attributes = {"fenster.session_id": view.id, "fenster.template": view.template, "fenster.source": source}
        root = self._tracer.start_span("session.create", start_time=began_ns, attributes=attributes)
        if view.accelerator is not None:
            root.set_attribute("fenster.accelerator", view.accelerator)
        if view.state != "ready":
            kind = view.error.kind if view.error is not None else "stopped"
            root.set_attribute("error.type", kind)
            root.set_status(Status(StatusCode.ERROR, view.error.message if view.error is not None else kind))
        end_ns = began_ns
        for stage, seconds in stages:
            span = self._tracer.start_span(stage, set_span_in_context(root), start_time=end_ns)
            end_ns = began_ns + int(seconds * 1e9)
            span.end(end_ns)
        root.end(end_ns)


def _exporter(url: str) -> SpanExporter:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ModuleNotFoundError as exc:
        raise ConfigError(
            f"otlp_url needs the Python package {exc.name}", hint=f"{sys.executable} -m pip install 'fenster[traces]'"
        ) from exc
    return OTLPSpanExporter(endpoint=f"{url.rstrip('/')}/v1/traces", timeout=EXPORT_TIMEOUT_S)


@asynccontextmanager
async def tracing(url: str | None) -> AsyncIterator[Callable[[SessionView], None]]:
    """Who is to be told of every session's view. What is left is sent on leaving, within a few seconds.

    Args:
        url: of a collector, without ``/v1/traces`` (OTLP/HTTP 1.x, port 4318 as a rule); None traces nothing.

    Raises:
        ConfigError: a package is missing.
    """
    if url is None:
        yield lambda _: None
        return
    exporter = await asyncio.to_thread(_exporter, url)
    from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create({SERVICE_NAME: "fenster", SERVICE_VERSION: __version__})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=MAX_SPANS))
    try:
        yield StartTraces(provider).saw
    finally:
        await asyncio.to_thread(provider.shutdown)
