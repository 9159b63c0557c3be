"""How far two tensors of one shape are apart, taken from both of them in float64."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from featreport.statistics.weights.base import MATRIX, Subject

PIECE = 1 << 20  # elements held in float64 at a time
SMALL, LARGE = 1e-140, 1e140  # beyond these a square leaves float64's range
EVEN = 1e-6  # relative; how well a median of norms must agree with the one that was measured


@dataclass(frozen=True)
class Apart:
    """The distance of two tensors; `filters` are the cosines of their output channels, None where one is all zeros."""

    distance: float  # ‖A − B‖
    norms: tuple[float, float]  # ‖A‖, ‖B‖
    cosine: float | None  # None: one of them is all zeros
    filters: list[float | None] | None  # None: there are no output channels


def apart(one: Tensor, other: Tensor, *, filters: bool) -> Apart:
    """Return how far two real, finite tensors `[rows, everything else]` are apart; `filters`: row by row, too."""
    peak = max((float(tensor.abs().max()) for tensor in (one, other) if tensor.numel()), default=0.0)
    scale = peak if peak and not SMALL < peak < LARGE else 1.0
    sums = torch.zeros(4, len(one), dtype=torch.float64)  # of A², B², A · B and (A − B)² in each row
    width = one.shape[1] if one.ndim == MATRIX else 0
    tall = max(1, PIECE // max(1, width))
    for row in range(0, len(one), tall):
        for column in range(0, width, PIECE):
            box = slice(row, row + tall), slice(column, column + PIECE)
            a, b = (tensor[box].double() / scale for tensor in (one, other))
            sums[:, box[0]] += torch.stack(
                [(x * y).sum(1) for x, y in ((a, a), (b, b), (a, b))] + [(a - b).square().sum(1)]
            )
    whole = [math.fsum(line) for line in sums.tolist()]
    return Apart(
        distance=math.sqrt(whole[3]) * scale,
        norms=(math.sqrt(whole[0]) * scale, math.sqrt(whole[1]) * scale),
        cosine=_cosine(*whole[:3]),
        filters=[_cosine(*line) for line in sums[:3].T.tolist()] if filters else None,
    )


def rows(
    tensor: Tensor, kind: str, module: str, channels: int | None, median_norm: float | None
) -> tuple[Tensor, bool]:
    """Return a tensor as `[output channels, everything else]`, and whether its rows are filters.

    Which axis the output channels lie along, the class of the layer says (`[in, out / groups, …]` of a transposed
    convolution), and the median norm that was measured decides; where neither axis has it, the tensor is one row.
    """
    if kind == "weight" and tensor.ndim >= MATRIX and channels:
        turned = (
            channels // tensor.shape[1] if tensor.ndim > MATRIX and channels % tensor.shape[1] == 0 else None
        )
        for groups in sorted({None, turned}, key=lambda one: (one is None) == ("Transpose" in module)):
            if groups is not None and tensor.shape[0] % groups:
                continue
            found = Subject("", tensor, kind, transposed=groups).rows
            if len(found) == channels and _is_median(found, median_norm):
                return found, True
    return tensor.reshape(1, -1), False


def _is_median(matrix: Tensor, measured: float | None) -> bool:
    if measured is None:
        return True
    norms = torch.linalg.vector_norm(matrix, dim=1, dtype=torch.float64)
    return math.isclose(float(norms.quantile(0.5)), measured, rel_tol=EVEN)


def _cosine(mine: float, theirs: float, product: float) -> float | None:
    length = math.sqrt(mine) * math.sqrt(theirs)
    return max(-1.0, min(1.0, product / length)) if length else None
