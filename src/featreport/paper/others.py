"""What is told of other builds and other runs: shares over builds, and how alike the layers of two runs are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from featreport.figures import canvas, heat, trend
from featreport.paper import letters
from featreport.paper.comparisons import keyed
from featreport.paper.drawing import Drawing
from featreport.paper.profiles import TOP, frame
from featreport.report import formats
from featreport.results.schema import Results, Similarity

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MEASURES = (
    (
        "dead_fraction",
        "dead-by-build",
        "Dead channels over builds",
        "dead channels",
        "dead channels at rectifiers",
    ),
    (
        "near_zero_fraction",
        "near-zero-by-build",
        "Near-zero weights over builds",
        "weights near zero",
        "near-zero values in conv and linear weights",
    ),
)
_RIGHT, _FOOT = 16.0, 12.0


def of_all(results: Results) -> list[Drawing]:
    """Return the shares over the builds of a history, and a heat map for each pair of runs with similarities."""
    drawings = []
    for metric, slug, title, share, what in _MEASURES:
        names, tracks = trend.tracks_of(results, metric)
        if tracks:
            caption = f"Share of {what} over {formats.plural(len(names), 'build')}, this one last."
            draw = partial(_over_builds, tracks, names, trend.colours_of(tracks), share)
            drawings.append(Drawing((slug,), title, caption, draw))
    pairs = [one for one in results.similarities if one.values]
    return [*drawings, *(_alike(one, number) for number, one in enumerate(pairs, start=1))]


def _over_builds(
    tracks: Sequence[trend.Track], names: Sequence[str], hues: Mapping[str, str], share: str, width: float
) -> Figure:
    keys = [(name, hue, 1.8) for name, hue in hues.items()]

    def curves(axes: Axes) -> None:
        trend.curves(axes, tracks, names, hues)

    return keyed(width, share, keys, len(tracks) - len(keys), curves)


def _alike(found: Similarity, number: int) -> Drawing:
    names = formats.shorten(found.run), formats.shorten(found.other)
    over = f"{formats.plural(found.images, 'image')} in {formats.plural(found.batches, 'batch', 'batches')}"
    caption = f"Debiased linear CKA of the layers of {names[0]} (down) and {names[1]} (across) over {over}."
    return Drawing(("cka", str(number)), "Similarity of layers", caption, partial(_matrix, found))


def _matrix(found: Similarity, width: float) -> Figure:
    side = min(width, 110.0)
    name = letters.fit(f"CKA, layers of {found.run} down", side)
    figure, axes = frame(width, side * 0.86, _FOOT, name, width - side + _RIGHT)
    picture = heat.cells(axes, found.values)
    for axis, layers, run in (
        (axes.yaxis, found.layers, found.run),
        (axes.xaxis, found.other_layers, found.other),
    ):
        last = len(layers) - 1
        marks = sorted({0, last // 2, last})
        axis.set_ticks(marks, [str(mark + 1) for mark in marks])
        if axis is axes.xaxis:
            text = letters.fit(f"layers of {run}", side - 30)
            axis.set_label_text(text, fontsize=letters.SIZE, color=canvas.INK, parse_math=False)
    height = side * 0.86
    box = ((side - _RIGHT + 3) / width, _FOOT / height, 3 / width, 1 - (TOP + _FOOT) / height)
    heat.key(figure, picture, box)
    return figure
