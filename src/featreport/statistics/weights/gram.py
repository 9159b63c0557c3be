"""Gram matrices in blocks: all cosines of rows, and the smaller of W Wᵀ and Wᵀ W."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

BLOCK = 1 << 22  # elements of a block that is copied: 16 MiB of float32
SAFE = (1e-15, 1e15)  # rows of these norms are divided in float32, others in float64
TILE = 128  # rows of a symmetric product that are taken at a time: what lies above the diagonal is copied
LARGE = 1 << 27  # multiplications from which on a product is shared among threads


def cosines(rows: Tensor, norms: Tensor, device: torch.device) -> Tensor:
    """Return ŵ ŵᵀ of the normalised rows of `[out, rest]` as `[out, out]` in float32; rows of zeros stay 0."""
    count, width = rows.shape
    total = torch.zeros((count, count), device=device)
    step = max(64, BLOCK // max(1, count))
    lengths = torch.where(norms > 0, norms, 1.0).to(device)
    quick = rows.dtype == torch.float32 and bool(
        ((norms == 0) | ((norms > SAFE[0]) & (norms < SAFE[1]))).all()
    )
    lengths = (lengths.float() if quick else lengths)[:, None]
    for start in range(0, width, step):
        block = rows[:, start : start + step].to(device)
        block = block / lengths if quick else (block.double() / lengths).float()
        for at in range(0, count, TILE):
            _add(total[at : at + TILE, : at + TILE], block[at : at + TILE], block[: at + TILE].T)
    _mirror(total, TILE)
    return total


def smaller(rows: Tensor, scale: float, device: torch.device, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return the smaller Gram matrix of W / scale, `[out, rest]`: W Wᵀ, or Wᵀ W where it has fewer columns."""
    short = min(rows.shape)
    tall = rows.shape[0] > rows.shape[1]
    total = torch.zeros((short, short), dtype=dtype, device=device)
    step = max(64, BLOCK // max(1, short))
    for start in range(0, max(rows.shape), step):
        block = rows[start : start + step] if tall else rows[:, start : start + step].T
        block = (block.to(device).double() / scale).to(dtype)
        for at in range(0, short, TILE):
            _add(total[at : at + TILE, : at + TILE], block[:, at : at + TILE].T, block[:, : at + TILE])
    _mirror(total, TILE)
    return total


def _mirror(total: Tensor, step: int) -> None:
    """Copy what lies below the diagonal above it, but within the tiles on it, which are whole."""
    for at in range(step, total.shape[0], step):
        total[:at, at : at + step] = total[at : at + step, :at].T


def _add(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add a product. Threads share the elements of a large one; of a small one they would share its sums."""
    if total.numel() * left.shape[1] >= LARGE:
        total.addmm_(left, right)
        return
    with one_thread():
        total.addmm_(left, right)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute in one thread: then no last bit depends on how many there are."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
