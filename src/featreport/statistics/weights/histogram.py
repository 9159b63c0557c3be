"""The histogram of a tensor, and what is near zero for it."""

from __future__ import annotations

from typing import Any

from featreport.statistics.base import share
from featreport.statistics.weights.base import Described, Subject, WeightStatistic, describe, register


@register
class WeightHistogram(WeightStatistic):
    """50 equal bins, as NumPy's."""

    metric = "weights.histogram"
    label = "weight histogram"

    def sentence(self) -> str:
        return "50 equal bins from the least to the greatest finite value."

    def value(self, subject: Subject) -> dict[str, Any]:
        found = subject.spread
        near = found.near
        return {
            "histogram": {"edges": found.edges.tolist(), "counts": found.counts.tolist()},
            "relative_near_zero_fraction": None if near is None else share(near, subject.numbers.count),
        }


@describe
class RelativeNearZero(Described):
    """Near zero in the tensor's own measure."""

    metric = "weights.relative_near_zero_fraction"
    label = "weights near zero for their tensor"

    def sentence(self) -> str:
        return "Share of |w| ≤ 0.01 · std of the tensor; a Gaussian has 0.8 %."
