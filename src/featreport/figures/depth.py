"""Charts over the depth of a network: silent channels and near-zero weights of one run, and all runs together."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from featreport.figures import canvas
from featreport.report import formats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Point:
    """One layer on the depth axis: its name, a share, and the parts of that share."""

    name: str
    share: float
    parts: int
    whole: int


@dataclass(frozen=True)
class Line:
    """One run on a chart of several."""

    name: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Chart:
    """A finished picture: its data: URI, its size in CSS pixels, and its numbers as a CSV data: URI."""

    source: str
    width: int
    height: int
    csv: str
    legend: tuple[tuple[str, str], ...] = ()  # what its lines are called, and the name of each one's colour


_DASH = 6.0  # of lines that coincide, in widths of a line
_BARS_APART = 60  # beyond this many layers bars touch


def depth(points: Sequence[Point], axis: str, hue: str, salt: str) -> Chart:
    """Return the bars of one share by depth, the tallest named."""
    figure, axes, settings = canvas.again(salt)
    limit = bars(axes, points, axis, hue)
    shares = [point.share for point in points]
    if any(shares):
        count = len(points)
        top = max(range(count), key=lambda index: shares[index])
        x = (top + 0.5) / count
        side = "left" if x < 0.3 else "right" if x > 0.7 else "center"  # noqa: PLR2004 - thirds of the width
        text = (
            f"{formats.shorten(points[top].name, 40)}: {formats.part(points[top].parts, points[top].whole)}"
        )
        how = {"ha": side, "va": "bottom", "fontsize": 8.5, "color": canvas.INK}
        canvas.label(axes, top + 1, min(shares[top], limit) + limit * 0.03, text, **how)
    table = [("position", axis, "part", "whole", "share")]
    table += [(str(i + 1), p.name, str(p.parts), str(p.whole), repr(p.share)) for i, p in enumerate(points)]
    return chart_of(figure, settings, table)


def bars(axes: Axes, points: Sequence[Point], axis: str, hue: str) -> float:
    """Draw the bars of one share by depth; return the share at the top of the y axis."""
    shares = [point.share for point in points]
    limit = canvas.percent_axis(axes, max(shares, default=0))
    count = len(points)
    axes.set_xlim(0.25, max(count, 1) + 0.75)
    if count > _BARS_APART:
        axes.stairs(shares, [index + 0.5 for index in range(count + 1)], fill=True, color=hue)
    else:
        _separate_bars(axes, shares, hue)
    _depth_axis(axes, count, axis)
    return limit


def colours_of(lines: Sequence[Line]) -> dict[str, str]:
    """Return the colours of the four worst runs, by their names."""
    order, found = coloured(lines)
    return {lines[index].name: found[index] for index in order if index in found}


def compare(lines: Sequence[Line], salt: str, colours: Mapping[str, str], layer: str) -> Chart:
    """Return one share of several runs by relative depth: those with a colour in it, the rest grey.

    What the lines are called stands beside the picture, in text: a phone shows it without scrolling.
    """
    figure, axes, settings = canvas.blank(salt, width=6.6, height=2.9, **canvas.WIDE)
    order, _ = coloured(lines)
    hues = {index: colours[line.name] for index, line in enumerate(lines) if line.name in colours}
    canvas.percent_axis(axes, max((p.share for line in lines for p in line.points), default=0))
    curves(axes, lines, order, hues, layer)
    axes.tick_params(axis="x", pad=8)
    named = [(lines[index].name, hues[index]) for index in order if index in hues]
    table = [("run", "position", "layer", "part", "whole", "share")]
    for line in lines:
        points = line.points
        table += [
            (line.name, str(i + 1), p.name, str(p.parts), str(p.whole), repr(p.share))
            for i, p in enumerate(points)
        ]
    return replace(chart_of(figure, settings, table), legend=legend(named, len(lines) - len(named)))


def legend(named: Sequence[tuple[str, str]], others: int) -> tuple[tuple[str, str], ...]:
    """Return what lines are called, each with the name of its colour: those with a colour, then how many have none.

    A line alone needs no telling apart.
    """
    if len(named) + others <= 1:
        return ()
    known = tuple((name, f"hue{canvas.HUES.index(colour)}") for name, colour in named)
    return (*known, (formats.plural(others, "other run"), "")) if others else known


def coloured(lines: Sequence[Line]) -> tuple[list[int], dict[int, str]]:
    """Return the runs' places, worst run first, and the colours of the worst four by place."""
    order = sorted(range(len(lines)), key=lambda i: -max((p.share for p in lines[i].points), default=0.0))
    return order, {run: canvas.HUES[rank] for rank, run in enumerate(order[: len(canvas.HUES)])}


def curves(
    axes: Axes,
    lines: Sequence[Line],
    order: Sequence[int],
    hues: Mapping[int, str],
    layer: str = "rectifier",
) -> None:
    """Draw the share of every run by relative depth, the worst on top; of lines that coincide each shows its dashes."""
    axes.set_xlim(-0.01, 1.01)
    axes.set_xticks([0, 0.5, 1], [f"first {layer}", "relative depth", f"last {layer}"])
    for index, tick in enumerate(axes.get_xticklabels()):
        tick.set_horizontalalignment(("left", "center", "right")[index])
    same: dict[tuple[float, ...], list[int]] = {}
    for index in order:
        if index in hues:
            same.setdefault(tuple(point.share for point in lines[index].points), []).append(index)
    for index in reversed(order):
        points = lines[index].points
        xs = [place / max(1, len(points) - 1) for place in range(len(points))]
        axes.plot(
            xs,
            [point.share for point in points],
            color=hues.get(index, canvas.MUTED),
            linewidth=1.8 if index in hues else 0.8,
            linestyle=dashes(index, same.get(tuple(point.share for point in points), [])),
            marker="o" if len(points) <= _BARS_APART else None,
            markersize=3.5 if index in hues else 2,
            clip_on=False,
            zorder=3 if index in hues else 2,
        )


def dashes(index: int, same: Sequence[int]) -> Any:
    """Return how to draw one of the lines that lie on each other: whole where it is alone, else in turns."""
    if index not in same or len(same) == 1:
        return "-"
    turn = _DASH * same.index(index)
    gap = _DASH * (len(same) - 1)
    return (-turn, (_DASH, gap))


def _separate_bars(axes: Axes, shares: Sequence[float], hue: str) -> None:
    """Draw one path of bars with gaps; a single path is a tenth of the size of one element per bar."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    corners = [
        [(x + 0.6, 0), (x + 0.6, share), (x + 1.4, share), (x + 1.4, 0), (x + 0.6, 0)]
        for x, share in enumerate(shares)
        if share
    ]
    if corners:
        codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY] * len(corners)
        path = Path([point for corner in corners for point in corner], codes)
        axes.add_patch(PathPatch(path, facecolor=hue, edgecolor="none"))


def _depth_axis(axes: Axes, count: int, axis: str) -> None:
    marks = canvas.marks_of(count)
    axes.set_xticks(marks, [str(mark) for mark in marks])
    axes.set_xlabel(f"{axis}, in depth order", fontsize=8.5, loc="right", labelpad=2)


def chart_of(figure: Figure, settings: Any, table: Sequence[Sequence[str]]) -> Chart:
    """Return a finished chart, its numbers as rows under a head."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([[formats.clean(cell) for cell in row] for row in table])
    width, height = (round(inches * 96) for inches in figure.get_size_inches())
    source = canvas.data_uri(figure, settings)
    return Chart(
        source, width, height, "data:text/csv;charset=utf-8," + quote(text.getvalue(), safe=",;:()[] ")
    )
