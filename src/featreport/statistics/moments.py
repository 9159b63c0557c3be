"""Mean and standard deviation, exact to float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from featreport.statistics.base import Measured, Statistic, number, register
from featreport.statistics.table import Field


@register
class Moments(Statistic):
    """Mean and spread of all values, joined from those of the channels (Chan, Golub and LeVeque 1979)."""

    metric = "mean"
    label = "mean ± std"

    def sentence(self) -> str:
        return "Mean and population standard deviation over all images and positions, of finite values only."

    def value(self, tap: Measured) -> dict[str, Any]:
        count = tap[Field.COUNT].sum()
        if count == 0:
            return {"mean": None, "std": None}
        with np.errstate(over="ignore", invalid="ignore"):
            mean = float((tap[Field.MEAN] * tap[Field.COUNT]).sum() / count)
            spread = (tap[Field.SPREAD] + tap[Field.COUNT] * (tap[Field.MEAN] - mean) ** 2).sum()
            return {"mean": number(mean), "std": number(np.sqrt(spread / count))}
