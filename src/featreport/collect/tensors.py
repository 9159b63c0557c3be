"""One tensor in numbers: a first pass over its slabs for what needs no range, a second for what does."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from featreport.collect.bins import BINS, Bins
from featreport.collect.slabs import Slab, Values, slabs
from featreport.results.schema import Histogram
from featreport.statistics.table import at_most

NEAR = 0.01  # of the standard deviation: near zero for its tensor


class Numbers:
    """What the first pass adds up. Mean and spread are of the finite values.

    Args:
        near_zero: the threshold of `near_zeros`.
        peaks: of `[rows]` or `[rows, more rows]` zeros: there, max |w| of each row is kept; None for no rows.
        axes: the axes of the tensor that `peaks` stands for.
    """

    def __init__(
        self, near_zero: float, peaks: NDArray[np.float64] | None = None, axes: Sequence[int] = ()
    ) -> None:
        self.peaks = peaks
        self.count = self.finite = self.zeros = self.near_zeros = 0
        self.nan = self.posinf = self.neginf = 0
        self.low, self.high = math.inf, -math.inf
        self._mean = self._spread = 0.0
        self._near_zero = near_zero
        self._axes = axes

    @property
    def nonfinite(self) -> int:
        """NaN and infinities."""
        return self.nan + self.posinf + self.neginf

    @property
    def mean(self) -> float | None:
        """None where there is no finite value, or float64 cannot hold their sum."""
        return self._mean if self.finite and math.isfinite(self._mean) else None

    @property
    def std(self) -> float | None:
        """With ddof = 1; None for fewer than two finite values."""
        if self.finite < 2 or not math.isfinite(self._spread):  # noqa: PLR2004 - one value has no deviation
            return None
        return math.sqrt(self._spread / (self.finite - 1))

    def add(self, slab: Slab) -> None:
        """Take in a slab."""
        values, finite = slab.values, slab.values
        exact = slab.take("exact", np.float64)
        np.copyto(exact, values)
        total = float(exact.sum())
        if not math.isfinite(total):  # a value that is not, or float64 ones too large to add
            finite = values[np.isfinite(values)]
            exact = finite.astype(np.float64)
            total = float(exact.sum())
            self.nan += int(np.count_nonzero(np.isnan(values)))
            self.posinf += int(np.count_nonzero(np.isposinf(values)))
            self.neginf += int(np.count_nonzero(np.isneginf(values)))
        if finite.size:
            mean = total / finite.size
            exact -= mean
            self._merge(finite.size, mean, float(np.einsum("i,i->", exact, exact)))
            self.low, self.high = min(self.low, float(finite.min())), max(self.high, float(finite.max()))
        self.count += slab.size
        self.zeros += slab.count(np.equal, values, 0)
        magnitude = slab.magnitude()
        if self.peaks is not None:
            self._raise(self.peaks, slab, magnitude)
        self.near_zeros += slab.count(np.less_equal, magnitude, limit(self._near_zero, values))

    def _merge(self, count: int, mean: float, spread: float) -> None:
        """Chan, Golub & LeVeque 1983: the exact mean and squared deviations of two parts together."""
        total = self.finite + count
        gap, share = mean - self._mean, count / total
        self._mean += gap * share
        self._spread += spread + gap * gap * self.finite * share
        self.finite = total

    def _raise(self, peaks: NDArray[np.float64], slab: Slab, magnitude: Values) -> None:
        """Put the maxima of a slab where they belong; NaN stays NaN."""
        others = tuple(axis for axis in range(len(slab.shape)) if axis not in self._axes)
        box = (*slab.box, *(slice(None) for _ in slab.shape[len(slab.box) :]))
        place = peaks[tuple(box[axis] for axis in self._axes)]
        np.maximum(place, magnitude.reshape(slab.shape).max(axis=others), out=place)


def limit(threshold: float, values: Values) -> float:
    """Return the threshold in the values' own type: none of its numbers lies between the two."""
    return at_most(threshold) if values.dtype == np.float32 else threshold


def measure(tensor: Tensor, near_zero: float, rows: Sequence[int] | None = None) -> Numbers:
    """Return the numbers of a whole tensor, of complex ones of their real parts.

    `rows` are the axes that tell its rows apart, None where it has none.
    """
    peaks = None if rows is None else np.zeros([tensor.shape[axis] for axis in rows])
    found = Numbers(near_zero, peaks, rows or ())
    with np.errstate(over="ignore", invalid="ignore"):
        for slab in slabs(_real(tensor)):
            found.add(slab)
    return found


def spread(tensor: Tensor, numbers: Numbers) -> tuple[Histogram, int | None]:
    """Return the histogram of the finite values, and how many are near zero for their tensor: |w| ≤ 0.01 · std.

    50 equal bins from the least to the greatest value, as `numpy.histogram`.
    """
    std, span = numbers.std, numbers.high - numbers.low
    bins = Bins(numbers.low, numbers.high) if numbers.finite and math.isfinite(span) else None
    counts, near = np.zeros(BINS, dtype=np.int64), 0
    for slab in slabs(_real(tensor)):
        values = slab.values
        if std is not None:
            near += slab.count(np.less_equal, slab.magnitude(), limit(NEAR * std, values))
        if bins is not None:
            counts += bins.count(slab, values if not numbers.nonfinite else values[np.isfinite(values)])
    if bins is None:
        return Histogram(edges=[], counts=[]), None if std is None else near
    histogram = Histogram(edges=bins.edges.tolist(), counts=counts.tolist())
    return histogram, None if std is None else near


def _real(tensor: Tensor) -> Tensor:
    tensor = tensor.detach()
    return tensor.real if tensor.is_complex() else tensor
