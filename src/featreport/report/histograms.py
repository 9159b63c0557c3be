"""A histogram in a cell: its bars, and the words of its axes for the large form that opening shows."""

from __future__ import annotations

from featreport.figures.cells import spark
from featreport.report import formats
from featreport.report.cells import Bars, Tick
from featreport.results.schema import Histogram

WIDTH = 440  # of the large form
APART = 80  # pixels between two words under the axis


def bars(histogram: Histogram, zeros: int, count: int) -> Bars | None:
    """Return the histogram of a tensor of `count` values, `zeros` of them exactly 0; None where it holds nothing."""
    drawn = spark(histogram, zeros, count)
    if drawn is None:
        return None
    counted = sum(histogram.counts)
    sampled = "sampled " if counted < count else ""
    words = f"Tallest grey bar: {formats.integer(drawn.top)} of {formats.integer(counted)} {sampled}values."
    if not drawn.top:
        words = f"All {formats.integer(counted)} {sampled}values are exactly 0."
    return Bars(drawn, words, _ticks(histogram))


def _ticks(histogram: Histogram) -> tuple[Tick, ...]:
    """Return the ends of the axis, which stand where they belong, and between them 0, or the middle where 0 is not."""
    edges = histogram.edges
    last = len(edges) - 1
    inner = edges.index(0) if 0 in edges else last // 2
    at = round(inner / last * WIDTH)
    ends = (Tick(None, formats.number(edges[0])), Tick(None, formats.number(edges[-1])))
    if not APART <= at <= WIDTH - APART:
        return ends
    return (ends[0], Tick(at, formats.number(edges[inner])), ends[1])
