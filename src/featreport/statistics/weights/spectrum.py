"""Spectral norm and stable rank."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from featreport.statistics.base import number
from featreport.statistics.weights.base import MOST_ROWS, Subject, WeightStatistic, register
from featreport.statistics.weights.gram import one_thread, smaller

WHOLE = 512  # up to this side all eigenvalues are taken: they cost its cube
TOGETHER = 4  # vectors
STEPS = 100  # of so many vectors each, then it begins again
KEPT = 100  # vectors with which it does
AGAIN = 12  # times at most
GAINED = 1e-9  # of the eigenvalue, since it was last looked at: with less the rest is float32's rounding
FIRST = 24  # vectors before convergence is looked at
CLOSE = 2e-6  # residual of the leading eigenvector: what it costs σ₁ is its square over the gap
CLOSED = 1e-12  # of an image's norm: what is left of it outside the basis is rounding
BLOCK = 1 << 18  # elements that are copied to float64 at a time

Apply = Callable[[Tensor], Tensor]


@register
class Spectrum(WeightStatistic):
    """The largest singular value, and how many directions weigh as much as it."""

    metric = "weights.spectral_norm"
    label = "spectral norm, stable rank"
    products = True

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
    """Return σ₁ of a matrix: from the eigenvalues of its smaller Gram matrix, of a large one from leading vectors."""
    norms = subject.numbers.norms
    scale = float(norms.max())
    short = min(subject.shape)
    if short == 1:
        return scale if subject.shape[0] == 1 else float(np.linalg.norm(norms / scale)) * scale
    if short > WHOLE:
        return scale * _from_vectors(subject, scale)
    gram = smaller(subject.rows, scale, subject.work_device).whole()
    with one_thread():
        return scale * math.sqrt(max(0.0, float(torch.linalg.eigvalsh(gram)[-1])))


def _from_vectors(subject: Subject, scale: float) -> float:
    """Return σ₁ / scale: leading vectors from a float32 Gram matrix, then the length of their images in float64.

    The length ‖Wᵀu‖ of a unit vector u misses σ₁ by the square of u's own error only.
    """
    rows, width = subject.shape
    device = subject.work_device
    if rows <= width:
        angles = subject.cosines
        if angles is None:
            raise ValueError("a matrix with fewer rows than columns has its cosines")
        lengths = torch.from_numpy(subject.numbers.norms / scale).to(device)
        gram = angles
    else:
        lengths = torch.ones(width, dtype=torch.float64, device=device)
        gram = smaller(subject.rows, scale, device, torch.float32)

    def apply(vectors: Tensor) -> Tensor:
        return lengths * gram.times((lengths * vectors).float()).double()

    with one_thread():
        vectors = leading(apply, min(rows, width), device)
        return _image(subject.rows, vectors, scale, across=rows <= width)


def leading(apply: Apply, size: int, device: torch.device) -> Tensor:
    """Return leading eigenvectors `[few, size]` of a symmetric, positive matrix, in float64.

    Block Lanczos with full reorthogonalisation from a fixed start: several vectors at a time, because one alone does
    not tell near-equal eigenvalues apart. Where a full basis does not either, it begins again with the nearest in it.
    Vectors are rows: those that are not needed any more take no memory.
    """
    draw = torch.Generator().manual_seed(0)
    most = min(size // TOGETHER, STEPS) * TOGETHER
    basis = torch.empty((most, size), dtype=torch.float64, device=device)
    small = torch.zeros((most, most), dtype=torch.float64, device=device)  # the matrix within the basis
    image, check = torch.zeros((TOGETHER, size), dtype=torch.float64, device=device), FIRST
    start, again, before = 0, 0, 0.0
    while True:
        end = start + TOGETHER
        basis[start:end] = block = _unknown(image, basis[:start], draw)
        image = apply(block)
        small[:end, start:end] = basis[:end] @ image.T
        small[start:end, :start] = small[:start, start:end].T
        start = end
        if end < check and end < most:
            continue
        check = end + max(FIRST, end // 4)
        best, value, close = _best(apply, basis[:end], small[:end, :end])
        still = value - before <= GAINED * value
        if close or (end == most and (size - end < TOGETHER or again == AGAIN or still)):
            return best
        before = value
        if end == most:
            image, start, again = _unknown(image, basis, draw), KEPT, again + 1
            check = KEPT + FIRST
            _shrink(basis, small)


def _shrink(basis: Tensor, small: Tensor) -> None:
    """Keep of a full basis what comes nearest to leading vectors: what follows the last of it follows them as well."""
    values, vectors = torch.linalg.eigh(small.cpu())
    basis[:KEPT] = vectors[:, -KEPT:].T.to(basis.device) @ basis
    small[:KEPT, :KEPT] = values[-KEPT:].diag()


def _unknown(image: Tensor, known: Tensor, draw: torch.Generator) -> Tensor:
    """Return orthonormal vectors outside the basis: of the image where it leads there, else drawn.

    What is left of an image inside the basis is rounding, whose directions lie in the basis again: kept, they would
    count one of its vectors twice.
    """
    norm = torch.linalg.matrix_norm(image)
    block, upper = torch.linalg.qr((image - image @ known.T @ known).T)
    fresh = upper.diagonal().abs() > CLOSED * norm
    drawn = torch.randn(image.shape, generator=draw, dtype=torch.float64).to(image.device)
    block = torch.where(fresh[:, None], block.T, drawn)
    for _ in range(2):
        block = torch.linalg.qr((block - block @ known.T @ known).T).Q.T
    found: Tensor = block
    return found


def _best(apply: Apply, known: Tensor, small: Tensor) -> tuple[Tensor, float, bool]:
    """Return the leading vectors within a basis, the eigenvalue of the first, and whether it is an eigenvector."""
    small = small.cpu()
    values, vectors = torch.linalg.eigh((small + small.T) / 2)
    best = vectors[:, -TOGETHER:].T.to(known.device) @ known
    residual = apply(best[-1:]) - values[-1].to(known.device) * best[-1:]
    found: Tensor = torch.linalg.qr(best.T).Q.T
    value = float(values[-1])
    return found, value, float(residual.norm()) <= CLOSE * value


def _image(rows: Tensor, vectors: Tensor, scale: float, *, across: bool) -> float:
    """Return the greatest ‖Wᵀu‖ / scale (`across`) or ‖Wu‖ / scale of unit vectors among these, in float64."""
    axis = 1 if across else 0
    step = max(1, BLOCK // max(1, rows.shape[1 - axis]))
    total = torch.zeros((vectors.shape[0],) * 2, dtype=torch.float64, device=vectors.device)
    for start in range(0, rows.shape[axis], step):
        block = (
            rows.narrow(axis, start, min(step, rows.shape[axis] - start)).to(vectors.device).double() / scale
        )
        part = vectors @ (block if across else block.T)
        total += part @ part.T
    return math.sqrt(max(0.0, float(torch.linalg.eigvalsh(total.cpu())[-1])))
