"""What Prometheus is told of latency: press to pixel, by stage, as viewers and probes report it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = CONTENT_TYPE_LATEST
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

    def text(self) -> bytes:
        """In Prometheus's text format."""
        return generate_latest(self._registry)
