"""Channels stuck at the upper bound of their activation function."""

from __future__ import annotations

from typing import Any

from featreport.statistics.base import Measured, Statistic, indices, register
from featreport.statistics.table import Field

STUCK = 0.99  # of the positions


@register
class Saturated(Statistic):
    """Channels at the layer's upper bound almost everywhere."""

    metric = "saturated"
    label = "saturated"

    def sentence(self) -> str:
        return (
            "Channels at the upper bound of their activation function (6 of a ReLU6, 1 of a hard sigmoid or a hard "
            f"tanh, …) on more than {STUCK:.0%} of all positions; none where a function has no upper bound."
        )

    def value(self, tap: Measured) -> dict[str, Any]:
        if tap.upper is None or not tap.positions:
            return {"saturated": None}
        return {"saturated": indices(tap[Field.BOUND] > STUCK * tap.positions)}
