"""A histogram without a range known beforehand: float32 numbers counted by their leading bits."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MANTISSA = 5  # leading mantissa bits kept: 32 cells an octave
DROPPED = 23 - MANTISSA
CELLS = 1 << (32 - DROPPED)  # of all float32 bit patterns; cell CELLS / 2 begins at 0
SPILL = CELLS  # one more, for values that are no numbers: dropped at the end
OCTAVES = np.arange(-126, 128)


def cells_of(values: Tensor) -> Tensor:
    """Return the cell `0 … CELLS` of each value as int64, of the shape given; it waits for nothing.

    Below zero a cell must be closed at its left end too: one unit nearer to zero before the bits are cut. −0.0 is 0.
    """
    single = values.float() + 0.0
    bits = single.view(torch.int32)
    cell = (((bits >> 31) + bits) >> DROPPED) + CELLS // 2
    return torch.where(torch.isfinite(single), cell, SPILL).long()


def _lower_borders() -> NDArray[np.float64]:
    """Lower border of each cell; NaN for those that hold no finite number."""
    cell = np.arange(CELLS, dtype=np.int64) - CELLS // 2
    magnitude = np.where(cell >= 0, cell, cell + CELLS // 2)
    with np.errstate(invalid="ignore"):  # some patterns are NaN
        single = (magnitude.astype(np.uint32) << np.uint32(DROPPED)).view(np.float32).astype(np.float64)
        upper = ((magnitude + 1).astype(np.uint32) << np.uint32(DROPPED)).view(np.float32).astype(np.float64)
    inside = np.isfinite(single)
    return np.where(
        inside, np.where(cell >= 0, single, -np.where(np.isfinite(upper), upper, 2.0**128)), np.nan
    )


BORDERS = _lower_borders()


def median_magnitude(cells: NDArray[np.int64]) -> float | None:
    """Return the median of |a|, to the width of a cell (3 % of the value): the middle of the cell it lies in."""
    half = CELLS // 2
    positive = cells[half:CELLS].astype(np.int64)
    negative = cells[:half]  # cell i holds magnitudes of pattern i
    counts = positive + negative
    total = int(counts.sum())
    if not total:
        return None
    place = int(np.searchsorted(np.cumsum(counts), (total + 1) // 2))
    if place == 0 and int(positive[0]):  # zeros lie in the first cell, with what is smaller than any other
        return 0.0
    low = BORDERS[half + place]
    high = BORDERS[half + place + 1] if np.isfinite(BORDERS[half + place + 1]) else 2.0**128
    return float((low + high) / 2)
