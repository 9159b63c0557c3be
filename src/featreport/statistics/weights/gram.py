"""Gram matrices in tiles: all cosines of rows, and the smaller of W Wᵀ and Wᵀ W."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

BLOCK = 1 << 20  # elements of a block that is copied: 4 MiB of float32
NARROWEST = 256  # columns of a block: with fewer a product waits for its sums
SAFE = (1e-15, 1e15)  # rows of these norms are divided in float32, others in float64
TILE = 128  # rows taken at a time
LARGE = 1 << 27  # multiplications from which on a product is shared among threads


class Gram:
    """A symmetric matrix `[size, size]` in tiles of rows, each of them up to the diagonal: half the memory."""

    def __init__(self, size: int, device: torch.device, dtype: torch.dtype = torch.float32) -> None:
        self.size = size
        self._tiles = [
            torch.zeros((min(TILE, size - at), min(at + TILE, size)), dtype=dtype, device=device)
            for at in range(0, size, TILE)
        ]

    def tiles(self) -> Iterator[tuple[int, Tensor]]:
        """Yield the number of a tile's first row, and the tile; those on the diagonal are whole."""
        return zip(range(0, self.size, TILE), self._tiles, strict=True)

    def add(self, rows: Tensor) -> None:
        """Add the products of all pairs of rows of `[size, some]`."""
        for at, tile in self.tiles():
            _add(tile, rows[at : at + TILE], rows[: at + TILE].T)

    def times(self, vectors: Tensor) -> Tensor:
        """Return the products with some vectors, `[few, size]`."""
        found = torch.zeros_like(vectors)
        for at, tile in self.tiles():
            end = at + tile.shape[0]
            found[:, at:end] += vectors[:, :end] @ tile.T
            found[:, :at] += vectors[:, at:end] @ tile[:, :at]
        return found

    def whole(self) -> Tensor:
        """Return the matrix in one piece; what lies above the diagonal of a tile is left as it is: nobody reads it."""
        total = self._tiles[0].new_zeros((self.size, self.size))
        for at, tile in self.tiles():
            total[at : at + TILE, : at + TILE] = tile
        return total


def cosines(rows: Tensor, norms: Tensor, device: torch.device) -> Gram:
    """Return ŵ ŵᵀ of the normalised rows of `[out, rest]` in float32; rows of zeros stay 0."""
    count, width = rows.shape
    total = Gram(count, device)
    quick = bool(((norms == 0) | ((norms > SAFE[0]) & (norms < SAFE[1]))).all())
    dtype = torch.float32 if quick else torch.float64
    lengths = torch.where(norms > 0, norms, 1.0).to(device, dtype)[:, None]
    step = max(NARROWEST, BLOCK // max(1, count))
    for start in range(0, width, step):
        block = rows[:, start : start + step].to(device, dtype)
        total.add((block / lengths).float())
    return total


def smaller(rows: Tensor, scale: float, device: torch.device, dtype: torch.dtype = torch.float64) -> Gram:
    """Return the smaller Gram matrix of W / scale, `[out, rest]`: W Wᵀ, or Wᵀ W where it has fewer columns."""
    short = min(rows.shape)
    tall = rows.shape[0] > rows.shape[1]
    total = Gram(short, device, dtype)
    step = max(NARROWEST, BLOCK // max(1, short))
    for start in range(0, max(rows.shape), step):
        block = rows[start : start + step].T if tall else rows[:, start : start + step]
        total.add((block.to(device).double() / scale).to(dtype))
    return total


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
