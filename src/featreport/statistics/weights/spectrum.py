"""Spectral norm and stable rank."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from featreport.statistics.base import number
from featreport.statistics.weights.base import MOST_ROWS, Subject, WeightStatistic, register
from featreport.statistics.weights.gram import columns

SMALL = 96  # up to here the whole spectrum is taken
STEPS = 400
CLOSE = 2e-6  # residual of the leading eigenvector; the norm it gives is off by its square over the gap
BLOCK = 1 << 20  # elements that are copied to float64 at a time


@register
class Spectrum(WeightStatistic):
    """The largest singular value, and how many directions weigh as much as it."""

    metric = "weights.spectral_norm"
    label = "spectral norm, stable rank"

    def sentence(self) -> str:
        return (
            "σ₁, the largest singular value of the weight as a matrix [output channels, everything else], as it is "
            "stored: a grouped convolution is [out, in / groups · k · k], a transposed one is turned so that its "
            "output channels come first; and the stable rank ‖W‖²_F / σ₁². It is the norm of that matrix, not of the "
            f"convolution as an operator. None where both sides exceed {MOST_ROWS:,} or a value is not finite."
        )

    def value(self, subject: Subject) -> dict[str, Any]:
        nothing = {"matrix": None, "spectral_norm": None, "stable_rank": None}
        if not subject.matrix or not subject.numbers.count:
            return nothing
        nothing["matrix"] = list(subject.shape)  # type: ignore[assignment]
        if subject.numbers.nonfinite or not np.isfinite(subject.numbers.norms).all():
            subject.reasons["spectral_norm"] = "it holds values that are not finite, or too large to square"
            return nothing
        if min(subject.shape) > MOST_ROWS:
            subject.reasons["spectral_norm"] = f"both sides of the matrix exceed {MOST_ROWS:,}"
            return nothing
        largest = float(subject.numbers.norms.max())
        whole = float(np.linalg.norm(subject.numbers.norms / largest)) if largest else 0.0
        norm = spectral_norm(subject) if largest else 0.0
        return nothing | {
            "spectral_norm": number(norm),
            "stable_rank": number((whole / (norm / largest)) ** 2) if norm else None,
        }


def spectral_norm(subject: Subject) -> float:
    """Return σ₁ of a matrix: the leading vector from a float32 Gram matrix, then its image's length in float64.

    The length ‖Wᵀu‖ of a unit vector u misses σ₁ by the square of u's own error only.
    """
    norms = subject.numbers.norms
    rows, width = subject.shape
    device = subject.work_device
    scale = float(norms.max())
    if min(rows, width) == 1:
        return scale if rows == 1 else float(np.linalg.norm(norms / scale)) * scale
    if rows <= width:
        angles = subject.cosines
        if angles is None:
            raise ValueError("a matrix with fewer rows than columns has its cosines")
        lengths = torch.from_numpy(norms / scale).to(device)
        vector = leading(lambda v: lengths * (angles @ (lengths * v).float()).double(), rows, device)
        return scale * _image(subject.rows, vector, scale, across=True)
    gram = columns(subject.rows, scale, device)
    vector = leading(lambda v: (gram @ v.float()).double(), width, device)
    return scale * _image(subject.rows, vector, scale, across=False)


def leading(apply: Callable[[Tensor], Tensor], size: int, device: torch.device) -> Tensor:
    """Return the leading eigenvector `[size]` of a symmetric, positive matrix, in float64.

    Lanczos with full reorthogonalisation from a fixed start; small matrices are taken whole.
    """
    if size <= SMALL:
        matrix = (
            torch.stack([apply(row) for row in torch.eye(size, dtype=torch.float64, device=device)])
            .cpu()
            .numpy()
        )
        return torch.from_numpy(np.linalg.eigh((matrix + matrix.T) / 2)[1][:, -1].copy()).to(device)
    start = torch.randn(size, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(device)
    steps = min(size, STEPS)
    basis = torch.zeros((steps, size), dtype=torch.float64, device=device)
    diagonal, beside = np.zeros(steps), np.zeros(steps)
    vector, check = start / start.norm(), 16
    best = np.ones(1)
    for step in range(steps):
        basis[step] = vector
        image = apply(vector)
        diagonal[step] = float(vector @ image)
        known = basis[: step + 1]
        for _ in range(2):
            image = image - known.T @ (known @ image)
        beside[step] = length = float(image.norm())
        done = step + 1 == steps or length <= CLOSE**2 * diagonal[: step + 1].max()
        if step + 1 >= check or done:
            check = step + 1 + max(8, step // 4)
            small = np.diag(diagonal[: step + 1]) + np.diag(beside[:step], 1) + np.diag(beside[:step], -1)
            values, vectors = np.linalg.eigh(small)
            best = vectors[:, -1]
            if done or length * abs(best[-1]) <= CLOSE * values[-1]:
                break
        vector = image / length
    found = torch.from_numpy(best.copy()).to(device) @ basis[: best.size]
    unit: Tensor = found / found.norm()
    return unit


def _image(rows: Tensor, vector: Tensor, scale: float, *, across: bool) -> float:
    """Return ‖Wᵀu‖ / scale (`across`) or ‖Wu‖ / scale in float64, in blocks."""
    axis = 1 if across else 0
    step = max(1, BLOCK // max(1, rows.shape[1 - axis]))
    square = 0.0
    for start in range(0, rows.shape[axis], step):
        block = rows.narrow(axis, start, min(step, rows.shape[axis] - start)).to(vector.device).double()
        part = (vector @ block if across else block @ vector) / scale
        square += float(part @ part)
    return float(np.sqrt(square))
