"""Profiles over the depth of a network, of one run and of all together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from featreport.figures import canvas, depth
from featreport.judge.findings import rectifiers, tap_name
from featreport.paper import letters, sheet
from featreport.paper.drawing import Drawing
from featreport.report import formats
from featreport.results.schema import Run
from featreport.tables import TAU

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FEWEST = 2  # layers that make a profile, runs that make a comparison
_HEIGHTS = {sheet.COLUMN: 46.0, sheet.FULL: 57.0}
_LEFT, _RIGHT, TOP, _FOOT = 11.0, 1.5, 8.5, 10.0
Points = tuple[depth.Point, ...]


@dataclass(frozen=True)
class Profile:
    """A share that is drawn over depth."""

    slug: str
    title: str
    share: str  # what stands at the y axis
    noun: str
    layer: str
    hue: str
    points: Callable[[Run], Points]
    meaning: str = ""


def _dead(run: Run) -> Points:
    return tuple(
        depth.Point(tap_name(tap), len(tap.dead) / tap.channels, len(tap.dead), tap.channels)
        for tap in rectifiers(run)
        if tap.channels
    )


def _dormant(run: Run) -> Points:
    """Return the dormant channels of a network that has no rectifier to fall silent at."""
    found = [] if rectifiers(run) else [(tap, (tap.dormant or {}).get(TAU)) for tap in run.activations]
    return tuple(
        depth.Point(tap_name(tap), len(channels) / tap.channels, len(channels), tap.channels)
        for tap, channels in found
        if channels is not None and tap.channels
    )


def _near_zero(run: Run) -> Points:
    return tuple(
        depth.Point(tensor.name, tensor.near_zero_fraction, tensor.near_zeros, tensor.count)
        for tensor in run.weights
        if tensor.kind == "weight" and tensor.near_zero_fraction is not None
    )


DEAD = Profile(
    "dead-by-depth", "Dead channels", "dead channels", "channel", "rectifier", canvas.ORANGE, _dead
)
DORMANT = Profile(
    "dormant-by-depth",
    "Dormant channels",
    "dormant channels",
    "channel",
    "layer",
    canvas.ORANGE,
    _dormant,
    f" Dormant: mean |a| at most {TAU} of the layer’s.",
)
NEAR_ZERO = Profile(
    "near-zero-by-depth",
    "Near-zero weights",
    "weights near zero",
    "weight",
    "weight",
    canvas.BLUE,
    _near_zero,
)
_AXES = {"rectifier": "rectifier layer", "weight": "conv or linear weight", "layer": "layer"}


def of_run(run: Run) -> list[Drawing]:
    """Return a run's profiles, each where it has two layers: dead or dormant channels, near-zero weights."""
    drawings = []
    for kind in (DEAD, DORMANT, NEAR_ZERO):
        points = kind.points(run)
        if len(points) >= FEWEST and (kind is not DORMANT or any(point.parts for point in points)):
            caption = (
                f"{kind.title} of {formats.shorten(run.id)} by depth. {_words(points, kind)}{kind.meaning}"
            )
            drawn = partial(_bars, points, kind)
            drawings.append(Drawing((kind.slug,), f"{kind.title} by depth", caption, drawn))
    return drawings


def _bars(points: Points, kind: Profile, width: float) -> Figure:
    figure, axes = frame(width, _HEIGHTS[width], _FOOT, kind.share)
    limit = depth.bars(axes, points, _AXES[kind.layer], kind.hue)
    axes.xaxis.label.set_fontsize(letters.SIZE)
    if any(point.share for point in points):
        place = max(range(len(points)), key=lambda index: points[index].share)
        _name_tallest(axes, points[place], (place + 0.75) / (len(points) + 0.5), limit, width)
    return figure


def _name_tallest(axes: Axes, point: depth.Point, middle: float, limit: float, width: float) -> None:
    """Write the tallest bar's layer and parts above it, moved sideways as far as the figure's edges ask."""
    parts = f": {formats.part(point.parts, point.whole)}"
    inner = width - _LEFT - _RIGHT
    text = letters.tail(point.name, inner - letters.width(parts) - 1) + parts
    long = letters.width(text) / inner  # as a share of the axis
    first, last = axes.get_xlim()
    x = first + min(max(middle, long / 2), 1 - long / 2) * (last - first)
    how = {"ha": "center", "va": "bottom", "fontsize": letters.SIZE, "color": canvas.INK}
    canvas.label(axes, x, min(point.share, limit) + limit * 0.03, text, **how)


def frame(width: float, height: float, foot: float, share: str, right: float = _RIGHT) -> tuple[Figure, Axes]:
    """Return an empty figure whose y axis bears the name of its share."""
    figure = sheet.blank(width, height)
    box = (_LEFT / width, foot / height, 1 - (_LEFT + right) / width, 1 - (TOP + foot) / height)
    figure.text(0, 1 - 3 / height, share, color=canvas.MUTED, fontsize=letters.SIZE, va="baseline")
    return figure, figure.add_axes(box)


def _words(points: Points, kind: Profile) -> str:
    touched = sum(1 for point in points if point.parts)
    layers = formats.plural(len(points), "layer")
    if not touched:
        return f"None of {layers} has {kind.share}."
    top = max(points, key=lambda point: point.share)
    some = f"{formats.integer(touched)} of {layers} {'has' if touched == 1 else 'have'}"
    who = f"All {layers} have" if touched == len(points) else some
    highest = f"{formats.percent(top.share)} ({formats.part(top.parts, top.whole)} {kind.noun}s)"
    return f"{who} {kind.share}; the highest share is {highest} at {formats.shorten(top.name)}."
