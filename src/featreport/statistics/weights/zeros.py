"""Weights that are zero, near zero, or no numbers."""

from __future__ import annotations

from typing import Any

from featreport.statistics.base import share
from featreport.statistics.weights.base import Subject, WeightStatistic, register


@register
class WeightZeros(WeightStatistic):
    """Exact zeros, near-zeros, non-finite values."""

    metric = "weights.near_zero_fraction"
    label = "weights near zero"

    def sentence(self) -> str:
        return (
            f"Share of |w| ≤ {self.settings.near_zero:g}; zero: exactly 0 (pruned); NaN, +Inf and −Inf are counted "
            "apart. A run's share is over its conv and linear weights; biases, norms and embeddings are apart."
        )

    def value(self, subject: Subject) -> dict[str, Any]:
        numbers = subject.numbers
        return {
            "zeros": numbers.zeros,
            "zero_fraction": share(numbers.zeros, numbers.count),
            "near_zeros": numbers.near_zeros,
            "near_zero_fraction": share(numbers.near_zeros, numbers.count),
            "nonfinite": numbers.nonfinite,
            "nan": numbers.nan,
            "posinf": numbers.posinf,
            "neginf": numbers.neginf,
        }
