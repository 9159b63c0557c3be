"""The loops of `kernel`, compiled by Numba once per machine and kept in its cache."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Any

import numba
import numpy as np
import torch  # before any loop runs: then Numba's OpenMP layer uses the threads that torch has

from featreport.statistics.cached import compiled
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
    ROOM,
    SHIFT,
    SIZE,
    SQUARE,
    TOP,
    TOTAL,
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

WIDE = 4096  # rows of a weight that a thread keeps of at a time
TILE = 256  # positions of a block of channels, before the next block
threaded: Any = compiled(nogil=True, error_model="numpy", parallel=THREADED)


def share(threads: int) -> None:
    """Let the next loops run on so many threads."""
    if THREADED:
        _launch()
    if THREADED and threads != numba.get_num_threads():
        numba.set_num_threads(max(1, min(threads, numba.config.NUMBA_NUM_THREADS)))


@cache
def _launch() -> None:
    """Start Numba's threads: that sets how many OpenMP uses, torch's among them, to one a core; set it back."""
    before = torch.get_num_threads()
    numba.get_num_threads()
    torch.set_num_threads(before)


@threaded
def rows(bits, values, shape, steps, order, limits, first, table, at, sums, sample, found, parts, room):
    """Read a tensor whose positions lie side by side: `steps` between images and between channels.

    `parts` = (blocks of images, groups of channels, threads): a block and a group are read by one thread, which keeps
    what it saw apart. The blocks of a channel are joined in their order, however many threads there are. `room` is
    memory to work in: ROOM numbers for each channel of each block.
    """
    n, c, p = shape
    blocks, groups, threads = parts
    kept = room[: blocks * c * ROOM].reshape((blocks, c * ROOM))
    for part in numba.prange(blocks * groups):
        block, group = part // groups, part % groups
        start, stop = c * group // groups, c * (group + 1) // groups
        flat = kept[block]
        _begin(_by_use(flat, start, stop), values, start * steps[1], steps[1])
        for i in range(n * block // blocks, n * (block + 1) // blocks):
            for j in range(start, stop):
                row = (np.uint64(i * steps[0] + j * steps[1]), np.uint64(p))
                sums[i, j] = _row(flat, j, bits, values, row, order, limits, first + i)
            _take(bits, i * steps[0], steps[1], 1, start, stop, sample, found[i])
    for group in numba.prange(threads):
        start, stop = c * group // threads, c * (group + 1) // threads
        keep = _by_use(kept[0], start, stop)
        for block in range(1, blocks):
            _join(keep, _by_use(kept[block], start, stop))
        place = (steps[0], 1)
        _finish(keep, values, start, (n, p), steps[1], place, limits, first, table, at, sums)


@inner
def _by_use(flat, start, stop):
    """What is kept of some channels, `[ROOM, channels]`."""
    return flat[start * ROOM : stop * ROOM].reshape((stop - start, ROOM)).T


@inner
def _join(keep, more):
    """Add what was kept of the next images to what was kept of those before."""
    for j in range(keep.shape[1]):
        keep[TOTAL, j] += more[TOTAL, j]
        keep[SQUARE, j] += more[SQUARE, j]
        keep[SIZE, j] += more[SIZE, j]
        keep[NONE, j] += more[NONE, j]
        keep[FEW, j] += more[FEW, j]
        keep[FIRES, j] += more[FIRES, j]
        keep[AT_BOUND, j] += more[AT_BOUND, j]
        if more[LOUD, j] > keep[LOUD, j]:
            keep[LOUD, j], keep[WHERE, j] = more[LOUD, j], more[WHERE, j]
        keep[BOTTOM, j] = min(keep[BOTTOM, j], more[BOTTOM, j])
        keep[TOP, j] = max(keep[TOP, j], more[TOP, j])


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
                most = min(WIDE, stop - start)
                for at in range(start, stop, most):
                    shape = (n, min(most, stop - at), p)
                    _apart(values[at * p :], shape, c * p, order, limits, table, column + at)
            passed += c * load


@inner
def _apart(values, shape, step, order, limits, table, at):
    """Some channels of a tensor, `step` values between its images."""
    n, width, p = shape
    bits = values.view(np.int32)
    flat, sums = np.empty(width * ROOM), np.empty((n, width))
    keep = _by_use(flat, 0, width)
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
        met = np.int32(0)
        for i in range(place, place + p):
            met = like(met + (values[i] >= upper), met)
        flat[at + AT_BOUND] += met
    return total + shift * p


@threaded
def columns(bits, values, shape, steps, limits, first, table, at, sums, sample, found, parts, room):
    """Read a tensor whose channels lie side by side: `steps` between images and between positions.

    `parts` and `room` as of `rows`, for whole blocks of BLOCK channels. A thread reads some positions of all its
    channels before the next few, so that memory is read in order, and a block at a time, so that what it keeps of one
    stays in the first-level cache.
    """
    n, c, p = shape
    blocks, groups, _ = parts
    wide = (c + BLOCK - 1) // BLOCK
    kept = room[: blocks * wide * ROOM * BLOCK].reshape((blocks, wide, ROOM * BLOCK))
    for part in numba.prange(blocks * groups):
        block, group = part // groups, part % groups
        start, stop = wide * group // groups, wide * (group + 1) // groups
        flat = kept[block]
        for b in range(start, stop):
            _begin(_of_block(flat, b, c), values, b * BLOCK, 1)
        for i in range(n * block // blocks, n * (block + 1) // blocks):
            place = i * steps[0]
            for k in range(0, p, TILE):
                for b in range(start, stop):
                    corner, width = place + k * steps[1] + b * BLOCK, min(BLOCK, c - b * BLOCK)
                    _tile(flat[b], values, corner, width, min(TILE, p - k), steps[1], limits[0])
            for b in range(start, stop):
                keep, corner = _of_block(flat, b, c), place + b * BLOCK
                _fold(keep, i, p, values, corner, (1, steps[1]), limits, first, sums, b * BLOCK)
            _take(bits, place, 1, steps[1], start * BLOCK, min(c, stop * BLOCK), sample, found[i])
    for b in numba.prange(wide):
        keep = _of_block(kept[0], b, c)
        for block in range(1, blocks):
            _join(keep, _of_block(kept[block], b, c))
        _finish(keep, values, b * BLOCK, (n, p), 1, steps, limits, first, table, at, sums)


@inner
def _of_block(flat, b, c):
    """What is kept of a block of channels, `[ROOM, channels]`."""
    return flat[b].reshape((ROOM, BLOCK))[:, : min(BLOCK, c - b * BLOCK)]


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
        keep[TOTAL, j] = keep[SQUARE, j] = keep[SIZE, j] = keep[WHOLE, j] = 0.0
        keep[NONE, j] = keep[FEW, j] = keep[FIRES, j] = keep[AT_BOUND, j] = 0.0
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
def _take(bits, place, channel_step, step, start, stop, sample, found):
    """Note the cells (see `cells.cells_of`) of the sampled values of some channels of an image, while they are near."""
    channels, positions, bounds = sample
    if not channels.size:
        return
    for k in range(bounds[start], bounds[stop]):
        value = bits[place + channels[k] * channel_step + positions[k] * step]
        if (value & 0x7FFFFFFF) >= INFINITY:
            found[k] = CELLS
        else:
            value = 0 if value == NEGATIVE_ZERO else value
            found[k] = (((value >> 31) + value) >> DROPPED) + HALF


@compiled(nogil=True, error_model="numpy")
def count(found, cells):
    """Count the cells noted of every image."""
    for i in range(found.shape[0]):
        for k in range(found.shape[1]):
            cells[found[i, k]] += 1
