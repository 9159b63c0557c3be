"""The loops of `kernel`, compiled by Numba once per machine and kept in its cache."""

# Numba compiles these functions from their source: they keep to what it can vectorise.
from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numba
import numpy as np
import torch  # noqa: F401 - before any loop runs: then Numba's OpenMP layer uses the threads that torch has

from featreport.statistics.cells import CELLS, DROPPED

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

REORDERED = {"reassoc", "contract", "nsz"}  # sums may be taken in lanes; NaN and infinity keep their meaning
BLOCK = 64  # channels read side by side
POOR = 1e6  # the shift lies a thousand standard deviations from the mean: better to read the channel again
COUNT, MEAN, SPREAD, MAGNITUDE, LOW, HIGH, ZEROS, NEAR, NAN, POSINF, NEGINF, FIRED, BOUND, PEAK, IMAGE = (
    range(15)
)
inner: Any = numba.njit(nogil=True, error_model="numpy", cache=True, no_cpython_wrapper=True)
reordered: Any = numba.njit(
    nogil=True, error_model="numpy", cache=True, no_cpython_wrapper=True, fastmath=REORDERED
)
threaded: Any = numba.njit(nogil=True, error_model="numpy", cache=True, parallel=THREADED)


def share(threads: int) -> None:
    """Let the next loops run on so many threads."""
    if THREADED:
        numba.set_num_threads(max(1, min(threads, numba.config.NUMBA_NUM_THREADS)))


@reordered
def _line(bits, values, shift, near, upper, top, sign):
    """One channel of one image that lies in a row: extrema as ordered integers, counts, sums of deviations."""
    low, high = top, ~top
    zeros = nears = bound = np.int32(0)
    total = square = magnitude = 0.0
    for i in range(bits.size):
        size = bits[i] & top
        key = bits[i] ^ ((bits[i] >> sign) & top)
        low, high = min(low, key), max(high, key)
        zeros += np.int32(size == 0)
        nears += np.int32(size <= near)
        bound += np.int32(key >= upper)
        value = np.float64(values[i])
        off = value - shift
        total += off
        square += off * off
        magnitude += abs(value)
    return low, high, zeros, nears, bound, total, square, magnitude


@reordered
def _lines(bits, values, ints, sums, near, upper, top, sign):
    """A position of up to BLOCK channels that lie side by side; `ints` and `sums` hold BLOCK numbers per use."""
    for j in range(bits.size):
        size = bits[j] & top
        key = bits[j] ^ ((bits[j] >> sign) & top)
        ints[j], ints[BLOCK + j] = min(ints[j], key), max(ints[BLOCK + j], key)
        ints[2 * BLOCK + j] += size == 0
        ints[3 * BLOCK + j] += size <= near
        ints[4 * BLOCK + j] += key >= upper
        value = np.float64(values[j])
        off = value - sums[j]
        sums[BLOCK + j] += off
        sums[2 * BLOCK + j] += off * off
        sums[3 * BLOCK + j] += abs(value)


@inner
def _write(table, column, counts, moments, extremes):
    """Write a channel's fields; returns whether the shift was too poor for its moments."""
    total, square, magnitude, shift = moments
    low, high, peak, image = extremes
    numbers = counts[0]
    poor = False
    if numbers:
        off = total / numbers
        spread = max(square - total * off, 0.0)
        table[MEAN, column] = shift + off
        table[SPREAD, column] = spread
        poor = total * off > POOR * spread
    table[COUNT, column], table[MAGNITUDE, column] = numbers, magnitude
    table[LOW, column], table[HIGH, column] = low, high
    table[PEAK, column], table[IMAGE, column] = peak, image
    for k in range(7):
        table[ZEROS + k, column] = counts[1 + k]
    return poor


