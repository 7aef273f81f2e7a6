"""What a probe must find: ``webrtc.total.p95<=50``. Pure."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from gateway.errors import ConfigError
from gateway.probe.samples import PERCENTILES, STAGES, Results

__all__ = ["METRICS", "Limit", "Verdict", "judge", "parse_limit"]

_SERIES = ("total", *STAGES, "first_frame", "reconnect", "return")
METRICS = (
    *(f"{series}.{statistic}" for series in _SERIES for statistic in (*(f"p{p}" for p in PERCENTILES), "mean")),
    *("fps", "mbps", "loss_percent", "missed"),
)
"""Times are in ms."""
_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt,
}  # fmt: skip
_FORM = re.compile(
    r"\s*(?P<leg>[a-z]+)\.(?P<metric>[a-z_]+(\.[a-z0-9]+)?)\s*(?P<op><=|>=|<|>)\s*(?P<bound>\d+(\.\d+)?)\s*"
)


@dataclass(frozen=True, slots=True)
class Limit:
    leg: str
    metric: str
    op: str
    bound: float

    def __str__(self) -> str:
        return f"{self.leg}.{self.metric}{self.op}{self.bound:g}"


@dataclass(frozen=True, slots=True)
class Verdict:
    limit: Limit
    value: float | None
    """None: it was not measured, and then the limit does not hold."""

    @property
    def holds(self) -> bool:
        return self.value is not None and _COMPARE[self.limit.op](self.value, self.limit.bound)


def parse_limit(text: str, legs: Iterable[str]) -> Limit:
    """Raises ConfigError: not of this form, or nothing that will be measured."""
    form = _FORM.fullmatch(text)
    hint = "write it as webrtc.total.p95<=50, in quotes; times are in ms"
    if form is None:
        raise ConfigError(f"{text!r} is no requirement", hint=hint)
    known = tuple(legs)
    if form["leg"] not in known:
        raise ConfigError(f"{text!r}: {form['leg']} is not measured", hint=f"measured are {', '.join(known)}")
    if form["metric"] not in METRICS:
        raise ConfigError(f"{text!r}: there is no {form['metric']}", hint=f"there are {', '.join(METRICS)}")
    return Limit(form["leg"], form["metric"], form["op"], float(form["bound"]))


def judge(limits: Iterable[Limit], results: Results) -> list[Verdict]:
    metrics = {name: leg.metrics() for name, leg in results.legs.items()}
    return [Verdict(limit, metrics.get(limit.leg, {}).get(limit.metric)) for limit in limits]
