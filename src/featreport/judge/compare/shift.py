"""How far a histogram moved: Jensen–Shannon distance on common edges.

Both are spread over the union of their edges, each bin's mass in proportion to width: within a bin values are taken
for evenly strewn. Exact zeros stand apart, as a point, and so does a bin without width. Linear and logarithmic
histograms mix, because both have their edges in the values' own unit.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from featreport.judge.compare.types import Shift
from featreport.results.schema import Activation, Histogram, Weight


@dataclass(frozen=True)
class _Mass:
    """A distribution of mass 1: bins `(low, high, mass)` in order, and points with a mass of their own."""

    bins: tuple[tuple[float, float, float], ...]
    points: Mapping[float, float]


def shift(before: Activation | Weight, after: Activation | Weight) -> Shift:
    """Return the distance between the histograms of two taps or tensors; the same from either side."""
    if _same(before, after):
        return Shift(distance=0.0) if _total(before.histogram) else Shift(distance=None, reason=_EMPTY)
    one, other = _mass(before.histogram, _zeros(before)), _mass(after.histogram, _zeros(after))
    if one is None or other is None:
        return Shift(distance=None, reason=_EMPTY)
    return Shift(distance=_distance(one, other))


_EMPTY = "a histogram is empty or has no usable edges"


def _same(before: Activation | Weight, after: Activation | Weight) -> bool:
    one, other = before.histogram, after.histogram
    return one.edges == other.edges and one.counts == other.counts and _zeros(before) == _zeros(after)


def _total(histogram: Histogram) -> int:
    return sum(count for count in histogram.counts if count > 0)


def _zeros(row: Activation | Weight) -> int:
    """Return how many of the values counted are exact zeros."""
    return row.zeros if row.histogram.zeros is None else row.histogram.zeros


def _mass(histogram: Histogram, zeros: int) -> _Mass | None:
    """Return the histogram as a distribution; None where it has no mass, or its edges do not increase."""
    edges, counts = histogram.edges, list(histogram.counts)
    if len(edges) != len(counts) + 1 or any(low > high for low, high in itertools.pairwise(edges)):
        return None
    total = sum(counts)
    if total <= 0 or min(counts) < 0 or not math.isfinite(edges[-1] - edges[0]):
        return None
    points: dict[float, float] = defaultdict(float)
    home = _home(edges, counts)
    if home is not None and zeros > 0:
        apart = min(zeros, counts[home])
        counts[home] -= apart
        points[0.0] += apart / total
    bins = []
    for low, high, count in zip(edges, edges[1:], counts, strict=False):
        if count and low == high:
            points[low + 0.0] += count / total
        elif count:
            bins.append((low, high, count / total))
    return _Mass(tuple(bins), points)


def _home(edges: Sequence[float], counts: Sequence[int]) -> int | None:
    """Return the bin that 0 falls into: [low, high), the last one closed."""
    for place, (low, high) in enumerate(itertools.pairwise(edges)):
        if low <= 0 < high or (place == len(counts) - 1 and high == 0):
            return place
    return None


def _distance(one: _Mass, other: _Mass) -> float:
    """Return √JSD in base 2. Terms of the two are added in pairs, so that swapping them changes no bit."""
    points = sorted({*one.points, *other.points})
    terms = [_term(one.points.get(point, 0.0), other.points.get(point, 0.0)) for point in points]
    edges = sorted({edge for side in (one, other) for low, high, _ in side.bins for edge in (low, high)})
    terms += [_term(p, q) for p, q in zip(_spread(one, edges), _spread(other, edges), strict=True)]
    return math.sqrt(min(1.0, max(0.0, math.fsum(terms))))


def _spread(mass: _Mass, edges: Sequence[float]) -> list[float]:
    """Return the mass between consecutive common edges; every edge of its own is one of them."""
    cells: list[float] = []
    bins = iter(mass.bins)
    current = next(bins, None)
    for low, high in itertools.pairwise(edges):
        while current is not None and current[1] <= low:
            current = next(bins, None)
        if current is None or current[0] > low:
            cells.append(0.0)
        else:
            cells.append(current[2] * ((high - low) / (current[1] - current[0])))
    return cells


def _term(p: float, q: float) -> float:
    """Return what one cell adds to the Jensen–Shannon divergence in bits."""
    if p == q:
        return 0.0
    middle = (p + q) / 2
    return (_part(p, middle) + _part(q, middle)) / 2


def _part(p: float, middle: float) -> float:
    return p * math.log2(p / middle) if p > 0 and middle > 0 else 0.0
