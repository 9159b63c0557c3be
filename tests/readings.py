"""Tensors that the device's loops are held against the definition with; run by Triton's interpreter, or on a GPU.

    TRITON_INTERPRET=1 python tests/readings.py float32

The interpreter takes about 10 ms for a tile: shapes are small, and cut into few parts.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from featreport.statistics import Field, Limits, device_kernel
from featreport.statistics.cells import CELLS
from featreport.statistics.definition import definition
from featreport.statistics.sample import count_into
from featreport.statistics.table import blank

SHAPES = ((1, 1, 1), (5, 3, 7), (2, 18, 33), (1, 2, 330), (30, 2, 1))
ORDERS = ("rows", "columns", "strided", "repeated")
LIMITS = (Limits(0.0, 1e-3, None), Limits(0.1, 0.5, 6.0))


def cases(dtype: torch.dtype) -> Iterator[Tensor]:
    """Yield `[n, c, p]` of every shape, order in memory and kind of values."""
    for seed, (shape, order) in enumerate(product(SHAPES, ORDERS)):
        yield ordered(spoilt(shape, seed).to(dtype), order)
    shape = (3, 2, 40)
    draw = torch.Generator().manual_seed(0)
    noise = torch.randn(shape, generator=draw, dtype=torch.float64)
    far = 1e4 + noise
    worst = 1e6 + noise
    worst[0, 0, 0] = 0.0  # the first value of a channel is the worst of shifts
    worst[1] = float("nan")
    padded = 1e6 + noise
    padded[..., :16] = 0.0  # all lanes of a tile begin far away
    unlike = torch.where(noise > 1, 1e30, 1e-3 * noise)
    tiny, none = noise * 1e-40, torch.full(shape, float("nan"))
    for values in (far, worst, padded, unlike, tiny, none, torch.zeros(shape)):
        yield values.to(dtype)
        yield ordered(values.to(dtype), "columns")


def spoilt(shape: tuple[int, int, int], seed: int) -> Tensor:
    """Return numbers among which there is everything that is none, zeros of both signs, bounds."""
    draw = torch.Generator().manual_seed(seed)
    values = torch.randn(shape, generator=draw) * 3
    odd = torch.tensor([torch.nan, torch.inf, -torch.inf, 0.0, -0.0, 1e-40, 6e-8, 1e-3, 0.5, 6.0, 65504])
    where = torch.rand(shape, generator=draw) < 0.3
    values[where] = odd[torch.randint(len(odd), (int(where.sum()),), generator=draw)]
    return values


def ordered(values: Tensor, order: str) -> Tensor:
    """Return the values as they may lie in memory."""
    if order == "columns":
        return values.transpose(1, 2).contiguous().transpose(1, 2)
    if order == "strided":  # and not where memory is aligned
        return values.repeat_interleave(2, 2)[..., 1::2]
    return values[:1].expand(values.shape) if order == "repeated" else values


def assert_read_as_defined(values: Tensor, limits: Limits, first: int) -> None:
    """Counts and extrema exactly, moments to the last bits of float64, on the device that the values are on."""
    n, c, _ = values.shape
    device = values.device
    table, sums = blank(c + 2, device), torch.zeros((n, c), dtype=torch.float64, device=device)
    cells = torch.zeros(CELLS + 1, dtype=torch.int32, device=device)
    device_kernel.reduce_into(table, 1, sums, values, limits, first, cells)
    got, values = table[:, 1:-1].cpu(), values.cpu()
    for beside in (0, -1):
        assert torch.equal(table[:, beside].cpu(), blank(1, torch.device("cpu"))[:, 0])
    want, counted = definition(values, limits, first), torch.zeros(CELLS + 1, dtype=torch.int32)
    count_into(counted, values)
    assert torch.equal(cells.cpu(), counted)
    for field in device_kernel.EXACT:
        assert got[field].tolist() == want[field].tolist(), field.name
    assert_agrees_with_numpy(got.numpy(), sums.cpu().numpy(), values.double().numpy().astype(np.longdouble))


def assert_agrees_with_numpy(got: NDArray[Any], sums: NDArray[Any], a: NDArray[Any]) -> None:
    """Moments to the last bits of float64: of what NumPy gives with longer numbers."""
    finite = np.isfinite(a)
    numbers, count = np.where(finite, a, 0), finite.sum((0, 2))
    sizes = np.abs(numbers)
    mean = numbers.sum((0, 2)) / np.maximum(count, 1)
    spread = (np.where(finite, a - mean[:, None], 0) ** 2).sum((0, 2))
    assert np.all(np.abs(got[Field.MEAN] - mean) <= 1e-15 * sizes.max((0, 2)))
    rounded = np.finfo(float).eps * np.abs(mean) * np.sqrt(count * spread)  # as the mean of each part is kept
    assert np.all(np.abs(got[Field.SPREAD] - spread) <= 1e-12 * spread + rounded)
    assert np.all(np.abs(got[Field.MAGNITUDE] - sizes.sum((0, 2))) <= 1e-14 * sizes.sum((0, 2)))
    assert np.all(np.abs(sums - numbers.sum(2)) <= 1e-14 * sizes.sum(2))


if __name__ == "__main__":
    device_kernel.PROGRAMS = 6
    for number, values in enumerate(cases(getattr(torch, sys.argv[1]))):
        assert_read_as_defined(values, LIMITS[number % 2], number)
    print(number + 1, "tensors")
