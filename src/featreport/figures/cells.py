"""Geometry of the graphics inside table cells: numbers and path data, never markup."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from featreport.results.schema import Histogram

BAR = 40
SPARK_WIDTH = 100
SPARK_HEIGHT = 22


@dataclass(frozen=True)
class Spark:
    """A histogram as one path, with the share of exact zeros as a bar of its own."""

    path: str
    zero_x: float | None  # left edge of zero's bar; None where there are no zeros
    zero_height: float
    width: int = SPARK_WIDTH
    height: int = SPARK_HEIGHT
    top: int = 0  # values in the tallest bar
    log: bool = False  # one bar for each doubling of the magnitude


def bar(fraction: float | None) -> float:
    """Return the length of a bar for a share; anything above nothing is at least one pixel."""
    if not fraction:
        return 0
    return round(max(1.0, min(1.0, fraction) * BAR), 1)


def spark(histogram: Histogram, zeros: int, count: int) -> Spark | None:
    """Return the sparkline of a histogram, or None where it holds nothing.

    The grey bars leave exact zeros out and reach to the tallest of them; zero's bar is its share of all values,
    the full height being 100 %.
    """
    counts, edges = list(histogram.counts), histogram.edges
    if not counts or not sum(counts) or len(edges) != len(counts) + 1:
        return None
    slot = _slot(edges)
    counted = zeros if histogram.zeros is None else histogram.zeros
    if counted and slot is not None:
        counts[slot] = max(0, counts[slot] - counted)
    step = SPARK_WIDTH / len(counts)
    zero_x = slot * step if zeros and slot is not None else None
    share = zeros / count if count else 0.0
    height = round(max(1.5, share * SPARK_HEIGHT), 1)
    return Spark(
        _steps(counts, step),
        zero_x and round(zero_x, 2),
        height,
        top=max(counts),
        log=histogram.scale == "log",
    )


def _slot(edges: Sequence[float]) -> int | None:
    if not edges[0] <= 0 <= edges[-1]:
        return None
    return min(bisect_right(edges, 0) - 1, len(edges) - 2)


def _steps(counts: Sequence[int], step: float) -> str:
    """Return the outline of the bars: a stroke across and one up or down wherever the height changes.

    Each is told as its length or as its end, whichever is shorter.
    """
    top = max(counts)
    if not top:
        return ""
    parts = [f"M0 {SPARK_HEIGHT}"]
    level = 0
    at = 0.0
    for index, value in enumerate([*counts, 0]):
        height = 0 if not value else max(1, round(value / top * SPARK_HEIGHT))
        if height != level:
            here = round(index * step, 1)
            across = min(f"h{here - at:.3g}", f"H{here:g}", key=len) if here > at else ""
            parts.append(across + min(f"v{level - height}", f"V{SPARK_HEIGHT - height}", key=len))
            level, at = height, here
    return "".join(parts)


@dataclass(frozen=True)
class Lattice:
    """The gaps between tiles: lines, and how wide they are."""

    path: str
    width: float


def lattice(
    rows: int, columns: int, tile: tuple[float, float], gap: tuple[float, float], *, behind: bool = False
) -> tuple[Lattice, ...]:
    """Return the lines that cover the gaps between the tiles of a sprite; `tile` and `gap` are (height, width).

    With `behind`, also the gaps behind the last row and column, over which a veil reaches.
    """
    height, width = rows * tile[0] + (rows - 1) * gap[0], columns * tile[1] + (columns - 1) * gap[1]
    across = "".join(
        f"M0 {_short(row * (tile[0] + gap[0]) - gap[0] / 2)}h{_short(width)}"
        for row in range(1, rows + behind)
    )
    down = "".join(
        f"M{_short(column * (tile[1] + gap[1]) - gap[1] / 2)} 0v{_short(height)}"
        for column in range(1, columns + behind)
    )
    if round(gap[0], 2) == round(gap[1], 2):
        across, down = across + down, ""
    lines = (Lattice(across, round(gap[0], 2)), Lattice(down, round(gap[1], 2)))
    return tuple(line for line in lines if line.path and line.width > 0)


def _short(length: float) -> str:
    """Return a length with at most two decimals, and none that is 0."""
    return f"{round(length, 2):.8g}"


def unit_blocks(indices: Sequence[int], columns: int, cell: float) -> str:
    """Return the path of the cells of a grid of units, neighbours in a row joined to one block."""
    parts: list[str] = []
    start = previous = -2
    for index in [*indices, -1]:
        if index == previous + 1 and index % columns:
            previous = index
            continue
        if start >= 0:
            width = (previous - start + 1) * cell
            parts.append(
                f"M{start % columns * cell:g} {start // columns * cell:g}h{width:g}v{cell:g}h{-width:g}z"
            )
        start = previous = index
    return "".join(parts)
