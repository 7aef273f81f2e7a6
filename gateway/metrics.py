"""What Prometheus is told: press to pixel by stage, as viewers and probes report it, and what egress carried."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Histogram, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST

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

    def text(self, counters: Mapping[str, int]) -> bytes:
        """In Prometheus's text format.

        Args:
            counters: the data plane's; those of egress are told.
        """
        return generate_latest(self._registry) + generate_latest(_Egress(counters))


class _Egress:
    """A registry's worth of what is counted elsewhere."""

    def __init__(self, counters: Mapping[str, int]) -> None:
        self._counters = counters

    def collect(self) -> Iterable[Metric]:
        carried = CounterMetricFamily("fenster_egress_bytes", "Bytes through the sessions' proxies", labels=["way"])
        for way in ("up", "down"):
            carried.add_metric([way], self._counters.get(f"egress_bytes_{way}", 0))
        yield carried
        yield CounterMetricFamily(
            "fenster_egress_connections",
            "Connections to the outside",
            value=self._counters.get("egress_connections", 0),
        )
        errors = CounterMetricFamily("fenster_egress_errors", "Requests that failed, by kind", labels=["kind"])
        for name, count in self._counters.items():
            if name.startswith(_ERROR):
                errors.add_metric([name.removeprefix(_ERROR)], count)
        yield errors
