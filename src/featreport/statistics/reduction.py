"""One tensor → its table: the choice between the definition and its compiled forms.

The definition runs anywhere. On the CPU (see `kernel`) and on a CUDA device (see `device_kernel`) a compiled form of it
reads the tensor once; they agree in every count and to the last bits of float64 sums, which tests hold.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from featreport.statistics import device_kernel, kernel
from featreport.statistics.definition import Reduced, definition
from featreport.statistics.sample import count_into
from featreport.statistics.table import Limits, blank, merge

# Elements reduced at a time by the definition: on the CPU they stay in the second-level cache with their copies.
SLAB = {"cpu": 1 << 18}
DEVICE_SLAB = 1 << 25


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
    sums: Tensor | None,
    values: Tensor,
    limits: Limits,
    first: int = 0,
    cells: Tensor | None = None,
) -> None:
    """Join the table of `[n, c, p]` to the columns `at … at + c` of a table.

    Where they are given, its image sums are written into `sums`, and the sample is counted into `cells`. On a CUDA
    device the columns are blank ones.
    """
    if not values.numel():
        return
    if device_kernel.runs(values):
        if sums is None:
            sums = torch.empty(values.shape[:2], dtype=table.dtype, device=values.device)
        device_kernel.reduce_into(table, at, sums, values, limits, first, cells)
        return
    if kernel.runs(values):
        if kernel.reduce_into(table, at, sums, values, limits, first, cells):
            return
    else:
        _by_definition(table[:, at : at + values.shape[1]], sums, values, limits, first)
    if cells is not None:
        count_into(cells, values)


def _by_definition(part: Tensor, sums: Tensor | None, values: Tensor, limits: Limits, first: int) -> None:
    for start, images in _slabs(values):
        found = definition(images, limits, first + start)
        merge(part, found.table)
        if sums is not None:
            sums[start : start + images.shape[0]] = found.sums


def _slabs(values: Tensor) -> Iterator[tuple[int, Tensor]]:
    room = SLAB.get(values.device.type, DEVICE_SLAB)
    step = max(1, room // max(1, values[0].numel()))
    for start in range(0, values.shape[0], step):
        yield start, values[start : start + step]


def engine(device: torch.device, dtype: torch.dtype = torch.float32) -> str:
    """Name what reduces tensors of a type on a device, for the provenance: two may differ in the last bits of sums."""
    return device_kernel.engine(device, dtype) if device.type == "cuda" else kernel.engine(device)
