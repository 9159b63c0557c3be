"""Values that are no numbers."""

from __future__ import annotations

from typing import Any

from featreport.statistics.base import Measured, Statistic, register
from featreport.statistics.table import Field


@register
class NonFinite(Statistic):
    """NaN, +Inf and −Inf, counted apart."""

    metric = "nonfinite"
    label = "non-finite"

    def sentence(self) -> str:
        return "Count of NaN, +Inf and −Inf; they are left out of moments, extrema and histograms."

    def value(self, tap: Measured) -> dict[str, Any]:
        fields = {"nan": Field.NAN, "posinf": Field.POSINF, "neginf": Field.NEGINF}
        counts = {name: int(tap[field].sum()) for name, field in fields.items()}
        return {"nonfinite": sum(counts.values()), **counts}
