"""Exact zeros and near-zeros."""

from __future__ import annotations

from typing import Any

from featreport.statistics.base import Measured, Statistic, register, share
from featreport.statistics.table import Field


@register
class Zeros(Statistic):
    """Values that are exactly 0."""

    metric = "zero_fraction"
    label = "zero"

    def sentence(self) -> str:
        return (
            "Share of values that are exactly 0; at a rectifier's output this is APoZ "
            "(Hu et al. 2016, arXiv 1607.03250)."
        )

    def value(self, tap: Measured) -> dict[str, Any]:
        found = int(tap[Field.ZEROS].sum())
        return {"zeros": found, "zero_fraction": share(found, tap.positions * tap.channels)}


@register
class NearZeros(Statistic):
    """Values within `near_zero` of 0, on both sides."""

    metric = "near_zero_fraction"
    label = "near zero"

    def sentence(self) -> str:
        return f"Share of values with |a| ≤ {self.settings.near_zero:g}, both signs, exact zeros included."

    def value(self, tap: Measured) -> dict[str, Any]:
        found = int(tap[Field.NEAR].sum())
        return {"near_zeros": found, "near_zero_fraction": share(found, tap.positions * tap.channels)}
