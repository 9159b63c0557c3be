"""Minimum and maximum, and the channels that never change."""

from __future__ import annotations

from typing import Any

from featreport.statistics.base import Measured, Statistic, indices, number, register
from featreport.statistics.table import Field


@register
class Extrema(Statistic):
    """Least and greatest finite value."""

    metric = "constant"
    label = "min … max, constant"

    def sentence(self) -> str:
        return (
            "Least and greatest finite value. A channel is constant when they differ by at most "
            f"{self.settings.constant:g}, over at least two values, and it is not dead: it still carries a bias."
        )

    def value(self, tap: Measured) -> dict[str, Any]:
        low, high = tap[Field.LOW], tap[Field.HIGH]
        if low.size == 0:
            return {"min": None, "max": None, "constant": []}
        same = (high - low <= self.settings.constant) & (tap.loudest > self.settings.dead) & (tap.strays == 0)
        constant = indices(same) if tap.positions > 1 else []
        return {"min": number(low.min()), "max": number(high.max()), "constant": constant}
