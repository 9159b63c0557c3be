"""The loops of `device_kernel`, compiled by Triton for the accelerator on first use and kept in its cache.

A tile is SIZE × SIZE values of one image: the axis that lies side by side in memory comes last, and `side` is the axis
of the tile that its positions lie along. What is seen is kept for each lane of the tile apart, and joined at the end.

A value outside of the tensor is read as NaN and taken for no number; whatever is no number is masked before anything
else, because Triton's `min` and `max` pass over NaN, where torch's do not.
"""

from __future__ import annotations

import triton
import triton.language as tl

from featreport.statistics import cells, table

VERSION = triton.__version__
SIZE = tl.constexpr(16)
PARTS = tl.constexpr(256)  # that are joined at once
FEW = tl.constexpr(4)  # channels of which they are
BLOCK = tl.constexpr(256)  # places of a sample
FIELDS = tl.constexpr(len(table.Field))
COUNT, MEAN, SPREAD, MAGNITUDE, LOW, HIGH, ZEROS, NEAR, NAN, POSINF, NEGINF, FIRED, BOUND, PEAK, IMAGE = (
    tl.constexpr(int(field)) for field in table.Field
)
DROPPED, HALF, SPILL = (tl.constexpr(number) for number in (cells.DROPPED, cells.CELLS // 2, cells.SPILL))
INF = tl.constexpr(float("inf"))


@triton.jit
def single(value):
    """Values as float32, exactly; bfloat16 by its bits, because Triton's interpreter loses the smallest of them."""
    if value.dtype == tl.bfloat16:
        value = (value.to(tl.int16, bitcast=True).to(tl.int32) << 16).to(tl.float32, bitcast=True)
    return value.to(tl.float32)


@triton.jit
def joined(count, mean, spread, axis: tl.constexpr):
    """Counts, means and squared deviations along an axis → those of all together, all float64."""
    whole = tl.sum(count, axis)
    numbers = tl.maximum(whole, 1.0)
    middle = tl.sum(count * mean, axis) / numbers
    off = mean - tl.expand_dims(middle, axis)
    middle += tl.sum(count * off, axis) / numbers  # what the rounding of the first sum left over
    off = mean - tl.expand_dims(middle, axis)
    return whole, middle, tl.sum(spread + count * off * off, axis)


@triton.jit(
    do_not_specialize=["n", "c", "p", "step_n", "step_c", "step_p", "images", "stretch", "chunks", "first"],
    do_not_specialize_on_alignment=["values", "tables", "sums"],
)
def read(  # noqa: PLR0915 - one loop, whose state stays in registers
    values, tables, sums, n, c: tl.int64, p, step_n: tl.int64, step_c: tl.int64, step_p: tl.int64,
    images, stretch, chunks, first, near, dead, upper, side: tl.constexpr,
):  # fmt: skip
    """Write the table of SIZE channels of one part: of so many `images`, or of a `stretch` of one image's positions.

    `tables` is `[parts, FIELDS, c]`; the sums of images that are read whole go to `sums`, `[n, c]`. A lane's deviations
    are from the first number it meets: no number is far from it for long without the spread being as large.
    """
    part = tl.program_id(1)
    channel = tl.program_id(0) * SIZE + tl.arange(0, SIZE)
    here = channel < c
    start, begin = part // chunks * images, part % chunks * stretch
    stop, end = tl.minimum(start + images, n), tl.minimum(begin + stretch, p)

    count = tl.zeros([SIZE, SIZE], tl.int32)
    zeros, nears, ups, downs, bounds = count, count, count, count, count
    shift = tl.zeros([SIZE, SIZE], tl.float32)
    low, high = shift + INF, shift - INF
    total = tl.zeros([SIZE, SIZE], tl.float64)
    square, magnitude = total, total
    seen, fired, where = tl.zeros([SIZE], tl.int32), tl.zeros([SIZE], tl.int32), tl.full([SIZE], -1, tl.int32)
    peak = tl.full([SIZE], -1.0, tl.float32)
    for image in range(start, stop):
        whole = tl.zeros([SIZE, SIZE], tl.float64)
        loud = tl.full([SIZE, SIZE], -1.0, tl.float32)
        corner = values + image * step_n + tl.expand_dims(channel * step_c, side)
        for at in range(begin, end, SIZE):
            position = at + tl.arange(0, SIZE)
            inside = tl.expand_dims(here, side) & tl.expand_dims(position < end, 1 - side)
            place = corner + tl.expand_dims(position * step_p, 1 - side)
            value = single(tl.load(place, mask=inside, other=float("nan")))
            size = tl.abs(value)
            finite = size < INF
            number = tl.where(finite, value, 0.0)
            shift = tl.where(finite & (count == 0), number, shift)
            exact = number.to(tl.float64)
            off = tl.where(finite, exact - shift.to(tl.float64), 0.0)
            total += off
            square += off * off
            magnitude += tl.abs(exact)
            whole += exact
            low = tl.minimum(low, tl.where(finite, value, INF))
            high = tl.maximum(high, tl.where(finite, value, -INF))
            loud = tl.maximum(loud, tl.where(finite, size, -1.0))
            count += finite.to(tl.int32)
            zeros += (value == 0.0).to(tl.int32)
            nears += (size <= near).to(tl.int32)
            ups += (value == INF).to(tl.int32)
            downs += (value == -INF).to(tl.int32)
            bounds += (finite & (value >= upper)).to(tl.int32)
        numbers = tl.sum(count, side)
        strays = end - begin - (numbers - seen)
        seen = numbers
        loudest = tl.max(loud, side)
        fired += ((loudest > dead) | (strays > 0)).to(tl.int32)
        where = tl.where(loudest > peak, first + image, where)
        peak = tl.maximum(peak, loudest)
        if chunks == 1:
            tl.store(sums + image * c + channel, tl.sum(whole, side), mask=here)

    lane = count.to(tl.float64)
    gap = total / tl.maximum(lane, 1.0)
    spread = tl.maximum(square - total * gap, 0.0)
    numbers, mean, spread = joined(lane, shift.to(tl.float64) + gap, spread, side)
    posinf, neginf = tl.sum(ups, side), tl.sum(downs, side)
    row = tables + part * (FIELDS * c) + channel
    tl.store(row + COUNT * c, numbers, mask=here)
    tl.store(row + MEAN * c, mean, mask=here)
    tl.store(row + SPREAD * c, spread, mask=here)
    tl.store(row + MAGNITUDE * c, tl.sum(magnitude, side), mask=here)
    tl.store(row + LOW * c, tl.min(low, side), mask=here)
    tl.store(row + HIGH * c, tl.max(high, side), mask=here)
    tl.store(row + ZEROS * c, tl.sum(zeros, side), mask=here)
    tl.store(row + NEAR * c, tl.sum(nears, side), mask=here)
    tl.store(row + NAN * c, (stop - start) * (end - begin) - seen - posinf - neginf, mask=here)
    tl.store(row + POSINF * c, posinf, mask=here)
    tl.store(row + NEGINF * c, neginf, mask=here)
    tl.store(row + FIRED * c, fired, mask=here)
    tl.store(row + BOUND * c, tl.sum(bounds, side), mask=here)
    tl.store(row + PEAK * c, peak, mask=here)
    tl.store(row + IMAGE * c, where, mask=here)


@triton.jit(
    do_not_specialize=["parts", "c", "step"],
    do_not_specialize_on_alignment=["tables", "into"],
)
def join(tables, into, parts, c: tl.int64, step: tl.int64):
    """Join the tables of the parts, `[parts, FIELDS, c]`, in one whose rows lie `step` numbers apart."""
    part = tl.expand_dims(tl.arange(0, PARTS), 1)
    channel = tl.program_id(0) * FEW + tl.arange(0, FEW)
    here = channel < c
    inside = (part < parts) & tl.expand_dims(here, 0)
    row = tables + part * (FIELDS * c) + tl.expand_dims(channel, 0)
    out = into + channel
    count = tl.load(row + COUNT * c, mask=inside, other=0.0)
    mean = tl.load(row + MEAN * c, mask=inside, other=0.0)
    spread = tl.load(row + SPREAD * c, mask=inside, other=0.0)
    count, mean, spread = joined(count, mean, spread, 0)
    tl.store(out + COUNT * step, count, mask=here)
    tl.store(out + MEAN * step, mean, mask=here)
    tl.store(out + SPREAD * step, spread, mask=here)
    magnitude = tl.load(row + MAGNITUDE * c, mask=inside, other=0.0)
    tl.store(out + MAGNITUDE * step, tl.sum(magnitude, 0), mask=here)
    low = tl.load(row + LOW * c, mask=inside, other=INF)
    tl.store(out + LOW * step, tl.min(low, 0), mask=here)
    high = tl.load(row + HIGH * c, mask=inside, other=-INF)
    tl.store(out + HIGH * step, tl.max(high, 0), mask=here)
    for field in tl.static_range(ZEROS, BOUND + 1):
        counted = tl.load(row + field * c, mask=inside, other=0.0)
        tl.store(out + field * step, tl.sum(counted, 0), mask=here)
    peak = tl.load(row + PEAK * c, mask=inside, other=-1.0)
    image = tl.load(row + IMAGE * c, mask=inside, other=-1.0)
    highest = tl.max(peak, 0)
    tl.store(out + PEAK * step, highest, mask=here)
    earliest = tl.min(tl.where(peak == tl.expand_dims(highest, 0), image, INF), 0)
    tl.store(out + IMAGE * step, earliest, mask=here)


@triton.jit(
    do_not_specialize=["p", "count", "step_n", "step_c", "step_p"],
    do_not_specialize_on_alignment=["values", "places", "counts"],
)
def sample(values, places, counts, p, count, step_n: tl.int64, step_c: tl.int64, step_p: tl.int64):
    """Count the cells (see `cells.cells_of`) of the sampled values of an image; integers add up in any order."""
    number = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = number < count
    place = tl.load(places + number, mask=inside, other=0)
    offset = tl.program_id(0) * step_n + place // p * step_c + place % p * step_p
    value = single(tl.load(values + offset, mask=inside, other=0.0))
    bits = tl.where(value == 0.0, 0, value.to(tl.int32, bitcast=True))  # -0.0 is 0
    cell = (((bits >> 31) + bits) >> DROPPED) + HALF
    cell = tl.where(tl.abs(value) < INF, cell, SPILL)
    tl.atomic_add(counts + cell, 1, mask=inside, sem="relaxed")
