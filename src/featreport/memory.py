"""Memory for tensors that stay while a network runs, apart from the heap that its own tensors come and go in.

In the heap they would lie between those, wherever room was at the moment, and what is free around them would be too
small for the next large one. How that heap is kept is said in `process.HEAP`. And a budget for what threads take side
by side.
"""

from __future__ import annotations

import contextlib
import math
import mmap
import threading
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

CPU = torch.device("cpu")
LEAST = 1 << 16  # bytes that are worth pages of their own


def zeros(shape: Sequence[int], dtype: torch.dtype, device: torch.device = CPU) -> Tensor:
    """Return a tensor of zeros; of pages that are never written to the system gives none."""
    size = math.prod(shape) * dtype.itemsize
    if device.type == "cpu" and size >= LEAST and hasattr(mmap, "MAP_ANONYMOUS"):
        with contextlib.suppress(OSError):  # there is none: torch says so as it always does
            pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            return torch.frombuffer(pages, dtype=dtype).view(tuple(shape))
    return torch.zeros(tuple(shape), dtype=dtype, device=device)


def copy(tensor: Tensor) -> Tensor:
    """Return a copy of a tensor."""
    if tensor.device.type != "cpu" or tensor.layout != torch.strided or not tensor.is_contiguous():
        return tensor.clone()
    return zeros(tensor.shape, tensor.dtype).copy_(tensor)


class Budget:
    """So many bytes for all threads together: who wants more than is left waits; what exceeds them all is had alone."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def taken(self, size: int) -> Iterator[None]:
        """Have `size` bytes of it; not a second time by a thread that has some, or it may wait for itself.

        Who wants nothing does not wait, also while somebody has more than there is.
        """
        with self._changed:
            self._changed.wait_for(lambda: not (size and self._taken) or self._taken + size <= self._most)
            self._taken += size
        try:
            yield
        finally:
            with self._changed:
                self._taken -= size
                self._changed.notify_all()
