"""What Prometheus is told. Labels have few values: names of the API, of states and of errors, never a session's."""

from gateway.metrics.registry import CONTENT_TYPE, Metrics

__all__ = ["CONTENT_TYPE", "Metrics"]
