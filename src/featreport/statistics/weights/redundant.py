"""Filters that point the same way."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from featreport.statistics.base import share
from featreport.statistics.weights.base import MOST_ROWS, Subject, WeightStatistic, register
from featreport.statistics.weights.gram import Gram

ALIKE = 0.95
DOUBT = 1e-4  # nearer to the threshold than this a float32 cosine is taken again in float64
BLOCK = 1 << 19  # weights multiplied at a time
SHOWN = 5
MOST = 4096  # pairs that are compared in float64 to find the nearest


@register
class Redundant(WeightStatistic):
    """Pairs of filters with |cos| > 0.95."""

    metric = "weights.redundant_fraction"
    label = "redundant filters"
    products = True

    def sentence(self) -> str:
        return (
            f"Pairs of output channels of a conv, transposed-conv or linear weight with |cos| > {ALIKE:g}, of all "
            "pairs. Filters that are all zero have no direction and are left out, and so counted. None above "
            f"{MOST_ROWS:,} filters and where a value is not finite."
        )

    def value(self, subject: Subject) -> dict[str, Any]:
        nothing: dict[str, Any] = {"redundant_pairs": None, "pairs": None, "redundant_fraction": None}
        if not subject.filters or not subject.numbers.count:
            return nothing
        norms = subject.numbers.norms
        if subject.numbers.nonfinite or not np.isfinite(norms).all():
            subject.reasons["redundant_fraction"] = (
                "it holds values that are not finite, or too large to square"
            )
            return nothing
        angles = subject.cosines
        if angles is None:
            subject.reasons["redundant_fraction"] = f"more than {MOST_ROWS:,} filters"
            return nothing
        whole = int(np.count_nonzero(norms))
        pairs = whole * (whole - 1) // 2
        found, closest = _alike(angles, subject.rows, norms)
        return {
            "redundant_pairs": found,
            "pairs": pairs,
            "redundant_fraction": share(found, pairs),
            "zero_filters": norms.size - whole,
            "closest": closest,
        }


def _alike(angles: Gram, rows: Tensor, norms: NDArray[np.float64]) -> tuple[int, list[dict[str, Any]]]:
    """Return how many pairs are alike, and the nearest of them."""
    found, best = 0, np.empty((0, 3))
    for start, tile in angles.tiles():
        block = tile.abs().tril_(start - 1)  # each pair once, `one` the earlier
        if not bool(block.amax() > ALIKE - DOUBT):
            continue
        other, one = torch.nonzero(block > ALIKE - DOUBT, as_tuple=True)
        sure = block[other, one]
        near, other = sure < ALIKE + DOUBT, other + start
        if bool(near.any()):
            exact = _exact(rows, norms, one[near], other[near])
            found += int((np.abs(exact) > ALIKE).sum()) - exact.size
        found += one.numel()
        order = torch.sort(sure, descending=True, stable=True)
        least = order.values[min(SHOWN, sure.numel()) - 1] - DOUBT
        top = order.indices[: int((order.values >= least).sum().clamp(max=MOST))]
        cosine = _exact(rows, norms, one[top], other[top])
        seen = np.stack([one[top].cpu().numpy(), other[top].cpu().numpy(), cosine], 1)
        best = np.concatenate([best, seen[np.abs(cosine) > ALIKE]])
        best = best[np.lexsort((best[:, 1], best[:, 0], -np.abs(best[:, 2])))][:SHOWN]
    return found, [{"one": int(a), "other": int(b), "cosine": float(c)} for a, b, c in best]


def _exact(rows: Tensor, norms: NDArray[np.float64], one: Tensor, other: Tensor) -> NDArray[np.float64]:
    """Return the cosines of these pairs in float64.

    The norms only bring the rows near to 1: they come of moments about a value of the row, and are less exact.
    """
    step = max(1, BLOCK // max(1, rows.shape[1]))
    lengths = torch.from_numpy(norms)
    parts = []
    for start in range(0, one.numel(), step):
        a, b = one[start : start + step].to(rows.device), other[start : start + step].to(rows.device)
        left, right = (rows[i].double() / lengths[i.cpu()].to(rows.device)[:, None] for i in (a, b))
        squares = (left * left).sum(1) * (right * right).sum(1)
        parts.append(((left * right).sum(1) / squares.sqrt()).cpu().numpy())
    return np.concatenate(parts).clip(-1.0, 1.0) if parts else np.empty(0)
