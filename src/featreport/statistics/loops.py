"""The loops of `kernel`, compiled by Numba once per machine and kept in its cache."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numba
import numpy as np
import torch  # noqa: F401 - before any loop runs: then Numba's OpenMP layer uses the threads that torch has

from featreport.statistics.cells import CELLS, DROPPED
from featreport.statistics.lines import (
    AT_BOUND,
    BLOCK,
    BOTTOM,
    FEW,
    FIRES,
    LEAST,
    LOUD,
    MOST,
    NONE,
    SHIFT,
    SIZE,
    SQUARE,
    TOP,
    TOTAL,
    USES,
    WHERE,
    WHOLE,
    carefully,
    four_lines,
    inner,
    one_line,
    row_line,
    write,
)
from featreport.statistics.machine import like, negative, pointer, same_bits

INFINITY, NEGATIVE_ZERO = 0x7F800000, -0x80000000
HALF = CELLS // 2
VERSION = numba.__version__
# Without OpenMP, or where somebody chose otherwise, one thread: another pool of threads would fight with torch's.
THREADED = find_spec("numba.np.ufunc.omppool") is not None and numba.config.THREADING_LAYER in {
    "default",
    "omp",
}
if THREADED:
    numba.config.THREADING_LAYER = "omp"

ROOM = 16  # numbers kept of a channel: USES, and what fills two lines of the cache
# Values of neighbouring channels that are read together: short rows lie side by side in memory.
GROUP = 1 << 12
TILE = 16  # positions of them, before the next block
threaded: Any = numba.njit(nogil=True, error_model="numpy", cache=True, parallel=THREADED)


def share(threads: int) -> None:
    """Let the next loops run on so many threads."""
    if THREADED and threads != numba.get_num_threads():
        numba.set_num_threads(max(1, min(threads, numba.config.NUMBA_NUM_THREADS)))


@threaded
def rows(bits, values, shape, steps, order, limits, first, table, at, sums, sample, found, most):
    """Read a tensor whose positions lie side by side: `steps` between images and between channels.

    `most` channels are a thread's at a time.
    """
    for group in numba.prange((shape[1] + most - 1) // most):
        start = group * most
        width = min(most, shape[1] - start)
        flat = np.zeros(width * ROOM)
        keep = flat.reshape((width, ROOM)).T
        _begin(keep, values, start * steps[1], steps[1])
        for i in range(shape[0]):
            place = i * steps[0] + start * steps[1]
            for j in range(width):
                row = (np.uint64(place + j * steps[1]), np.uint64(shape[2]))
                sums[i, start + j] = _row(flat, j, bits, values, row, order, limits, first + i)
            _take(bits, i * steps[0], steps[1], 1, start, width, sample, found[i])
        _finish(
            *(keep, values, start, (shape[0], shape[2]), steps[1], (steps[0], 1)),
            *(limits, first, table, at, sums),
        )


@threaded
def together(blocks, ends, order, limits, table):
    """Read many float32 tensors that lie in memory without gaps, as `rows` reads one.

    Args:
        blocks: of each its address, its shape n, c, p, and the column of its first channel, `[tensors, 5]`.
        ends: where the threads' parts end, from 0, in values of all tensors one after the other, `[parts + 1]`. A
            channel belongs to the part that it begins in.
        order: see `_as_bits`.
        limits: the thresholds.
        table: what is written, `[fields, columns]`.
    """
    for part in numba.prange(ends.size - 1):
        passed = 0
        for t in range(blocks.shape[0]):
            address, n, c, p, column = blocks[t]
            load = n * p
            start = max(0, (ends[part] - passed + load - 1) // load)
            stop = min(c, (ends[part + 1] - passed + load - 1) // load)
            if start < stop:
                values = numba.carray(pointer(address), (c * load,), np.float32)
                most = max(1, GROUP // p)
                for at in range(start, stop, most):
                    shape = (n, min(most, stop - at), p)
                    _apart(values[at * p :], shape, c * p, order, limits, table, column + at)
            passed += c * load


@inner
def _apart(values, shape, step, order, limits, table, at):
    """Some channels of a tensor, `step` values between its images."""
    n, width, p = shape
    bits = values.view(np.int32)
    flat, sums = np.zeros(width * ROOM), np.empty((n, width))
    keep = flat.reshape((width, ROOM)).T
    _begin(keep, values, 0, p)
    for i in range(n):
        for j in range(width):
            row = (np.uint64(i * step + j * p), np.uint64(p))
            sums[i, j] = _row(flat, j, bits, values, row, order, limits, i)
    _finish(keep, values, 0, (n, p), p, (step, 1), limits, 0, table, at, sums)


@inner
def _row(flat, j, bits, values, row, order, limits, image):
    """One channel of one image: what it adds to what is kept of the channel. Returns its sum."""
    place, p = row
    near, top, infinity = order
    _, dead, upper = limits
    at = np.uint64(j * ROOM)
    shift = flat[at + SHIFT]
    low, high, zeros, nears, total, square, size = row_line(bits, values, place, p, shift, near, top)
    least = np.float64(same_bits(like(low ^ (negative(low) & top), top), values[place]))
    most = np.float64(same_bits(like(high ^ (negative(high) & top), top), values[place]))
    if low <= ~infinity or high >= infinity:
        size = np.nan  # some value is no number
    flat[at + SIZE] += size
    flat[at + NONE] += zeros
    flat[at + FEW] += nears
    flat[at + TOTAL] += total
    flat[at + SQUARE] += square
    loud = max(abs(least), abs(most))
    flat[at + FIRES] += loud > dead
    if loud > flat[at + LOUD]:
        flat[at + LOUD], flat[at + WHERE] = loud, image
    flat[at + BOTTOM], flat[at + TOP] = min(flat[at + BOTTOM], least), max(flat[at + TOP], most)
    if most >= upper:
        for i in range(place, place + p):
            flat[at + AT_BOUND] += values[i] >= upper
    return total + shift * p


@threaded
def columns(bits, values, shape, steps, limits, first, table, at, sums, sample, found, most):
    """Read a tensor whose channels lie side by side: `steps` between images and between positions.

    `most` channels are a thread's; it reads a few positions of all of them before the next few, so that memory is
    read in order, and BLOCK channels at a time, so that what it keeps of them stays in the first-level cache.
    """
    for group in numba.prange((shape[1] + most - 1) // most):
        start = group * most
        width = min(most, shape[1] - start)
        blocks = (width + BLOCK - 1) // BLOCK
        flat = np.zeros((blocks, USES * BLOCK))
        for b in range(blocks):
            keep = flat[b].reshape((USES, BLOCK))[:, : min(BLOCK, width - b * BLOCK)]
            _begin(keep, values, start + b * BLOCK, 1)
        for i in range(shape[0]):
            place = i * steps[0] + start
            for k in range(0, shape[2], TILE):
                for b in range(blocks):
                    wide = min(BLOCK, width - b * BLOCK)
                    corner = place + k * steps[1] + b * BLOCK
                    _tile(flat[b], values, corner, wide, min(TILE, shape[2] - k), steps[1], limits[0])
            for b in range(blocks):
                keep = flat[b].reshape((USES, BLOCK))[:, : min(BLOCK, width - b * BLOCK)]
                channel = start + b * BLOCK
                corner = place + b * BLOCK
                _fold(keep, i, shape[2], values, corner, (1, steps[1]), limits, first, sums, channel)
            _take(bits, i * steps[0], 1, steps[1], start, width, sample, found[i])
        for b in range(blocks):
            keep = flat[b].reshape((USES, BLOCK))[:, : min(BLOCK, width - b * BLOCK)]
            _finish(
                *(keep, values, start + b * BLOCK, (shape[0], shape[2]), 1, steps),
                *(limits, first, table, at, sums),
            )


@inner
def _tile(flat, values, place, width, p, step, near):
    """Some positions of a block of channels, four at a time."""
    for k in range(0, p - 3, 4):
        one = place + k * step
        two, three, four = one + step, one + 2 * step, one + 3 * step
        four_lines(
            values[one : one + width],
            values[two : two + width],
            values[three : three + width],
            values[four : four + width],
            flat,
            near,
        )
    for k in range(p - p % 4, p):
        one = place + k * step
        one_line(values[one : one + width], flat, near)


@inner
def _begin(keep, values, place, step):
    for j in range(keep.shape[1]):
        keep[SHIFT, j] = values[place + j * step]
        keep[LEAST, j] = keep[BOTTOM, j] = np.inf
        keep[MOST, j] = keep[TOP, j] = -np.inf
        keep[LOUD, j] = keep[WHERE, j] = -1.0


@inner
def _fold(keep, i, p, values, place, steps, limits, first, sums, start):
    """An image was read: its extremes, whether its channels fired, its sums; how often the bound, where it was met."""
    _, dead, upper = limits
    for j in range(keep.shape[1]):
        least, most = keep[LEAST, j], keep[MOST, j]
        keep[LEAST, j], keep[MOST, j] = np.inf, -np.inf
        loud = max(abs(least), abs(most))
        keep[FIRES, j] += loud > dead
        if loud > keep[LOUD, j]:
            keep[LOUD, j], keep[WHERE, j] = loud, first + i
        keep[BOTTOM, j], keep[TOP, j] = min(keep[BOTTOM, j], least), max(keep[TOP, j], most)
        sums[i, start + j] = keep[TOTAL, j] - keep[WHOLE, j] + keep[SHIFT, j] * p
        keep[WHOLE, j] = keep[TOTAL, j]
        if most >= upper:
            for k in range(p):
                keep[AT_BOUND, j] += values[place + j * steps[0] + k * steps[1]] >= upper


@inner
def _finish(keep, values, start, shape, step, steps, limits, first, table, at, sums):
    for j in range(keep.shape[1]):
        fine = np.isfinite(keep[SIZE, j])
        if fine:
            nothing = 0.0
            numbers = float(shape[0] * shape[1])
            few, fires = keep[FEW, j], keep[FIRES, j]
            counts = (numbers, keep[NONE, j], few, nothing, nothing, nothing, fires, keep[AT_BOUND, j])
            moments = (keep[TOTAL, j], keep[SQUARE, j], keep[SIZE, j], keep[SHIFT, j])
            extremes = (keep[BOTTOM, j], keep[TOP, j], keep[LOUD, j], keep[WHERE, j])
            fine = not write(table, at + start + j, counts, moments, extremes)
        if not fine:
            carefully(
                values,
                (start + j) * step,
                shape,
                steps,
                limits,
                first,
                table,
                at + start + j,
                sums,
                start + j,
            )


@inner
def _take(bits, place, channel_step, step, start, width, sample, found):
    """Note the cells (see `cells.cells_of`) of the sampled values of some channels of an image, while they are near."""
    channels, positions, bounds = sample
    if not channels.size:
        return
    for k in range(bounds[start], bounds[start + width]):
        value = bits[place + channels[k] * channel_step + positions[k] * step]
        if (value & 0x7FFFFFFF) >= INFINITY:
            found[k] = CELLS
        else:
            value = 0 if value == NEGATIVE_ZERO else value
            found[k] = (((value >> 31) + value) >> DROPPED) + HALF


@numba.njit(nogil=True, error_model="numpy", cache=True)
def count(found, cells):
    """Count the cells noted of every image."""
    for i in range(found.shape[0]):
        for k in range(found.shape[1]):
            cells[found[i, k]] += 1
