"""Figures of two samples, and how sure their ratio is. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["STATISTICS", "Ratio", "ratio", "summary"]

Samples = NDArray[np.float64]

STATISTICS: Mapping[str, Callable[[Samples], Samples]] = {
    "p50": lambda rows: np.percentile(rows, 50, axis=-1),
    "mean": lambda rows: np.mean(rows, axis=-1),
    "p95": lambda rows: np.percentile(rows, 95, axis=-1),
}
RESAMPLES = 4000
SEED = 1


@dataclass(frozen=True, slots=True)
class Ratio:
    """``value`` with its 95 % bootstrap interval (percentile method, Efron 1979)."""

    value: float
    low: float
    high: float


def summary(samples: Sequence[float]) -> dict[str, float]:
    """Each of STATISTICS."""
    return {name: float(of(np.asarray(samples))) for name, of in STATISTICS.items()}


def ratio(statistic: str, ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
    """How ``statistic`` of ours compares with that of theirs; both are resampled."""
    of = STATISTICS[statistic]
    dice = np.random.default_rng(SEED)
    mine, other = (of(dice.choice(np.asarray(samples), size=(RESAMPLES, len(samples)))) for samples in (ours, theirs))
    low, high = np.percentile(mine / other, [2.5, 97.5])
    return Ratio(float(of(np.asarray(ours)) / of(np.asarray(theirs))), float(low), float(high))
