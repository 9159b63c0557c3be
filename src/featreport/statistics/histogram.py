"""Histogram of a fixed sample of every image, in one pass and without knowing the range beforehand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featreport.statistics.base import Measured, Statistic, register
from featreport.statistics.cells import BORDERS, CELLS, MANTISSA
from featreport.statistics.places import PER_IMAGE

SUBNORMAL = 2.0 ** (-126 - MANTISSA)  # the spacing of cells below the least normal number
MOST_BINS = 64
CROWDED = 0.9  # of the values other than 0 in the two bins beside 0: equal bins would show nothing
OCTAVES = 24  # below the greatest magnitude, on a logarithmic axis
Counted = tuple[NDArray[np.floating[Any]], NDArray[np.int64]]


@register
class HistogramOfValues(Statistic):
    """Counts by the leading bits of each float32: cells whose borders are dyadic numbers.

    Every multiple of 2^(E−5) up to 2^(E+1) is such a border, so the cells add up exactly to equal bins of a dyadic
    width once the range is known. No second pass, no dependence on the order of batches.
    """

    metric = "histogram"
    label = "histogram"

    def sentence(self) -> str:
        return (
            f"Counts of finite values in bins [edge, next edge), from at most {PER_IMAGE:,} values of each image, at "
            f"positions drawn once (seeded, one from each of {PER_IMAGE:,} equal stretches); all values of smaller "
            f"outputs. At most {MOST_BINS} equal bins whose width is a power of two, so that 0 is always an edge; "
            f"where more than {CROWDED:.0%} of the values other than 0 would fall beside 0, one bin for each doubling "
            "of |a| (logarithmic). Extremes, zeros and moments are of all values."
        )

    def value(self, tap: Measured) -> dict[str, Any]:
        edges, counts, scale = binned(tap.cells)
        zeros = int(tap.cells[CELLS // 2])  # and what is smaller than any other cell, below 1e-39
        return {
            "histogram": {"edges": edges.tolist(), "counts": counts.tolist(), "scale": scale, "zeros": zeros}
        }


def binned(cells: NDArray[np.int64]) -> tuple[NDArray[np.floating[Any]], NDArray[np.int64], str]:
    """Return edges and counts, equal bins or doublings, whichever shows the values; empty for no finite value."""
    edges, counts = equal_bins(cells)
    if edges.size == 0:
        return edges, counts, "linear"
    beside = (edges[:-1] == 0) | (edges[1:] == 0)
    zeros = int(cells[CELLS // 2])  # zeros, and what is smaller than any other cell
    rest = int(counts.sum()) - zeros
    if rest and counts.size > 2 and (counts[beside].sum() - zeros) > CROWDED * rest:  # noqa: PLR2004 - the two
        return (*doublings(cells), "log")
    return edges, counts, "linear"


def _used(cells: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    used = np.flatnonzero((cells > 0) & ~np.isnan(BORDERS))
    return BORDERS[used], cells[used].astype(np.int64)


def equal_bins(cells: NDArray[np.int64]) -> Counted:
    """Add the cells up to at most 64 equal bins that span what was seen."""
    low, counts = _used(cells)
    if low.size == 0:
        return np.zeros(0), np.zeros(0, dtype=np.int64)
    # Negative cells run (in magnitude) up to their lower border; positive ones begin at theirs.
    reach = float(np.abs(low).max())
    width = max(2.0 ** (math.floor(math.log2(reach)) - MANTISSA), SUBNORMAL) if reach > 0 else SUBNORMAL
    while np.floor(low.max() / width) - np.floor(low.min() / width) + 1 > MOST_BINS:
        width *= 2.0
    first = int(np.floor(low.min() / width))
    bins = np.floor(low / width).astype(np.int64) - first
    total = np.bincount(bins, weights=counts.astype(np.float64)).astype(np.int64)
    edges = (np.arange(total.size + 1, dtype=np.float64) + first) * width
    return edges, total


def doublings(cells: NDArray[np.int64]) -> Counted:
    """Add the cells up to one bin for each doubling of the magnitude, on both sides of 0, as far as values go."""
    low, counts = _used(cells)
    top = math.floor(math.log2(float(np.abs(low).max()))) + 1
    steps = 2.0 ** np.arange(top - OCTAVES, top + 1)
    edges = np.concatenate([-steps[::-1], [0.0], steps])
    place = np.searchsorted(edges, low, side="right") - 1
    total = np.bincount(place, weights=counts.astype(np.float64), minlength=edges.size - 1).astype(np.int64)
    used = np.flatnonzero(total)
    kept = slice(min(used[0], OCTAVES), max(used[-1], OCTAVES) + 1)
    return edges[kept.start : kept.stop + 1], total[kept]
