"""The compiled form of the reduction: one reading of a tensor in memory, in C, on torch's own threads.

Chosen by measurement on two cores (float32, GB/s read): torch's reductions one after the other 0.2 to 1.0;
torch.compile's C++ 4 to 9 after 20 s, or 3 s in every process that finds it cached, and only where a C++ compiler is
installed; Numba the same as this, but for its compiler of 100 MiB in memory, half a second in every process, and 13 s
in the first; this 15 to 30 (short rows 7 to 14), compiled when featreport is installed.

Values are read as their bits: ordered as integers, they give extrema, zeros, near-zeros and the presence of NaN or
infinity in arithmetic that vectorises and is exact. Moments are float64 sums of deviations from a value of the
channel itself. Threads share out the images, as torch's own do, because each finds in its caches what it wrote (shared
out by channels the network after it was slowed down as much as the reading took); blocks of images are joined in
their order, and their number follows from the shape: no number depends on how many threads there are.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from featreport.statistics.native.library import BLOCK, ROOM, Library, Reading, Readings, library
from featreport.statistics.places import sample_of
from featreport.statistics.table import Limits, at_most

DIRECT: dict[torch.dtype, Any] = {torch.float32: np.int32, torch.float64: np.int64}
NOTHING = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(1, np.int64))
HALVES = {torch.float16, torch.bfloat16}
BLOCKS = 4  # of images, at most
WORTH = 64  # values of a channel that are worth a block
ROW = 16  # elements that are read in the time that one row more takes
ALONE = 1 << 15  # elements that one thread reads sooner than two are woken
COPIED = 1 << 18  # elements of a half-precision or scattered tensor that are copied at a time


@cache
def _loops() -> Library | None:
    """Return what was compiled, or None where nothing was or it cannot be used: then the definition runs."""
    try:
        return library()
    except (OSError, RuntimeError) as error:
        warnings.warn(f"measuring without the compiled loops: {error}", stacklevel=2)
        return None


def runs(values: Tensor) -> bool:
    """Whether the compiled form can read this tensor."""
    return (
        values.device.type == "cpu"
        and (values.dtype in DIRECT or values.dtype in HALVES)
        and _loops() is not None
    )


def engine(device: torch.device) -> str:
    """Name what reduces tensors on a device that is no accelerator of CUDA's."""
    loops = _loops() if device.type == "cpu" else None
    return "torch" if loops is None else loops.name


def reduce_into(
    table: Tensor,
    at: int,
    sums: Tensor | None,
    values: Tensor,
    limits: Limits,
    first: int,
    cells: Tensor | None,
) -> bool:
    """Join the table of `[n, c, p]` to columns of a table (see `reduction.reduce_into`).

    Returns whether the sample was counted too: of float32 that lies in memory as it is read.
    """
    if values.dtype in DIRECT and (by_rows := _by_rows(values)) is not None:
        counted = cells if values.dtype == torch.float32 else None
        _read(table, at, sums, values, limits, first, counted, by_rows=by_rows)
        return counted is not None
    kind = values.dtype if values.dtype in DIRECT else torch.float32
    for images, channels in _pieces(values.shape):
        copy = values[images, channels].to(kind).contiguous()
        part = None if sums is None else sums[images, channels]
        _read(table, at + channels.start, part, copy, limits, first + images.start, None, by_rows=True)
    return False


