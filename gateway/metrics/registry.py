"""All metrics of a gateway: what is told to them, and what its parts count themselves, read when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, UntypedMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from gateway import __version__
from gateway.metrics.health import HealthFigures
from gateway.metrics.media import MediaFigures
from gateway.metrics.sessions import SessionFigures

__all__ = ["CONTENT_TYPE", "Metrics", "Read"]

CONTENT_TYPE = CONTENT_TYPE_LATEST
_PRESS_S = (0.001, 0.002, 0.005, 0.01, 0.016, 0.025, 0.033, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.0)
_REQUEST_S = (0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10.0, 30.0)

Read = Callable[[], Mapping[tuple[str, ...], float]]
"""Figures by the values of their labels."""


class Metrics:
    """One registry for a gateway, so that several in one process (tests) count apart.

    Attributes:
        sessions: told of each session's views.
        media: told of each agent's counters.
        health: told of what was repaired.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        Gauge("fenster_build_info", "Which release this is", ("version",), registry=self._registry).labels(
            __version__
        ).set(1)
        self._latency = Histogram(
            "fenster_latency_seconds",
            "From a press to the picture that shows it, in total and by stage",
            ("transport", "stage"),
            buckets=_PRESS_S,
            registry=self._registry,
        )
        self._requests = Counter(
            "fenster_http_requests",
            "Requests answered, by route and status",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._request_s = Histogram(
            "fenster_http_request_seconds",
            "Until the answer was whole, by route; not of streams",
            ("method", "route"),
            buckets=_REQUEST_S,
            registry=self._registry,
        )
        self.sessions = SessionFigures(self._registry)
        self.media = MediaFigures(self._registry)
        self.health = HealthFigures(self._registry)

    def saw_press(self, transport: str, stages_ms: Iterable[Mapping[str, float]]) -> None:
        """Presses by their stages, ``total`` among them, in ms. Names are the caller's to bound."""
        for press in stages_ms:
            for stage, ms in press.items():
                self._latency.labels(transport, stage).observe(ms / 1000)

    def saw_request(self, method: str, route: str, status: int, seconds: float | None) -> None:
        """A request was answered. ``seconds`` is None for a stream. Names are the caller's to bound."""
        self._requests.labels(method, route, str(status)).inc()
        if seconds is not None:
            self._request_s.labels(method, route).observe(seconds)

    def count(self, name: str, about: str, labels: tuple[str, ...], read: Read) -> None:
        """Tell of counters that a part keeps; ``name`` without its ``_total``."""
        self._registry.register(_Family(CounterMetricFamily, name, about, labels, read))

    def gauge(self, name: str, about: str, labels: tuple[str, ...], read: Read) -> None:
        """Tell of what is so now."""
        self._registry.register(_Family(GaugeMetricFamily, name, about, labels, read))

    def watch(self, name: str, about: str, read: Callable[[], Mapping[str, int]]) -> None:
        """Tell of figures that a part keeps, counters among figures of now; each is the label ``name``'s value."""
        self._registry.register(
            _Family(UntypedMetricFamily, name, about, ("name",), lambda: {(k,): v for k, v in read().items()})
        )

    def text(self) -> bytes:
        """In Prometheus's text format."""
        return generate_latest(self._registry)


_AnyFamily = CounterMetricFamily | GaugeMetricFamily | UntypedMetricFamily


class _Family(Collector):
    def __init__(
        self,
        kind: Callable[..., _AnyFamily],
        name: str,
        about: str,
        labels: tuple[str, ...],
        read: Read,
    ) -> None:
        self._make: Callable[[], _AnyFamily] = partial(kind, name, about, labels=labels)
        self._read = read

    def describe(self) -> Iterable[_AnyFamily]:
        # Else the registry would read once at registration, to learn the names.
        yield self._make()

    def collect(self) -> Iterable[_AnyFamily]:
        family = self._make()
        for labels, figure in self._read().items():
            family.add_metric(labels, figure)
        yield family