@inner
def _carefully(values, at, shape, steps, limits, first, table, column, sums, channel):
    """Read one channel value by value, where some are not finite or its first value was a poor shift."""
    n, p = shape
    shift = 0.0
    for index in range(n * p):
        value = np.float64(values[at + (index // p) * steps[0] + (index % p) * steps[1]])
        if np.isfinite(value):
            shift = value
            break
    for _ in range(2):
        poor = _slowly(values, at, shape, steps, shift, limits, first, table, column, sums, channel)
        if not poor:
            break
        shift = table[MEAN, column]


@inner
def _slowly(values, at, shape, steps, shift, limits, first, table, column, sums, channel):
    near, dead, upper = limits
    numbers = zeros = nears = nans = ups = downs = fired = bound = 0
    total = square = magnitude = 0.0
    low, high, peak, image = np.inf, -np.inf, -1.0, -1
    for i in range(shape[0]):
        loud, strays, before, part = -1.0, 0, numbers, 0.0
        for k in range(shape[1]):
            value = np.float64(values[at + i * steps[0] + k * steps[1]])
            if np.isfinite(value):
                off = value - shift
                numbers += 1
                part += off
                square += off * off
                magnitude += abs(value)
                low, high, loud = min(low, value), max(high, value), max(loud, abs(value))
                zeros += value == 0.0
                nears += abs(value) <= near
                bound += value >= upper
            else:
                strays += 1
                nans += np.isnan(value)
                ups += value == np.inf
                downs += value == -np.inf
        total += part
        fired += strays > 0 or loud > dead
        sums[i, channel] = part + shift * (numbers - before)
        if loud > peak:
            peak, image = loud, first + i
    counts = (numbers, zeros, nears, nans, ups, downs, fired, bound)
    return _write(table, column, counts, (total, square, magnitude, shift), (low, high, peak, image))


@threaded
def rows(bits, values, shape, steps, order, limits, first, table, at, sums, sample, found):
    """Read a tensor whose positions lie side by side: `steps` between images and between channels."""
    for j in numba.prange(shape[1]):
        _row(j, bits, values, shape, steps, order, limits, first, table, at, sums)
        for i in range(shape[0]):
            _take(bits, i * steps[0] + j * steps[1], 1, j, shape[2], sample, found[i])


@inner
def _row(j, bits, values, shape, steps, order, limits, first, table, at, sums):
    n, _, p = shape
    near, upper, top, sign, infinity = order
    box = np.empty(2, bits.dtype)
    seen = box.view(values.dtype)
    shift = np.float64(values[j * steps[1]])
    whole = True
    zeros = nears = bound = fired = 0
    total = square = magnitude = 0.0
    low, high, peak, image = np.inf, -np.inf, -1.0, -1
    for i in range(n):
        place = i * steps[0] + j * steps[1]
        found = _line(bits[place : place + p], values[place : place + p], shift, near, upper, top, sign)
        whole = found[0] > ~infinity and found[1] < infinity
        if not whole:
            break
        box[0], box[1] = found[0] ^ ((found[0] >> sign) & top), found[1] ^ ((found[1] >> sign) & top)
        least, most = np.float64(seen[0]), np.float64(seen[1])
        loud = max(abs(least), abs(most))
        low, high = min(low, least), max(high, most)
        zeros += found[2]
        nears += found[3]
        bound += found[4]
        total += found[5]
        square += found[6]
        magnitude += found[7]
        fired += loud > limits[1]
        sums[i, j] = found[5] + shift * p
        if loud > peak:
            peak, image = loud, first + i
    if whole:
        counts = (n * p, zeros, nears, 0, 0, 0, fired, bound)
        moments, extremes = (total, square, magnitude, shift), (low, high, peak, image)
        whole = not _write(table, at + j, counts, moments, extremes)
    if not whole:
        _carefully(values, j * steps[1], (n, p), (steps[0], 1), limits, first, table, at + j, sums, j)


@threaded
def columns(bits, values, shape, steps, order, limits, first, table, at, sums, sample, found):
    """Read a tensor whose channels lie side by side: `steps` between images and between positions."""
    for block in numba.prange((shape[1] + BLOCK - 1) // BLOCK):
        _block(block * BLOCK, bits, values, shape, steps, order, limits, first, table, at, sums)
        for j in range(block * BLOCK, min(block * BLOCK + BLOCK, shape[1])):
            for i in range(shape[0]):
                _take(bits, i * steps[0] + j, steps[1], j, shape[2], sample, found[i])


@inner
def _block(start, bits, values, shape, steps, order, limits, first, table, at, sums):
    n, c, p = shape
    near, upper, top, sign, infinity = order
    width = min(BLOCK, c - start)
    box = np.empty(2, bits.dtype)
    seen = box.view(values.dtype)
    ints = np.zeros(5 * BLOCK, bits.dtype)
    acc = np.zeros(4 * BLOCK)
    before = np.zeros(BLOCK)
    whole = np.ones(BLOCK, np.bool_)
    fired = np.zeros(BLOCK, np.int64)
    low, high = np.full(BLOCK, np.inf), np.full(BLOCK, -np.inf)
    peak, image = np.full(BLOCK, -1.0), np.full(BLOCK, -1, np.int64)
    for j in range(width):
        acc[j] = values[start + j]
    for i in range(n):
        for j in range(width):
            ints[j], ints[BLOCK + j] = top, ~top
            before[j] = acc[BLOCK + j]
        for k in range(p):
            place = i * steps[0] + k * steps[1] + start
            line, numbers = bits[place : place + width], values[place : place + width]
            _lines(line, numbers, ints, acc, near, upper, top, sign)
        for j in range(width):
            least, most = ints[j], ints[BLOCK + j]
            whole[j] &= least > ~infinity and most < infinity
            box[0], box[1] = least ^ ((least >> sign) & top), most ^ ((most >> sign) & top)
            loud = max(abs(np.float64(seen[0])), abs(np.float64(seen[1])))
            low[j], high[j] = min(low[j], np.float64(seen[0])), max(high[j], np.float64(seen[1]))
            fired[j] += loud > limits[1]
            sums[i, start + j] = acc[BLOCK + j] - before[j] + acc[j] * p
            if loud > peak[j]:
                peak[j], image[j] = loud, first + i
    for j in range(width):
        fine = whole[j]
        if fine:
            counts = (
                n * p,
                np.int64(ints[2 * BLOCK + j]),
                np.int64(ints[3 * BLOCK + j]),
                0,
                0,
                0,
                fired[j],
                np.int64(ints[4 * BLOCK + j]),
            )
            moments = (acc[BLOCK + j], acc[2 * BLOCK + j], acc[3 * BLOCK + j], acc[j])
            fine = not _write(table, at + start + j, counts, moments, (low[j], high[j], peak[j], image[j]))
        if not fine:
            _carefully(
                values, start + j, (n, p), steps, limits, first, table, at + start + j, sums, start + j
            )


@inner
def _take(bits, start, step, channel, positions, sample, found):
    """Note the cells (see `cells.cells_of`) of the sampled values of one channel of one image, while they are near."""
    places, bounds = sample
    if not places.size:
        return
    for k in range(bounds[channel], bounds[channel + 1]):
        value = bits[start + (places[k] - channel * positions) * step]
        if (value & 0x7FFFFFFF) >= INFINITY:
            found[k] = CELLS
            continue
        if value == NEGATIVE_ZERO:
            value = 0
        found[k] = (((value >> 31) + value) >> DROPPED) + HALF


@numba.njit(nogil=True, error_model="numpy", cache=True)
def count(found, cells):
    """Count the cells noted of every image."""
    for i in range(found.shape[0]):
        for k in range(found.shape[1]):
            cells[found[i, k]] += 1
