"""Cuts a tensor of any size and any strides into slabs that fit the cache.

However large the tensor, what is held beside it is a few buffers of one slab. The arithmetic is NumPy's, in one
thread: measured on two cores, handing slabs to several threads or to torch's own takes longer than computing them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

UNDIVIDED = (1 << 15) - 1  # elements that torch handles without starting threads
ROOM = 2 * UNDIVIDED  # elements of a slab: with its buffers about 1 MiB, which the second-level cache holds
SINGLE = frozenset({torch.float32, torch.float16, torch.bfloat16})  # every value of these is a float32

Box = tuple[slice, ...]
Values = NDArray[Any]


class Buffers:
    """Memory used again for every slab."""

    def __init__(self) -> None:
        self._flat: dict[tuple[str, DTypeLike], Values] = {}

    def take(self, use: str, count: int, dtype: DTypeLike) -> Values:
        """Return `count` elements for one use; their last content is overwritten."""
        found = self._flat.get((use, dtype))
        if found is None or found.size < count:
            found = self._flat[use, dtype] = np.empty(count, dtype)
        return found[:count]


class Slab:
    """The values of one box of a tensor, `[n]`: float32 where that holds each of them exactly, else float64."""

    def __init__(self, tensor: Tensor, box: Box, buffers: Buffers) -> None:
        cut = tensor[box]
        self.box = box
        self.shape = tuple(cut.shape)
        self.size = cut.numel()
        self._buffers = buffers
        wanted = torch.float32 if cut.dtype in SINGLE else torch.float64
        if cut.dtype == wanted and cut.is_contiguous() and cut.device.type == "cpu":
            self.values = cut.view(-1).numpy()
        else:
            self.values = self.take("values", np.float32 if wanted == torch.float32 else np.float64)
            target = torch.from_numpy(self.values).view(cut.shape)
            for part in boxes(self.shape, UNDIVIDED):
                target[part].copy_(cut[part])

    def take(self, use: str, dtype: DTypeLike) -> Values:
        """Return a buffer of the slab's length."""
        return self._buffers.take(use, self.size, dtype)

    def magnitude(self) -> Values:
        """Return |values|."""
        found = self.take("magnitude", self.values.dtype)
        np.abs(self.values, out=found)
        return found

    def count(self, found: Callable[..., Values], values: Values, limit: float) -> int:
        """Return how many values a comparison finds."""
        return int(np.count_nonzero(found(values, limit, out=self.take("mask", np.bool_))))


def slabs(tensor: Tensor) -> Iterator[Slab]:
    """Yield every element of a real tensor once; a slab is good until the next one is asked for."""
    buffers = Buffers()
    for box in boxes(tensor.shape):
        yield Slab(tensor, box, buffers)


def boxes(shape: Sequence[int], room: int = ROOM) -> Iterator[Box]:
    """Yield the boxes that make up a tensor of `shape`, in the order of its elements, each within `room`."""
    if prod(shape) == 0:
        return
    if not shape:
        yield ()
        return
    axis = next(axis for axis in range(len(shape)) if prod(shape[axis + 1 :]) <= room)
    step = room // prod(shape[axis + 1 :])
    for before in product(*map(range, shape[:axis])):
        outer = tuple(slice(index, index + 1) for index in before)
        for start in range(0, shape[axis], step):
            yield (*outer, slice(start, start + step))
