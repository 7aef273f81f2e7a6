"""What Prometheus is told: latency by stage, as viewers and probes report it, and what the gateway's parts count."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, UntypedMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = CONTENT_TYPE_LATEST
_ERROR = "egress_error_"
_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.016, 0.025, 0.033, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.0)


class Metrics:
    """One registry for a gateway, so that several in one process (tests) count apart."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._latency = Histogram(
            "fenster_latency_seconds",
            "From a press to the picture that shows it, in total and by stage",
            ("transport", "stage"),
            buckets=_BUCKETS_S,
            registry=self._registry,
        )

    def saw_press(self, transport: str, stages_ms: Iterable[Mapping[str, float]]) -> None:
        """Presses by their stages, ``total`` among them, in ms. Names are the caller's to bound."""
        for press in stages_ms:
            for stage, ms in press.items():
                self._latency.labels(transport, stage).observe(ms / 1000)

    def watch(self, name: str, about: str, read: Callable[[], Mapping[str, int]]) -> None:
        """Tell of figures that a part keeps, read when somebody asks; each is the label ``name``'s value."""
        self._registry.register(_Figures(name, about, read))

    def watch_egress(self, read: Callable[[], Mapping[str, int]]) -> None:
        """Tell of what egress carried, as the data plane counts it."""
        self._registry.register(_Egress(read))

    def text(self) -> bytes:
        """In Prometheus's text format."""
        return generate_latest(self._registry)


class _Figures(Collector):
    """Untyped: among counters since start there are figures of now."""

    def __init__(self, name: str, about: str, read: Callable[[], Mapping[str, int]]) -> None:
        self._name = name
        self._about = about
        self._read = read

    def describe(self) -> Iterable[UntypedMetricFamily]:
        # Else the registry would read once at registration, to learn the names.
        yield UntypedMetricFamily(self._name, self._about)

    def collect(self) -> Iterable[UntypedMetricFamily]:
        family = UntypedMetricFamily(self._name, self._about, labels=("name",))
        for name, figure in self._read().items():
            family.add_metric([name], figure)
        yield family


class _Egress(Collector):
    """What the sessions' proxies carried, by way and kind of error."""

    def __init__(self, read: Callable[[], Mapping[str, int]]) -> None:
        self._read = read

    def describe(self) -> Iterable[CounterMetricFamily]:
        return ()

    def collect(self) -> Iterable[CounterMetricFamily]:
        counters = self._read()
        carried = CounterMetricFamily("fenster_egress_bytes", "Bytes through the sessions' proxies", labels=["way"])
        for way in ("up", "down"):
            carried.add_metric([way], counters.get(f"egress_bytes_{way}", 0))
        yield carried
        yield CounterMetricFamily(
            "fenster_egress_connections",
            "Connections to the outside",
            value=counters.get("egress_connections", 0),
        )
        errors = CounterMetricFamily("fenster_egress_errors", "Requests that failed, by kind", labels=["kind"])
        for name, count in counters.items():
            if name.startswith(_ERROR):
                errors.add_metric([name.removeprefix(_ERROR)], count)
        yield errors
