"""The exponent of a power law fitted to the tail of the spectrum: a heuristic, off by default."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from featreport.statistics.weights.base import Subject, WeightStatistic, register
from featreport.statistics.weights.gram import one_thread

LEAST = 50  # eigenvalues that are not zero
TAIL = 10  # eigenvalues the tail must hold
MOST = 4096  # of the smaller side: the whole spectrum costs its cube
TINY = 1e-12  # of the largest eigenvalue: below it is rounding
BLOCK = 1 << 20


@register
class Alpha(WeightStatistic):
    """Martin and Mahoney's alpha."""

    metric = "weights.alpha"
    label = "alpha (heuristic)"
    products = True

    def wanted(self) -> bool:
        return self.settings.alpha

    def sentence(self) -> str:
        return (
            "Exponent of a power law p(λ) ∝ λ^−α fitted to the tail of the eigenvalues of the matrix's Gram matrix "
            "(Martin and Mahoney 2021, arXiv 1810.01075) by maximum likelihood, with the tail's start chosen by the "
            "least Kolmogorov-Smirnov distance (Clauset, Shalizi and Newman 2009, arXiv 0706.1062). A heuristic: that "
            f"the tail is a power law is not tested. None below {LEAST} eigenvalues and above {MOST:,}."
        )

    def value(self, subject: Subject) -> dict[str, Any]:
        nothing: dict[str, Any] = {
            "alpha": None,
            "alpha_start": None,
            "alpha_distance": None,
            "alpha_tail": None,
        }
        if not subject.matrix or not subject.numbers.count or subject.numbers.nonfinite:
            return nothing
        if not LEAST <= min(subject.shape) <= MOST:
            subject.reasons["alpha"] = f"the smaller side of the matrix is not within {LEAST} and {MOST:,}"
            return nothing
        with one_thread():
            values = _eigenvalues(subject)
        if values.size < LEAST:
            subject.reasons["alpha"] = f"fewer than {LEAST} eigenvalues are not zero"
            return nothing
        fitted = fit(values)
        if fitted is None:
            subject.reasons["alpha"] = "its eigenvalues are all equal"
            return nothing
        return dict(zip(nothing, fitted, strict=True))


def fit(values: NDArray[np.float64]) -> tuple[float, float, float, int] | None:
    """Return α, where the tail starts, its Kolmogorov-Smirnov distance and how many values it holds."""
    values = np.sort(values)
    logs = np.log(values)
    best: tuple[float, float, float, int] | None = None
    for start in range(values.size - TAIL + 1):
        if start and values[start] == values[start - 1]:
            continue
        tail, n = logs[start:] - logs[start], values.size - start
        total = float(tail.sum())
        if total <= 0:
            break
        alpha = 1 + n / total
        below = -np.expm1(-(alpha - 1) * tail)
        distance = float(max((np.arange(1, n + 1) / n - below).max(), (below - np.arange(n) / n).max()))
        if best is None or distance < best[2]:
            best = alpha, float(values[start]), distance, n
    return best


def _eigenvalues(subject: Subject) -> NDArray[np.float64]:
    """Return the eigenvalues of the smaller Gram matrix that are not zero, from float64."""
    rows = subject.rows
    short = min(rows.shape)
    total = torch.zeros((short, short), dtype=torch.float64, device=subject.work_device)
    axis = 1 if rows.shape[0] <= rows.shape[1] else 0
    step = max(64, BLOCK // short)
    for start in range(0, rows.shape[axis], step):
        block = rows.narrow(axis, start, min(step, rows.shape[axis] - start)).to(subject.work_device).double()
        total += block @ block.T if axis else block.T @ block
    values: NDArray[np.float64] = torch.linalg.eigvalsh(total).cpu().numpy()
    return values[values > TINY * values[-1]] if values[-1] > 0 else values[:0]
