"""A histogram of equal bins, counted slab by slab: the counts `numpy.histogram` gives for the whole tensor."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from featreport.statistics.weights.slabs import UNDIVIDED, Slab, Values

BINS = 50
# A position among the bins, computed in float32, is off by at most 3 · 2^-24 of 50: nearer to an edge than this, the
# value itself is compared with the edge.
DOUBT = 2.0**-14
FEW = 16  # more than one in so many at an edge: then NumPy's own way is the faster
SPANS = (1e-30, 1e30)  # ranges in which no float32 step over- or underflows
HALF = 0.5


class Bins:
    """50 equal bins from the least to the greatest value; one value alone stands in the middle of a range of 1."""

    def __init__(self, low: float, high: float) -> None:
        if not np.all(
            np.diff(np.linspace(low, high, BINS + 1)) > 0
        ):  # one value, or a few units in the last place
            half = max(HALF, 2 * BINS * float(np.spacing(abs(low))))
            low, high = low - half, low + half
        self.low, self.high = low, high
        self.edges: NDArray[np.float64] = np.linspace(low, high, BINS + 1)
        self._quick = SPANS[0] < high - low < SPANS[1] and float(np.float32(low)) == low

    def count(self, slab: Slab, values: Values) -> NDArray[np.int64]:
        """Return how many of the finite `values` of a slab fall into each bin."""
        if values.dtype == np.float32 and self._quick:
            found = self._by_position(slab, values)
            if found is not None:
                return found
        exact = values.astype(np.float64, copy=False)
        return np.histogram(exact, bins=BINS, range=(self.low, self.high))[0].astype(np.int64)

    def _by_position(self, slab: Slab, values: Values) -> NDArray[np.int64] | None:
        """Count by the position of each value in the range; None where too many lie at an edge."""
        n = values.size
        place = np.subtract(values, np.float32(self.low), out=slab.take("magnitude", np.float32)[:n])
        place *= np.float32(BINS / (self.high - self.low))
        index = slab.take("index", np.int32)[:n]
        np.copyto(index, place, casting="unsafe")
        place -= np.trunc(place, out=slab.take("whole", np.float32)[:n])
        place -= np.float32(HALF)
        distance = np.abs(place, out=place)  # 0 in the middle of a bin, 0.5 at its edges
        doubtful = np.greater_equal(distance, np.float32(HALF - DOUBT), out=slab.take("mask", np.bool_)[:n])
        count = np.count_nonzero(doubtful)
        if count * FEW > n:
            return None
        counts = _counted(index)
        if count:
            where = np.flatnonzero(doubtful)
            counts -= np.bincount(index[where], minlength=BINS + 1)
            right = np.searchsorted(self.edges, values[where].astype(np.float64), side="right") - 1
            counts += np.bincount(np.minimum(right, BINS - 1), minlength=BINS + 1)
        return counts[:BINS]


def _counted(index: Values) -> NDArray[np.int64]:
    """Count each place in parts that torch handles without starting threads; it needs half of NumPy's time."""
    parts = torch.split(torch.from_numpy(index), UNDIVIDED)
    return sum(
        (torch.bincount(part, minlength=BINS + 1).numpy() for part in parts),
        start=np.zeros(BINS + 1, dtype=np.int64),
    )
