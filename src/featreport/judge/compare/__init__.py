"""Two results → a typed Comparison: what changed, where, by how much, and whether it may be said at all."""

from featreport.judge.compare.ranking import Row, worst
from featreport.judge.compare.results import compare
from featreport.judge.compare.types import (
    Change,
    ChannelChange,
    Comparison,
    Difference,
    Drift,
    LayerChange,
    Place,
    RunChange,
    Side,
    WeightChange,
)

__all__ = [
    "Change",
    "ChannelChange",
    "Comparison",
    "Difference",
    "Drift",
    "LayerChange",
    "Place",
    "Row",
    "RunChange",
    "Side",
    "WeightChange",
    "compare",
    "worst",
]
