"""One tensor → its table: the definition, in torch, and the choice between it and its compiled form.

The definition runs anywhere. On the CPU a compiled form of it (see `kernel`) reads the tensor once, at the speed of
memory; the two agree in every count and to the last bits of float64 sums, which a test holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from featreport.statistics import kernel
from featreport.statistics.cells import CELLS
from featreport.statistics.sample import count_into
from featreport.statistics.table import Field, Limits, blank, merge, precise

# Elements reduced at a time by the definition: on the CPU they stay in the second-level cache with their copies.
SLAB = {"cpu": 1 << 18}
DEVICE_SLAB = 1 << 25
HALVES = {torch.float16, torch.bfloat16}


@dataclass(frozen=True)
class Reduced:
    """The table of one tensor `[fields, channels]`, and each image's sum per channel `[images, channels]`."""

    table: Tensor
    sums: Tensor

    def __getitem__(self, field: Field) -> Tensor:
        """Return one field, `[channels]`."""
        return self.table[field]


def reduce(values: Tensor, limits: Limits, first: int = 0) -> Reduced:
    """Read a tensor once.

    Args:
        values: `[n, c, p]`: images, channels, positions; floating point, any strides, any device.
        limits: the thresholds.
        first: the number of the first image in the run.
    """
    n, c, _ = values.shape
    table = blank(c, values.device)
    sums = torch.zeros((n, c), dtype=table.dtype, device=values.device)
    reduce_into(table, 0, sums, values, limits, first)
    return Reduced(table, sums)


def reduce_into(
    table: Tensor,
    at: int,
    sums: Tensor,
    values: Tensor,
    limits: Limits,
    first: int = 0,
    cells: Tensor | None = None,
) -> None:
    """Write the table of `[n, c, p]` into the columns `at … at + c` of a blank table, its image sums into `sums`.

    Where `cells` are given, the sample is counted into them.
    """
    if not values.numel():
        return
    if kernel.runs(values):
        if kernel.reduce_into(table, at, sums, values, limits, first, cells):
            return
    else:
        _by_definition(table[:, at : at + values.shape[1]], sums, values, limits, first)
    if cells is not None:
        count_into(cells, values)


def _by_definition(part: Tensor, sums: Tensor, values: Tensor, limits: Limits, first: int) -> None:
    for start, images in _slabs(values):
        found = definition(images, limits, first + start)
        merge(part, found.table)
        sums[start : start + images.shape[0]] = found.sums


def _slabs(values: Tensor) -> Iterator[tuple[int, Tensor]]:
    room = SLAB.get(values.device.type, DEVICE_SLAB)
    step = max(1, room // max(1, values[0].numel()))
    for start in range(0, values.shape[0], step):
        yield start, values[start : start + step]


def definition(values: Tensor, limits: Limits, first: int) -> Reduced:
    """What every field of the table means, in torch: `[n, c, p]` → `[fields, c]`. It waits for nothing."""
    exact = values.to(precise(values.device))
    finite = torch.isfinite(exact)
    numbers = torch.where(finite, exact, 0.0)
    magnitude = numbers.abs()
    count = finite.sum((0, 2)).to(exact.dtype)
    sums = numbers.sum(2)
    mean = sums.sum(0) / count.clamp(min=1.0)
    deviation = torch.where(finite, exact - mean[:, None], 0.0)
    mean = mean + deviation.sum((0, 2)) / count.clamp(min=1.0)  # what the rounding of the first sum left over
    loudest = torch.where(finite, magnitude, -1.0).amax(2)  # [n, c]
    peak, image = loudest.max(0)
    strays = values.shape[2] - finite.sum(2)
    rows = {
        Field.COUNT: count,
        Field.MEAN: mean,
        Field.SPREAD: (deviation * deviation).sum((0, 2)),
        Field.MAGNITUDE: magnitude.sum((0, 2)),
        Field.LOW: torch.where(finite, exact, float("inf")).amin((0, 2)),
        Field.HIGH: torch.where(finite, exact, float("-inf")).amax((0, 2)),
        Field.ZEROS: (exact == 0).sum((0, 2)),
        Field.NEAR: (exact.abs() <= limits.near_zero).sum((0, 2)),
        Field.NAN: torch.isnan(exact).sum((0, 2)),
        Field.POSINF: torch.isposinf(exact).sum((0, 2)),
        Field.NEGINF: torch.isneginf(exact).sum((0, 2)),
        Field.FIRED: ((loudest > limits.dead) | (strays > 0)).sum(0),
        Field.BOUND: torch.zeros_like(count)
        if limits.upper is None
        else (finite & (exact >= limits.upper)).sum((0, 2)),
        Field.PEAK: peak,
        Field.PEAK_IMAGE: torch.where(peak >= 0, (image + first).to(exact.dtype), -1.0),
    }
    return Reduced(torch.stack([rows[field].to(exact.dtype) for field in Field]), sums)


def warm() -> None:
    """Compile what reads tensors on the CPU, about 15 s once per machine; afterwards it is found in a cache."""
    rows = torch.zeros(1, 2, 3)
    for values in (rows, rows.transpose(1, 2), rows.double()):  # float64: counters, and weights of that type
        table = blank(values.shape[1], values.device)
        cells = torch.zeros(CELLS + 1, dtype=torch.int32)
        reduce_into(table, 0, torch.zeros(values.shape[:2], dtype=table.dtype), values, Limits(), 0, cells)
    if kernel.runs(rows):
        kernel.together(blank(2, rows.device), [kernel.Block(rows.data_ptr(), 1, 2, 3, 0)], Limits())
