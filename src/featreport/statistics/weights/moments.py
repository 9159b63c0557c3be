"""Mean, deviation and extrema of a tensor."""

from __future__ import annotations

from typing import Any

from featreport.statistics.weights.base import Subject, WeightStatistic, register


@register
class WeightMoments(WeightStatistic):
    """Mean, std, min, max of the finite values."""

    metric = "weights.std"
    label = "weights: mean ± std"

    def sentence(self) -> str:
        return (
            "Over all finite elements of the tensor; std with ddof = 1, none for a single element. Buffers (BN running "
            "statistics, counters) are listed apart and are not weights."
        )

    def value(self, subject: Subject) -> dict[str, Any]:
        numbers = subject.numbers
        return {
            "mean": numbers.mean,
            "std": numbers.std,
            "min": numbers.low if numbers.finite else None,
            "max": numbers.high if numbers.finite else None,
        }
