"""One tensor in numbers: a first reading for what needs no range, a second for what does."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from featreport.statistics.kernel import Block, runs, together
from featreport.statistics.reduction import reduce_into
from featreport.statistics.table import Field, Limits, at_most, blank
from featreport.statistics.weights.bins import BINS, Bins
from featreport.statistics.weights.slabs import Values, boxes, slabs

NEAR = 0.01  # of the standard deviation: near zero for its tensor
ROOM = 1 << 18  # elements copied at a time, of a tensor that is not read where it lies
DIRECT = frozenset({torch.float32, torch.float64})
READ = DIRECT | {torch.float16, torch.bfloat16}
CPU = torch.device("cpu")

Array = NDArray[np.float64]


class Numbers:
    """What the first reading gives of a tensor. Mean and spread are of the finite values.

    Args:
        table: of its rows, `[fields, rows]`.
        count: how many values it has.
        joined: what its rows have together: moments, extrema, and counts from `Field.ZEROS` to `Field.NEGINF`.
    """

    def __init__(self, table: Array, count: int, joined: Joined) -> None:
        self.count = count
        self._table = table
        self._mean, self._spread, self.low, self.high = joined.moments
        self.zeros, self.near_zeros, self.nan, self.posinf, self.neginf = joined.counts
        self.nonfinite: int = self.nan + self.posinf + self.neginf
        self.finite = count - self.nonfinite

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


@dataclass(frozen=True)
class Joined:
    """What the rows of a tensor have together."""

    moments: Sequence[float] = (0.0, 0.0, math.inf, -math.inf)  # mean, squared deviations, least, greatest
    counts: Sequence[int] = (0, 0, 0, 0, 0)  # zeros, near-zeros, NaN, +Inf, -Inf


def _join(table: Array, starts: NDArray[np.intp]) -> list[Joined]:
    """Return what the rows of each tensor have together: its rows begin at `starts`, and it has at least one."""
    if not starts.size:
        return []
    rows = np.diff(starts, append=table.shape[1])
    count, mean = table[Field.COUNT], table[Field.MEAN]
    with np.errstate(over="ignore", invalid="ignore"):
        counts = np.add.reduceat(table[Field.COUNT : Field.NEGINF + 1], starts, axis=1)
        weight = count / np.repeat(np.maximum(counts[Field.COUNT], 1.0), rows)
        middle = np.add.reduceat(weight * mean, starts)
        gap = mean - np.repeat(middle, rows)
        spread = counts[Field.SPREAD] + np.add.reduceat(count * gap * gap, starts)
    low = np.minimum.reduceat(table[Field.LOW], starts) + 0.0
    high = np.maximum.reduceat(table[Field.HIGH], starts) + 0.0
    moments = np.stack([middle, spread, low, high]).T.tolist()
    found = counts[Field.ZEROS :].T.astype(np.int64).tolist()
    return [Joined(*both) for both in zip(moments, found, strict=True)]


def measure(tensor: Tensor, near_zero: float, *, transposed: bool = False) -> Numbers:
    """Return the numbers of a whole tensor: see `measure_all`."""
    return measure_all([(tensor, transposed)], near_zero)[0]


def measure_all(tensors: Sequence[tuple[Tensor, bool]], near_zero: float) -> list[Numbers]:
    """Return the numbers of whole tensors, of complex ones of their real parts.

    The rows of a tensor lie along its first axis; of a transposed one (`True`) along the first and the third, one
    after the other. A tensor of fewer than two axes is one row.
    """
    limits = Limits(0.0, near_zero)
    real = [(_real(tensor), transposed) for tensor, transposed in tensors]
    rows = np.array([_rows(tensor, transposed=transposed) for tensor, transposed in real], np.intp)
    starts = np.cumsum(rows) - rows
    table = blank(int(rows.sum()), CPU)
    blocks: list[Block] = []
    with np.errstate(over="ignore", invalid="ignore"):
        for (tensor, transposed), at in zip(real, starts.tolist(), strict=True):
            for offset, part in _parts(tensor, transposed=transposed):
                if _direct(part):
                    blocks.append(_block(part, at + offset))
                else:
                    _read(table[:, at + offset : at + offset + part.shape[1]], part, limits)
    if blocks:
        together(table, blocks, limits)
    found = table.numpy()
    joined = iter(_join(found, starts[rows > 0]))
    return [
        Numbers(found[:, at : at + height], tensor.numel(), next(joined) if height else Joined())
        for (tensor, _), at, height in zip(real, starts.tolist(), rows.tolist(), strict=True)
    ]


def _rows(tensor: Tensor, *, transposed: bool) -> int:
    if transposed:
        return tensor.shape[0] * tensor.shape[2]
    return tensor.shape[0] if tensor.ndim > 1 else 1


def _parts(tensor: Tensor, *, transposed: bool) -> Iterator[tuple[int, Tensor]]:
    """Yield `[n, rows, …]` with the number of its first row."""
    if not tensor.numel():
        return
    if not transposed:
        yield 0, tensor[None] if tensor.ndim > 1 else tensor.reshape(1, 1, -1)
        return
    for index, part in enumerate(tensor):
        yield index * tensor.shape[2], part


def _direct(part: Tensor) -> bool:
    """Whether it is read with others in one go."""
    return part.dtype == torch.float32 and part.is_contiguous() and runs(part)


def _block(part: Tensor, at: int) -> Block:
    n, rows = part.shape[:2]
    return Block(part.data_ptr(), n, rows, part.numel() // (n * rows), at)


def _read(table: Tensor, values: Tensor, limits: Limits) -> None:
    """Add `[n, rows, …]` to the table of its rows, however it lies in memory."""
    n, rows = values.shape[:2]
    if values.dtype in DIRECT and values.device == CPU and values.is_contiguous():
        flat = values.view(n, rows, -1)
        reduce_into(table, 0, None, flat, limits)
        return
    for box in boxes(values.shape, ROOM):
        piece = values[box].to(CPU)
        piece = piece.to(torch.float32 if piece.dtype in READ - {torch.float64} else torch.float64)
        piece = piece.contiguous().view(*piece.shape[:2], -1)
        part = table[:, box[1]] if len(box) > 1 else table
        reduce_into(part, 0, None, piece, limits)


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
    return (tensor.real if tensor.is_complex() else tensor).resolve_neg()
