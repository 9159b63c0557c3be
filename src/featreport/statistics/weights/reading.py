"""One tensor in numbers: a first reading for what needs no range, a second for what does."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from featreport.statistics.reduction import reduce_into
from featreport.statistics.table import Field, Limits, at_most, blank, merge
from featreport.statistics.weights.bins import BINS, Bins
from featreport.statistics.weights.slabs import Values, boxes, slabs

NEAR = 0.01  # of the standard deviation: near zero for its tensor
ROOM = 1 << 18  # elements copied at a time, of a tensor that is not read where it lies
DIRECT = frozenset({torch.float32, torch.float64})
READ = DIRECT | {torch.float16, torch.bfloat16}
CPU = torch.device("cpu")

Array = NDArray[np.float64]


class Numbers:
    """What the first reading gives, from a table `[fields, rows]`. Mean and spread are of the finite values."""

    def __init__(self, table: Array, count: int) -> None:
        self.count = count
        self._table = table
        sums = table[Field.ZEROS : Field.NEGINF + 1].sum(1).astype(np.int64).tolist()
        self.zeros, self.near_zeros, self.nan, self.posinf, self.neginf = sums
        self.low, self.high = math.inf, -math.inf
        if table.shape[1]:
            self.low, self.high = float(table[Field.LOW].min()) + 0.0, float(table[Field.HIGH].max()) + 0.0
        self.nonfinite: int = self.nan + self.posinf + self.neginf
        self.finite = count - self.nonfinite
        self._mean, self._spread = _joined(table, self.finite)

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

    @cached_property
    def peaks(self) -> Array:
        """Return max |w| of each row: NaN where the row holds one, 0 of an empty row."""
        table = self._table
        peaks = np.maximum(table[Field.PEAK], 0.0)
        peaks = np.where(table[Field.POSINF] + table[Field.NEGINF] > 0, np.inf, peaks)
        return np.where(table[Field.NAN] > 0, np.nan, peaks)

    @cached_property
    def norms(self) -> Array:
        """Return the L2 norm of each row's finite values."""
        table = self._table
        with np.errstate(over="ignore", invalid="ignore"):
            found: Array = np.sqrt(table[Field.SPREAD] + table[Field.COUNT] * table[Field.MEAN] ** 2)
        return found


def _joined(table: Array, finite: int) -> tuple[float, float]:
    """Return mean and sum of squared deviations of all rows together."""
    if table.shape[1] == 1:
        return float(table[Field.MEAN, 0]), float(table[Field.SPREAD, 0])
    count, mean = table[Field.COUNT], table[Field.MEAN]
    with np.errstate(over="ignore", invalid="ignore"):
        middle = float((count / max(1, finite)) @ mean)
        gap = mean - middle
        return middle, float(table[Field.SPREAD].sum() + (count * gap) @ gap)


def measure(tensor: Tensor, near_zero: float, *, transposed: bool = False) -> Numbers:
    """Return the numbers of a whole tensor, of complex ones of their real parts.

    Its rows lie along the first axis; `transposed`: along the first and the third, one after the other. A tensor of
    fewer than two axes is one row.
    """
    tensor, limits = _real(tensor), Limits(0.0, near_zero)
    if not transposed:
        rows = tensor.shape[0] if tensor.ndim > 1 else 1
        parts = [tensor[None] if tensor.ndim > 1 else tensor.reshape(1, 1, -1)]
    else:
        rows = tensor.shape[0] * tensor.shape[2]
        parts = list(tensor)
    table = blank(rows, CPU)
    if tensor.numel():
        with np.errstate(over="ignore", invalid="ignore"):
            for index, part in enumerate(parts):
                width = part.shape[1]
                _read(table[:, index * width : (index + 1) * width], part, limits)
    return Numbers(table.numpy(), tensor.numel())


def _read(table: Tensor, values: Tensor, limits: Limits) -> None:
    """Add `[n, rows, …]` to the table of its rows, however it lies in memory."""
    n, rows = values.shape[:2]
    if values.dtype in DIRECT and values.device == CPU and values.is_contiguous():
        flat = values.view(n, rows, -1)
        reduce_into(table, 0, torch.zeros((n, rows), dtype=torch.float64), flat, limits)
        return
    for box in boxes(values.shape, ROOM):
        piece = values[box].to(CPU)
        piece = piece.to(torch.float32 if piece.dtype in READ - {torch.float64} else torch.float64)
        piece = piece.contiguous().view(*piece.shape[:2], -1)
        part = table[:, box[1]] if len(box) > 1 else table
        found = blank(piece.shape[1], CPU)
        sums = torch.zeros(piece.shape[:2], dtype=torch.float64)
        reduce_into(found, 0, sums, piece, limits)
        merge(part, found)


@dataclass(frozen=True)
class Spread:
    """What a second reading gives: the histogram, and how many values are near zero for their tensor."""

    edges: Array  # empty where there is no range
    counts: NDArray[np.int64]
    near: int | None


def spread(tensor: Tensor, numbers: Numbers) -> Spread:
    """Return the histogram of the finite values, and how many are near zero for their tensor: |w| ≤ 0.01 · std.

    50 equal bins from the least to the greatest value, as `numpy.histogram`.
    """
    std, span = numbers.std, numbers.high - numbers.low
    bins = Bins(numbers.low, numbers.high) if numbers.finite and math.isfinite(span) else None
    counts, near = np.zeros(BINS, dtype=np.int64), 0
    with np.errstate(over="ignore", invalid="ignore"):
        for slab in slabs(_real(tensor)):
            values = slab.values
            if std is not None:
                near += slab.count(np.less_equal, slab.magnitude(), limit(NEAR * std, values))
            if bins is not None:
                counts += bins.count(slab, values if not numbers.nonfinite else values[np.isfinite(values)])
    if bins is None:
        return Spread(np.empty(0), np.empty(0, np.int64), None if std is None else near)
    return Spread(bins.edges, counts, None if std is None else near)


def fourth(tensor: Tensor, numbers: Numbers) -> float | None:
    """Return the kurtosis m₄ / m₂² (3 of a Gaussian, 1.8 of a uniform one), None without deviation."""
    mean, std = numbers.mean, numbers.std
    if mean is None or not std or numbers.nonfinite:
        return None
    square = quart = 0.0
    for values in exact_slabs(tensor):
        off = (values - mean) / std
        off *= off
        square += float(off.sum())
        quart += float(np.einsum("i,i->", off, off))
    return quart / square * (numbers.count / square)


def exact_slabs(tensor: Tensor) -> Iterator[Array]:
    """Yield the values in float64, a slab at a time."""
    for slab in slabs(_real(tensor)):
        yield slab.values.astype(np.float64)


def limit(threshold: float, values: Values) -> float:
    """Return the threshold in the values' own type: none of its numbers lies between the two."""
    return at_most(threshold) if values.dtype == np.float32 else threshold


def _real(tensor: Tensor) -> Tensor:
    tensor = tensor.detach()
    return tensor.real if tensor.is_complex() else tensor
