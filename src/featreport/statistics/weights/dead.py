"""Dead filters, with the evidence."""

from __future__ import annotations

from typing import Any

import numpy as np

from featreport.statistics.base import median, number, share
from featreport.statistics.weights.base import Subject, WeightStatistic, register


@register
class DeadFilters(WeightStatistic):
    """Output channels whose filter is near zero."""

    metric = "weights.dead"
    label = "dead filters"

    def sentence(self) -> str:
        return (
            f"Output channels of a conv, transposed-conv or linear weight with max |w| ≤ "
            f"{self.settings.near_zero:g}; that maximum and the filter's L2 norm stand beside the median L2 norm of "
            "the layer's filters. Without an architecture (source: none) the first axis is taken for the output "
            "channels, which a transposed convolution's is not."
        )

    def value(self, subject: Subject) -> dict[str, Any]:
        if not subject.filters:
            return {"channels": None, "dead": [], "dead_fraction": None}
        peaks, norms = subject.numbers.peaks, subject.numbers.norms
        dead: list[int] = []
        if subject.numbers.count:
            dead = np.flatnonzero(peaks <= subject.near_zero).tolist()
        clean = norms[np.isfinite(peaks)] if subject.numbers.count else norms[:0]
        return {
            "channels": peaks.size,
            "dead": dead,
            "dead_fraction": share(len(dead), peaks.size),
            "dead_filters": [
                {"channel": channel, "peak": float(peaks[channel]), "norm": float(norms[channel])}
                for channel in dead
            ],
            "median_norm": number(median(clean)) if clean.size else None,
        }
