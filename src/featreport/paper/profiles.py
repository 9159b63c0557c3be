"""Profiles over the depth of a network, of one run and of all together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from featreport.figures import canvas, depth
from featreport.judge.findings import tap_name
from featreport.paper import letters, sheet
from featreport.paper.drawing import Drawing
from featreport.report import formats
from featreport.results.schema import Results, Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FEWEST = 2  # layers that make a profile, runs that make a comparison
_HEIGHTS = {sheet.COLUMN: 44.0, sheet.FULL: 55.0}
_LEFT, _RIGHT, _TOP, _FOOT = 11.0, 1.5, 6.0, 10.0


def of_run(run: Run) -> list[Drawing]:
    """Return a run's profiles: dead channels at rectifiers, near-zero weights; none of fewer than two layers."""
    drawings = []
    dead, near = dead_points(run), near_zero_points(run)
    if len(dead) >= _FEWEST:
        caption = f"Dead channels of {formats.shorten(run.id)} by depth. {_words(dead, 'channels', 'dead channels')}"
        drawings.append(
            Drawing(
                "dead-by-depth",
                "Dead channels by depth",
                caption,
                lambda width: _bars(dead, "rectifier layer", canvas.ORANGE, width),
            )
        )
    if len(near) >= _FEWEST:
        words = _words(near, "weights", "weights near zero")
        caption = f"Near-zero weights of {formats.shorten(run.id)} by depth. {words}"
        drawings.append(
            Drawing(
                "near-zero-by-depth",
                "Near-zero weights by depth",
                caption,
                lambda width: _bars(near, "conv or linear weight", canvas.BLUE, width),
            )
        )
    return drawings


def comparison(results: Results) -> list[Drawing]:
    """Return the profile of all runs on one axis, where at least two have one."""
    lines = [
        depth.Line(run.id, tuple(points))
        for run in results.runs
        if len(points := dead_points(run)) >= _FEWEST
    ]
    if len(lines) < _FEWEST:
        return []
    worst = max(lines, key=lambda line: max(point.share for point in line.points))
    top = max(worst.points, key=lambda point: point.share)
    caption = (
        "Share of dead channels at each rectifier, from the first to the last, of "
        f"{formats.plural(len(lines), 'run')}. The highest is {formats.percent(top.share)} at "
        f"{formats.shorten(top.name)} of {formats.shorten(worst.name)}."
    )
    title = "Dead channels by relative depth"
    return [Drawing("comparison", title, caption, lambda width: _compare(lines, width))]


def dead_points(run: Run) -> list[depth.Point]:
    """Return the share of dead channels at each rectifier."""
    return [
        depth.Point(tap_name(tap), len(tap.dead) / tap.channels, len(tap.dead), tap.channels)
        for tap in run.activations
        if tap.rectifier and tap.channels
    ]


def near_zero_points(run: Run) -> list[depth.Point]:
    """Return the share of near-zero elements of each conv or linear weight."""
    return [
        depth.Point(tensor.name, tensor.near_zero_fraction, tensor.near_zeros, tensor.count)
        for tensor in run.weights
        if tensor.kind == "weight" and tensor.near_zero_fraction is not None
    ]


def _bars(points: Sequence[depth.Point], axis: str, hue: str, width: float) -> Figure:
    figure, axes = _frame(width, _HEIGHTS[width], _FOOT)
    limit = depth.bars(axes, points, axis, hue)
    shares = [point.share for point in points]
    if any(shares):
        place = max(range(len(points)), key=lambda index: shares[index])
        _name_tallest(axes, points[place], place, len(points), limit, width)
    return figure


def _name_tallest(axes: Axes, point: depth.Point, place: int, count: int, limit: float, width: float) -> None:
    """Write the tallest bar's layer and parts above it, moved sideways as far as the figure's edges ask."""
    parts = f": {formats.part(point.parts, point.whole)}"
    inner = width - _LEFT - _RIGHT
    text = letters.fit(point.name, inner - letters.width(parts, sheet.SIZE) - 1, sheet.SIZE) + parts
    long = letters.width(text, sheet.SIZE) / inner  # as a share of the axis
    middle = (place + 0.75) / (count + 0.5)
    middle = min(max(middle, long / 2), 1 - long / 2)
    x = 0.25 + middle * (count + 0.5)
    how = {"ha": "center", "va": "bottom", "fontsize": sheet.SIZE, "color": canvas.INK}
    canvas.label(axes, x, min(point.share, limit) + limit * 0.03, text, **how)


def _compare(lines: Sequence[depth.Line], width: float) -> Figure:
    """Draw the curves; the names stand beside them where there is room, else below."""
    order, hues = depth.coloured(lines)
    coloured = [index for index in order if index in hues]
    rest = len(lines) - len(coloured)
    keys = [(lines[index].name, hues[index], 1.8) for index in coloured]
    keys += [(formats.plural(rest, "other run"), canvas.MUTED, 0.8)] if rest else []
    beside = width > sheet.COLUMN
    foot = 6.0 if beside else 7.0 + 4.0 * len(keys)
    height = 60.0 if beside else 38.0 + foot
    right = 52.0 if beside else 3.0
    figure, axes = _frame(width, height, foot, right, left=12)
    canvas.percent_axis(axes, max((p.share for line in lines for p in line.points), default=0))
    depth.curves(axes, lines, order, hues)
    words = figure.add_axes((0, 0, 1, 1))
    words.set_xlim(0, width)
    words.set_ylim(height, 0)
    words.set_axis_off()
    x, y = (width - right + 4, _TOP + 3) if beside else (2.0, height - 4.0 * len(keys) + 1)
    for place, (name, hue, thick) in enumerate(keys):
        line = y + 4.5 * place if beside else y + 4.0 * place
        words.plot([x, x + 5], [line, line], color=hue, linewidth=thick)
        room = width - x - 8
        text = letters.fit(name, room, sheet.SIZE)
        canvas.label(words, x + 6.5, line, text, va="center", fontsize=sheet.SIZE, color=canvas.INK)
    return figure


def _frame(
    width: float, height: float, foot: float, right: float = _RIGHT, left: float = _LEFT
) -> tuple[Figure, Axes]:
    figure = sheet.blank(width, height)
    box = (left / width, foot / height, 1 - (left + right) / width, 1 - (_TOP + foot) / height)
    return figure, figure.add_axes(box)


def _words(points: Sequence[depth.Point], noun: str, what: str) -> str:
    touched = sum(1 for point in points if point.parts)
    layers = formats.plural(len(points), "layer")
    if not touched:
        return f"None of {layers} has {what}."
    top = max(points, key=lambda point: point.share)
    who = f"All {layers} have" if touched == len(points) else f"{formats.integer(touched)} of {layers} have"
    return (
        f"{who} {what}; the highest share is {formats.percent(top.share)} "
        f"({formats.part(top.parts, top.whole)} {noun}) at {formats.shorten(top.name)}."
    )
