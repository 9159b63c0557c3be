"""The compiled form of the reduction: one reading of a tensor in memory, by Numba, on torch's own threads.

Chosen by measurement on two cores (float32, GB/s read; time of the first compilation): torch's reductions one after
the other 0.2 to 1.0; torch.compile's C++ 4 to 9 after 20 s, or 3 s in every process that finds it cached, and only
where a C++ compiler is installed; this 15 to 33 (short rows 5 to 12), compiled once per machine.

Values are read as their bits: ordered as integers, they give extrema, zeros, near-zeros and the presence of NaN or
infinity in arithmetic that vectorises and is exact. Moments are float64 sums of deviations from a value of the
channel itself. Threads share out the images, as torch's own do, because each finds in its caches what it wrote (shared
out by channels the network after it was slowed down as much as the reading took); blocks of images are joined in
their order, and their number follows from the shape: no number depends on how many threads there are.
"""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from featreport.statistics.places import sample_of
from featreport.statistics.table import Limits, at_most, blank, merge

DIRECT: dict[torch.dtype, Any] = {torch.float32: np.int32, torch.float64: np.int64}
NOTHING = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(1, np.int64))
HALVES = {torch.float16, torch.bfloat16}
BLOCKS = 4  # of images, at most
WORTH = 64  # values of a channel that are worth a block
ROW = 16  # elements that are read in the time that one row more takes
ALONE = 1 << 15  # elements that one thread reads sooner than two are woken
COPIED = 1 << 18  # elements of a half-precision or scattered tensor that are copied at a time


@cache
def _loops() -> Any | None:
    """Numba's functions, or None where Numba cannot be had, or cannot work: then the definition runs."""
    try:
        from featreport.statistics import cached, loops

        with contextlib.suppress(Exception):  # only sooner than a first call would
            cached.bring_in()
    except ImportError:
        return None
    except Exception as error:  # noqa: BLE001 - of another's library while it starts: what it needs may be broken
        warnings.warn(f"measuring without Numba, which fails to start: {error}", stacklevel=2)
        return None
    return loops


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
    return "torch" if loops is None else f"numba {loops.VERSION}"


def is_compiled_first(device: torch.device) -> bool:
    """Whether the first tensor on this device waits for the compiler, as it does once on a machine."""
    if device.type != "cpu" or _loops() is None:
        return False
    from featreport.statistics import cached

    return cached.is_empty()


def reduce_into(
    table: Tensor, at: int, sums: Tensor, values: Tensor, limits: Limits, first: int, cells: Tensor | None
) -> bool:
    """Write the table of `[n, c, p]` into columns of a blank table (see `reduction.reduce_into`).

    Returns whether the sample was counted too: of float32 that lies in memory as it is read.
    """
    if values.dtype in DIRECT and (by_rows := _by_rows(values)) is not None:
        counted = cells if values.dtype == torch.float32 else None
        _read(table, at, sums, values, limits, first, counted, by_rows=by_rows)
        return counted is not None
    kind = values.dtype if values.dtype in DIRECT else torch.float32
    for images, channels in _pieces(values.shape):
        copy = values[images, channels].to(kind).contiguous()
        found, own = blank(copy.shape[1], values.device), torch.zeros(copy.shape[:2], dtype=sums.dtype)
        _read(found, 0, own, copy, limits, first + images.start, None, by_rows=True)
        sums[images, channels] = own
        merge(table[:, at + channels.start : at + channels.stop], found)
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
    """Write the tables of many tensors on the CPU, none of them empty, into a blank one `[fields, columns]`."""
    loops: Any = _loops()
    size = sum(block.n * block.c * block.p for block in blocks)
    threads = 1 if size <= ALONE else torch.get_num_threads()
    loops.share(threads)
    loops.together(
        np.array([(block.address, block.n, block.c, block.p, block.at) for block in blocks], np.int64),
        np.linspace(0, size, threads + 1).astype(np.int64),
        _as_bits(torch.float32, limits.near_zero),
        (float(limits.near_zero), float(limits.dead), np.inf),
        table.numpy(),
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
    sums: Tensor,
    values: Tensor,
    limits: Limits,
    first: int,
    cells: Tensor | None,
    *,
    by_rows: bool,
) -> None:
    shape, steps = tuple(values.shape), values.stride()
    threads = 1 if values.numel() + ROW * shape[0] * shape[1] <= ALONE else torch.get_num_threads()
    way = _way(values.dtype, shape, steps, limits, threads, cells is not None, by_rows)
    flat = values.detach().as_strided((way.reach,), (1,)).numpy()
    found = np.empty((shape[0], way.sample[0].size), np.int16)
    loops: Any = _loops()
    loops.share(threads)
    rest = (way.bounds, first, table.numpy(), at, sums.numpy(), way.sample, found, way.parts, _room(way.room))
    if by_rows:
        loops.rows(flat.view(way.bits), flat, shape, way.steps, way.order, *rest)
    else:
        loops.columns(flat.view(way.bits), flat, shape, way.steps, *rest)
    if cells is not None:
        loops.count(found, cells.numpy())


class _Own(threading.local):
    """Memory to work in, used again by the next reading: new memory would have to be cleared by the system."""

    room = np.empty(0)


_own = _Own()


def _room(numbers: int) -> NDArray[np.float64]:
    if _own.room.size < numbers:
        _own.room = np.empty(numbers)
    return _own.room


@dataclass(frozen=True)
class _Way:
    """How a tensor of one shape, in memory and in type, is read."""

    bits: Any
    reach: int  # from its first to its last value in memory
    steps: tuple[int, int]
    order: tuple[Any, ...]
    bounds: tuple[float, float, float]
    sample: tuple[Any, Any, Any]
    parts: tuple[
        int, int, int
    ]  # blocks of images, groups of channels, threads: only the blocks change a last bit
    room: int


@lru_cache(maxsize=1024)
def _way(
    dtype: torch.dtype,
    shape: tuple[int, int, int],
    steps: tuple[int, int, int],
    limits: Limits,
    threads: int,
    sampled: bool,
    by_rows: bool,
) -> _Way:
    loops: Any = _loops()
    _, c, p = shape
    blocks = max(1, min(BLOCKS, shape[0], shape[0] * p // WORTH))
    return _Way(
        bits=DIRECT[dtype],
        reach=1 + sum((size - 1) * step for size, step in zip(shape, steps, strict=True)),
        steps=steps[:2] if by_rows else (steps[0], steps[2]),
        order=_as_bits(dtype, limits.near_zero),
        bounds=(
            float(limits.near_zero),
            float(limits.dead),
            np.inf if limits.upper is None else float(limits.upper),
        ),
        sample=sample_of(c, p) if sampled else NOTHING,
        parts=(blocks, -(-threads // blocks), threads),
        room=blocks * -(-c // loops.BLOCK) * loops.BLOCK * loops.ROOM,
    )


@cache
def _as_bits(dtype: torch.dtype, near_zero: float) -> tuple[Any, ...]:
    """Return near-zero, the greatest integer, and infinity, as bits of `dtype`."""
    whole = DIRECT[dtype]
    floating = np.float32 if dtype == torch.float32 else np.float64
    top = whole(np.iinfo(whole).max)
    near = floating(at_most(near_zero) if dtype == torch.float32 else near_zero)
    return near.view(whole), top, floating(np.inf).view(whole)
