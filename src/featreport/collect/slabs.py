"""One tensor's numbers in bounded memory: float64 slabs of a few MiB, whatever the tensor's size and layout."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from featreport.results.schema import Histogram

SLAB = 1 << 17  # elements; 1 MiB as float64, which stays in the cache
BINS = 50


@dataclass
class Numbers:
    """What one pass over a tensor adds up. `mean` and `m2` are of the finite values."""

    count: int = 0
    finite: int = 0
    zeros: int = 0
    near_zeros: int = 0
    nan: int = 0
    posinf: int = 0
    neginf: int = 0
    mean: float = 0.0
    m2: float = 0.0  # sum of squared distances from the mean
    low: float = math.inf
    high: float = -math.inf

    @property
    def nonfinite(self) -> int:
        """NaN and infinities."""
        return self.nan + self.posinf + self.neginf

    @property
    def std(self) -> float | None:
        """With ddof = 1; None for fewer than two finite values."""
        return math.sqrt(self.m2 / (self.finite - 1)) if self.finite > 1 else None

    def add(self, slab: Tensor, near_zero: float, scratch: Tensor) -> None:
        """Add a flat float64 slab; `scratch` is as long and overwritten."""
        self.count += slab.numel()
        self.zeros += _count(torch.eq(slab, 0, out=scratch))
        self.near_zeros += _count(torch.le(torch.abs(slab, out=scratch), near_zero, out=scratch))
        if not math.isfinite(float(slab.sum())):  # a sum of float32 values cannot overflow in float64
            self.nan += int(slab.isnan().sum())
            self.posinf += int(slab.isposinf().sum())
            self.neginf += int(slab.isneginf().sum())
            slab = slab[slab.isfinite()]
            scratch = scratch[: slab.numel()]
        if slab.numel():
            self._merge(slab, scratch)

    def _merge(self, slab: Tensor, scratch: Tensor) -> None:
        """Chan, Golub & LeVeque 1983: the exact mean and squared distances of two parts together."""
        self.low, self.high = min(self.low, float(slab.amin())), max(self.high, float(slab.amax()))
        mean = float(slab.mean())
        torch.sub(slab, mean, out=scratch)
        m2 = float(torch.dot(scratch, scratch))
        total = self.finite + slab.numel()
        delta = mean - self.mean
        self.m2 += m2 + delta * delta * self.finite * (slab.numel() / total)
        self.mean += delta * (slab.numel() / total)
        self.finite = total


def slabs(tensor: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield every element once, in flat float64 pieces of at most `SLAB`, each with a scratch as long.

    The tensor is never copied whole; a piece and its scratch are good until the next is asked for.
    """
    size = min(SLAB, tensor.numel())
    buffer, scratch = torch.empty(size, dtype=torch.float64), torch.empty(size, dtype=torch.float64)
    for piece in _pieces(tensor):
        count = piece.numel()
        buffer[:count].view(piece.shape).copy_(piece)
        yield buffer[:count], scratch[:count]


def _pieces(tensor: Tensor) -> Iterator[Tensor]:
    if tensor.numel() <= SLAB:
        if tensor.numel():
            yield tensor
    elif tensor.is_contiguous():
        yield from torch.split(tensor.view(-1), SLAB)
    else:
        inside = tensor[0].numel()
        step = max(1, SLAB // inside)
        for piece in torch.split(tensor, step):
            yield from _pieces(piece if inside <= SLAB else piece[0])


def measure(tensor: Tensor, near_zero: float) -> Numbers:
    """Return the numbers of a whole tensor."""
    found = Numbers()
    for slab, scratch in slabs(tensor):
        found.add(slab, near_zero, scratch)
    return found


def spread(tensor: Tensor, numbers: Numbers) -> tuple[Histogram, int | None]:
    """Return the histogram of the finite values, and how many are near zero for their tensor: |w| ≤ 0.01 · std.

    50 equal bins from the least to the greatest value, as `numpy.histogram`.
    """
    if not numbers.finite:
        return Histogram(edges=[], counts=[]), None
    low, high = numbers.low, numbers.high
    if high > low and not np.all(np.diff(np.linspace(low, high, BINS + 1)) > 0):  # a few units in last place
        high = low
    bounds = (low, high) if high > low else (low - 0.5, low + 0.5)
    limit = None if numbers.std is None else 0.01 * numbers.std
    counts = np.zeros(BINS, dtype=np.int64)
    edges = np.zeros(BINS + 1)
    near = 0
    for slab, scratch in slabs(tensor):
        values = slab if not numbers.nonfinite else slab[slab.isfinite()]
        part, edges = np.histogram(values.numpy(), bins=BINS, range=bounds)
        counts += part
        if limit is not None:
            near += _count(torch.le(torch.abs(slab, out=scratch), limit, out=scratch))
    return Histogram(edges=edges.tolist(), counts=counts.tolist()), None if limit is None else near


def row_maxima(rows: Tensor) -> Tensor:
    """Return max |w| of each row of `[rows, …]` as float64; NaN where a row holds one."""
    found = torch.zeros(rows.shape[0], dtype=torch.float64)
    axes = tuple(range(1, rows.ndim))
    inside = rows[0].numel() if rows.shape[0] else 0
    if not inside or not axes:
        return found
    if inside > SLAB:
        for index in range(rows.shape[0]):
            for slab, scratch in slabs(rows[index]):
                found[index] = torch.maximum(found[index], torch.abs(slab, out=scratch).amax())
        return found
    step = max(1, SLAB // inside)
    for start in range(0, rows.shape[0], step):
        part = rows[start : start + step]
        found[start : start + step] = part.abs().amax(axes).double().cpu()
    return found


def _count(found: Tensor) -> int:
    """Sum of a float64 mask of 0 and 1: exact, and faster than counting booleans."""
    return int(found.sum())