def _pieces(shape: Sequence[int]) -> Iterator[tuple[slice, slice]]:
    """Yield images and channels of `[n, c, p]` of at most COPIED values, of one channel of one image at least."""
    n, c, p = shape
    width = min(c, max(1, COPIED // p))
    step = max(1, COPIED // (width * p)) if width == c else 1
    for start in range(0, n, step):
        for at in range(0, c, width):
            yield slice(start, min(n, start + step)), slice(at, min(c, at + width))


@dataclass(frozen=True)
class Block:
    """Where a float32 tensor `[n, c, p]` lies in memory, without gaps, and the column of its first channel."""

    address: int
    n: int
    c: int
    p: int
    at: int


def together(table: Tensor, blocks: Sequence[Block], limits: Limits) -> None:
    """Join the tables of many tensors on the CPU, none of them empty, to columns of one `[fields, columns]`."""
    loops: Any = _loops()
    size = sum(block.n * block.c * block.p for block in blocks)
    threads = 1 if size <= ALONE else torch.get_num_threads()
    tensors = np.array([(block.address, block.n, block.c, block.p, block.at) for block in blocks], np.int64)
    ends = np.linspace(0, size, threads + 1).astype(np.int64)
    loops.read_many(
        Readings(
            tensors=tensors.ctypes.data,
            count=len(blocks),
            ends=ends.ctypes.data,
            threads=threads,
            near=limits.near_zero,
            dead=limits.dead,
            near_bits=_as_bits(torch.float32, limits.near_zero),
            table=table.data_ptr(),
            table_field=table.stride(0),
            table_column=table.stride(1),
        )
    )


def _by_rows(values: Tensor) -> bool | None:
    """Whether positions (True) or channels (False) lie side by side in memory; None for neither."""
    _, c, p = values.shape
    steps = values.stride()
    if steps[2] == 1 or p == 1:
        return True
    return False if steps[1] == 1 or c == 1 else None


def _read(
    table: Tensor,
    at: int,
    sums: Tensor | None,
    values: Tensor,
    limits: Limits,
    first: int,
    cells: Tensor | None,
    *,
    by_rows: bool,
) -> None:
    n, c, p = values.shape
    threads = 1 if n * c * (p + ROW) <= ALONE else torch.get_num_threads()
    way = _way(values.dtype, (n, c, p), limits, threads, cells is not None)
    job = Reading.from_buffer_copy(way.job)
    job.values = values.data_ptr()
    job.image, channel, position = values.stride()
    job.channel, job.position = (channel, 1) if by_rows else (1, position)
    job.first = first
    job.table_field, job.table_column = table.stride()
    job.table = table.data_ptr() + at * job.table_column * table.element_size()
    if sums is not None:
        job.sums = sums.data_ptr()
        job.sums_image, job.sums_channel = sums.stride()
    if cells is not None:
        job.cells = cells.data_ptr()
        job.found = _own.found.of(n * job.samples)
    job.room = _own.room.of(way.room)
    way.read(job)


class _Space:
    """Memory to work in, used again by the next reading: new memory would have to be cleared by the system."""

    def __init__(self, kind: Any) -> None:
        self._memory = np.empty(0, kind)
        self._address = 0

    def of(self, size: int) -> int:
        """Return the address of room for so many numbers."""
        if self._memory.size < size:
            self._memory = np.empty(size, self._memory.dtype)
            self._address = self._memory.ctypes.data
        return self._address


class _Own(threading.local):
    """What each thread works in."""

    def __init__(self) -> None:
        self.room, self.found = _Space(np.float64), _Space(np.int16)


_own = _Own()


@dataclass(frozen=True)
class _Way:
    """How a tensor of one shape is read."""

    read: Any
    job: Reading  # but for where things lie
    room: int
    sample: tuple[Any, Any, Any]  # whose addresses the job holds


@lru_cache(maxsize=1024)
def _way(
    dtype: torch.dtype, shape: tuple[int, int, int], limits: Limits, threads: int, sampled: bool
) -> _Way:
    n, c, p = shape
    loops: Any = _loops()
    blocks = max(1, min(BLOCKS, n, n * p // WORTH))  # of images: only these change a last bit
    channels, positions, bounds = sample = sample_of(c, p) if sampled else NOTHING
    job = Reading(
        n=n,
        c=c,
        p=p,
        near=limits.near_zero,
        dead=limits.dead,
        upper=np.inf if limits.upper is None else limits.upper,
        near_bits=_as_bits(dtype, limits.near_zero),
        channels=channels.ctypes.data,
        positions=positions.ctypes.data,
        bounds=bounds.ctypes.data,
        samples=channels.size,
        blocks=blocks,
        groups=-(-threads // blocks),
        threads=threads,
    )
    read = loops.read_float if dtype == torch.float32 else loops.read_double
    return _Way(read, job, blocks * -(-c // BLOCK) * BLOCK * ROOM, sample)


@cache
def _as_bits(dtype: torch.dtype, near_zero: float) -> int:
    """Return near-zero as the bits of `dtype`: of float32 the greatest that is not above it."""
    single = dtype == torch.float32
    near = np.float32(at_most(near_zero)) if single else np.float64(near_zero)
    return int(near.view(DIRECT[dtype]))
