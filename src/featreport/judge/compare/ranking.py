"""The rows of a comparison, worst first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from featreport.judge.compare.types import (
    Change,
    ChannelChange,
    Comparison,
    LayerChange,
    RunChange,
    WeightChange,
)

LARGE = 0.1  # a change of a fraction that is as bad as a channel newly dead


@dataclass(frozen=True)
class Row:
    """A layer or a tensor that differs, and how bad that is: the larger, the worse."""

    run: RunChange
    change: LayerChange | WeightChange
    score: tuple[int, float]


def worst(comparison: Comparison) -> list[Row]:
    """Return every layer and tensor that differs, worst first; of equal ones, those of the baseline's order.

    Values that are no numbers anymore come first, then newly dead channels and large changes of a fraction, then what
    revived, then the rest by the largest change of a fraction, shift of the histogram or drift.
    """
    rows = (Row(run, change, _score(change)) for run in comparison.runs for change in _differing(run))
    return sorted(rows, key=lambda row: row.score, reverse=True)


def _differing(run: RunChange) -> Iterator[LayerChange | WeightChange]:
    yield from (row for row in run.layers if row.differs)
    yield from (row for row in run.weights if row.differs)


def number(numbers: Sequence[Change], metric: str) -> Change:
    """Return the change of one metric."""
    return next(one for one in numbers if one.metric == metric)


def indices(change: LayerChange | WeightChange) -> ChannelChange | None:
    """Return the channels of a layer or the filters of a tensor that changed."""
    return change.channels if isinstance(change, LayerChange) else change.filters


def counts(change: LayerChange | WeightChange) -> tuple[int, int]:
    """Return how many channels are newly dead and how many revived; where no index holds, the difference."""
    found = indices(change)
    if found is not None:
        return len(found.newly_dead), len(found.revived)
    more = change.dead[1] - change.dead[0]
    return max(0, more), max(0, -more)


def tells(change: LayerChange | WeightChange) -> bool:
    """Say whether dead means silent here: at rectifiers, and of filters."""
    return isinstance(change, WeightChange) or change.rectifier


def _score(change: LayerChange | WeightChange) -> tuple[int, float]:
    strays = number(change.numbers, "nonfinite")
    more = (strays.after or 0) - (strays.before or 0)
    died, revived = counts(change) if tells(change) else (0, 0)
    whole = max(change.counts[0] or 1, change.counts[1] or 1, 1)
    fractions = max(
        (abs(one.change or 0.0) for one in change.numbers if one.metric.endswith("_fraction")), default=0.0
    )
    far = (change.shift.distance or 0.0) / 2
    if isinstance(change, WeightChange) and change.drift.relative is not None:
        far = max(far, change.drift.relative / (1 + change.drift.relative) / 2)
    size = max(fractions, died / whole, revived / whole, far)
    if more > 0:
        return 3, float(more)
    if died or fractions >= LARGE:
        return 2, size
    return (1 if revived or more else 0), size
