"""The counters of every tap's sample on the device: a row of cells each, which neither moves nor overflows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from featreport import memory
from featreport.statistics.cells import CELLS

ROWS = 64  # of a chunk: 4 MiB
LIMIT = (1 << 31) - 1  # what an int32 holds


class Chunk:
    """Some rows of int32, and an int64 carry where a run is long enough to need one.

    Half the memory of int64, and what the loops and an accelerator count in fastest.
    """

    def __init__(self, device: torch.device) -> None:
        self.counts = memory.zeros((ROWS, CELLS + 1), torch.int32, device)  # most are never counted in
        self._rows = self.counts.unbind()
        self.carry: Tensor | None = None
        self.counted = [0] * ROWS  # values since the carry, at most in one cell

    def row(self, index: int, more: int) -> Tensor:
        """Return a row that has room for so many values more."""
        if self.counted[index] + more > LIMIT:
            self._clear()
        self.counted[index] += more
        return self._rows[index]

    def _clear(self) -> None:
        if self.carry is None:
            self.carry = torch.zeros_like(self.counts, dtype=torch.int64)
        self.carry += self.counts
        self.counts.zero_()
        self.counted = [0] * ROWS

    def total(self, rows: int) -> Tensor:
        """Return the counts of the first rows, `[rows, CELLS]`: int64 where there is a carry."""
        counts = self.counts if self.carry is None else self.carry + self.counts
        return counts[:rows, :CELLS]


class Counters:
    """Rows in chunks: one more chunk copies nothing."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._chunks: list[Chunk] = []
        self._rows = 0

    def open(self) -> int:
        """Make room for a row and return its number."""
        if self._rows == len(self._chunks) * ROWS:
            self._chunks.append(Chunk(self._device))
        self._rows += 1
        return self._rows - 1

    def row(self, number: int, more: int) -> Tensor:
        """Return a row `[CELLS + 1]` that so many values more, at most, are about to be counted into."""
        return self._chunks[number // ROWS].row(number % ROWS, more)

    @property
    def chunks(self) -> int:
        """How many tensors the rows lie in."""
        return len(self._chunks)

    def tensors(self) -> list[Tensor]:
        """Return the counts of all rows, chunk by chunk."""
        return [chunk.total(self._rows - at * ROWS) for at, chunk in enumerate(self._chunks)]

    @staticmethod
    def of_row(host: Sequence[NDArray[Any]], number: int) -> NDArray[np.int64]:
        """Return a row of `tensors()` that are on the host."""
        found: NDArray[np.int64] = host[number // ROWS][number % ROWS].astype(np.int64)
        return found
