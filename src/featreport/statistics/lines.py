"""The innermost loops of `loops`: what is worked out of the values of a channel, and how it is written down.

Numba compiles these functions from their source: they keep to what it can vectorise.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from featreport.statistics.cached import compiled
from featreport.statistics.machine import like, negative

REORDERED = {"reassoc", "contract", "nsz"}  # sums may be taken in lanes; NaN and infinity keep their meaning
BLOCK = 128  # channels read side by side, at most
POOR = 1e6  # the shift lies a thousand standard deviations from the mean: better to read the channel again
COUNT, MEAN, SPREAD, MAGNITUDE, LOW, HIGH, ZEROS, NEAR, NAN, POSINF, NEGINF, FIRED, BOUND, PEAK, IMAGE = (
    range(15)
)
# What a thread keeps of each of its channels while it reads them: ROOM numbers, of which these are used. Of channels
# that lie side by side a row of BLOCK numbers each; the first eight are what `four_lines` works on.
SHIFT, TOTAL, SQUARE, SIZE, LEAST, MOST, NONE, FEW, AT_BOUND, WHOLE, LOUD, WHERE, FIRES, BOTTOM, TOP = range(
    15
)
ROOM = 16
HOW = {"nogil": True, "error_model": "numpy", "no_cpython_wrapper": True}
seldom: Any = compiled(**HOW)
inner: Any = compiled(**HOW, forceinline=True)  # a call would take longer than a short row
reordered: Any = compiled(**HOW, forceinline=True, fastmath=REORDERED)


@reordered
def row_line(bits, values, place, p, shift, near, top):
    """One channel of one image that lies in a row: extrema as ordered integers, counts, sums of deviations.

    `place` and `p` are unsigned: an index that cannot be negative is not tested for it.
    """
    low, high = top, like(~top, top)
    zeros = above = np.int32(0)
    total = square = magnitude = 0.0
    for i in range(place, place + p):
        bit = bits[i]
        size = like(bit & top, top)
        key = like(bit ^ (negative(bit) & top), top)
        low = min(low, key)
        high = max(high, key)
        zeros = like(zeros + (size == 0), zeros)
        above = like(above + (size > near), above)
        value = np.float64(values[i])
        off = value - shift
        total += off
        square += off * off
        magnitude += abs(value)
    return low, high, zeros, p - above, total, square, magnitude


@reordered
def four_lines(a, b, c, d, keep, near):
    """Four positions of channels that lie side by side; `keep` holds a row of BLOCK numbers per use."""
    for j in range(a.size):
        shift = keep[j]
        low, high = keep[LEAST * BLOCK + j], keep[MOST * BLOCK + j]
        v, w, x, y = np.float64(a[j]), np.float64(b[j]), np.float64(c[j]), np.float64(d[j])
        low, high = min(low, v), max(high, v)
        low, high = min(low, w), max(high, w)
        low, high = min(low, x), max(high, x)
        low, high = min(low, y), max(high, y)
        keep[LEAST * BLOCK + j], keep[MOST * BLOCK + j] = low, high
        s, t, u, z = abs(v), abs(w), abs(x), abs(y)
        keep[SIZE * BLOCK + j] += s + t + u + z
        keep[NONE * BLOCK + j] += (
            (1.0 if v == 0.0 else 0.0)
            + (1.0 if w == 0.0 else 0.0)
            + (1.0 if x == 0.0 else 0.0)
            + (1.0 if y == 0.0 else 0.0)
        )
        keep[FEW * BLOCK + j] += (
            (1.0 if s <= near else 0.0)
            + (1.0 if t <= near else 0.0)
            + (1.0 if u <= near else 0.0)
            + (1.0 if z <= near else 0.0)
        )
        v, w, x, y = v - shift, w - shift, x - shift, y - shift
        keep[TOTAL * BLOCK + j] += v + w + x + y
        keep[SQUARE * BLOCK + j] += v * v + w * w + x * x + y * y


@reordered
def one_line(a, keep, near):
    """One position, as `four_lines` does four."""
    for j in range(a.size):
        low, high = keep[LEAST * BLOCK + j], keep[MOST * BLOCK + j]
        v = np.float64(a[j])
        keep[LEAST * BLOCK + j], keep[MOST * BLOCK + j] = min(low, v), max(high, v)
        keep[SIZE * BLOCK + j] += abs(v)
        keep[NONE * BLOCK + j] += 1.0 if v == 0.0 else 0.0
        keep[FEW * BLOCK + j] += 1.0 if abs(v) <= near else 0.0
        v -= keep[j]
        keep[TOTAL * BLOCK + j] += v
        keep[SQUARE * BLOCK + j] += v * v


@inner
def write(table, column, counts, moments, extremes):
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


@seldom
def carefully(values, at, shape, steps, limits, first, table, column, sums, channel):
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


@seldom
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
    return write(table, column, counts, (total, square, magnitude, shift), (low, high, peak, image))
