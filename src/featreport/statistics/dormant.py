"""Channels that hardly take part: dormant units."""

from __future__ import annotations

from typing import Any

import numpy as np

from featreport.statistics.base import Measured, Statistic, indices, register, share
from featreport.statistics.table import Field

TAUS = (0.0, 0.025, 0.1)
HEADLINE = 0.025


@register
class Dormant(Statistic):
    """Channels whose mean |a| is small beside that of the layer's channels."""

    metric = "dormant_fraction"
    label = "dormant"

    def sentence(self) -> str:
        return (
            "A channel is τ-dormant when E|a| of the channel ≤ τ · the mean of E|a| over the layer's channels "
            "(Sokar et al. 2023, arXiv 2302.12902), for τ = 0, 0.025 and 0.1; the share is for τ = 0.025. In a layer "
            "that is dead as a whole every channel is dormant."
        )

    def value(self, tap: Measured) -> dict[str, Any]:
        count = tap[Field.COUNT]
        known = count > 0
        if not known.any():
            return {"dormant": None, "dormant_fraction": None}
        size = tap.sizes
        layer = (size[known] / known.sum()).sum()  # of float64 values their sum may be too large for one
        if not np.isfinite(layer):
            return {"dormant": None, "dormant_fraction": None}
        found = {tau: indices(known & (size <= tau * layer)) for tau in TAUS}
        return {
            "dormant": {f"{tau:g}": channels for tau, channels in found.items()},
            "dormant_fraction": share(len(found[HEADLINE]), tap.channels),
        }
