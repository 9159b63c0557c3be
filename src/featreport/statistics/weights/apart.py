"""How far two tensors of one shape are apart, taken from both of them in float64."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from featreport.statistics.weights.base import Subject

PIECE = 1 << 20  # elements held in float64 at a time
SMALL, LARGE = 1e-140, 1e140  # beyond these a square leaves float64's range


@dataclass(frozen=True)
class Apart:
    """The distance of two tensors, and the cosines of their rows; None is that of a tensor or row of zeros."""

    distance: float  # ‖A − B‖
    norms: tuple[float, float]  # ‖A‖, ‖B‖
    cosine: float | None
    rows: list[float | None]


def apart(one: Tensor, other: Tensor) -> Apart:
    """Return how far two real, finite tensors `[rows, everything else]` are apart."""
    sizes = _size(one), _size(other)
    common = max(sizes)
    sums = torch.zeros(4, len(one), dtype=torch.float64)  # of A², B², A · B and (A − B)² in each row
    width = one.shape[1]
    tall = max(1, PIECE // max(1, width))
    for row in range(0, len(one), tall):
        for column in range(0, width, PIECE):
            box = slice(row, row + tall), slice(column, column + PIECE)
            a, b = one[box].double(), other[box].double()
            gap = a / common - b / common
            a, b = a / sizes[0], b / sizes[1]
            sums[:, box[0]] += torch.stack([(x * y).sum(1) for x, y in ((a, a), (b, b), (a, b), (gap, gap))])
    whole = [math.fsum(line) for line in sums.tolist()]
    return Apart(
        distance=math.sqrt(whole[3]) * common,
        norms=(math.sqrt(whole[0]) * sizes[0], math.sqrt(whole[1]) * sizes[1]),
        cosine=_cosine(*whole),
        rows=[_cosine(*line) for line in sums.T.tolist()],
    )


def filters(tensor: Tensor, transposed: int | None) -> Tensor:
    """Return a weight as `[output channels, everything else]`; `transposed`: the groups of a transposed convolution."""
    return Subject("", tensor, "weight", transposed=transposed).rows


def _size(tensor: Tensor) -> float:
    """Return what a tensor is divided by so that its squares stay within float64's range: nearly always 1."""
    if tensor.dtype != torch.float64 or not tensor.numel():
        return 1.0
    peak = float(tensor.abs().max())
    return peak if peak and not SMALL < peak < LARGE else 1.0


def _cosine(mine: float, theirs: float, product: float, gap: float) -> float | None:
    if not (mine and theirs):
        return None
    return 1.0 if not gap else max(-1.0, min(1.0, product / (math.sqrt(mine) * math.sqrt(theirs))))
