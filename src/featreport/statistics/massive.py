"""Massive activations: a few values a thousand times the usual."""

from __future__ import annotations

from typing import Any

from featreport.statistics.base import Measured, Statistic, indices, register
from featreport.statistics.cells import median_magnitude

LEAST = 100.0
TIMES = 1000.0


@register
class Massive(Statistic):
    """Channels with a value that is both large and far beyond the tensor's median."""

    metric = "massive"
    label = "massive"

    def sentence(self) -> str:
        return (
            f"Channels with some |a| > {LEAST:g} and ≥ {TIMES:g} × the median |a| of the whole output "
            "(Sun et al. 2024, arXiv 2402.17762). The median is that of the histogram's sample, to 3 %."
        )

    def value(self, tap: Measured) -> dict[str, Any]:
        median = median_magnitude(tap.cells)
        if median is None:
            return {"massive": None, "median_magnitude": None}
        found = indices((tap.loudest > LEAST) & (tap.loudest >= TIMES * median))
        return {"massive": found, "median_magnitude": median}
