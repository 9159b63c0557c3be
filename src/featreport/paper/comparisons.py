"""The profiles of all runs on one axis: dead channels, near-zero weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from featreport.figures import canvas, depth
from featreport.paper import letters, sheet
from featreport.paper.drawing import Drawing
from featreport.paper.profiles import DEAD, FEWEST, NEAR_ZERO, TOP, Profile, frame
from featreport.report import formats
from featreport.results.schema import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def of_all(results: Results) -> list[Drawing]:
    """Return the profiles of all runs on one axis, where two runs have one; a run has one colour in both."""
    dead, near = _lines(results, DEAD), _lines(results, NEAR_ZERO)
    hues = depth.colours_of(dead or near)
    made = [
        _compared(dead, hues, DEAD, "comparison", "dead channels at each rectifier"),
        _compared(
            near, hues, NEAR_ZERO, "near-zero-comparison", "near-zero values of each conv or linear weight"
        ),
    ]
    return [drawing for drawing in made if drawing is not None]


def _lines(results: Results, kind: Profile) -> tuple[depth.Line, ...]:
    found = ((run.id, kind.points(run)) for run in results.runs)
    lines = tuple(depth.Line(name, points) for name, points in found if len(points) >= FEWEST)
    return lines if len(lines) >= FEWEST else ()


def _compared(
    lines: tuple[depth.Line, ...], hues: Mapping[str, str], kind: Profile, slug: str, what: str
) -> Drawing | None:
    if not lines:
        return None
    worst = max(lines, key=lambda line: max(point.share for point in line.points))
    top = max(worst.points, key=lambda point: point.share)
    highest = (
        f"The highest is {formats.percent(top.share)} at {formats.shorten(top.name)} of {formats.shorten(worst.name)}."
        if top.parts
        else f"There is none in any of the {formats.integer(len(lines))} runs."
    )
    caption = (
        f"Share of {what}, from the first to the last, of {formats.plural(len(lines), 'run')}. {highest}"
    )
    return Drawing(
        (slug,), f"{kind.title} by relative depth", caption, partial(_compare, lines, dict(hues), kind)
    )


def _compare(lines: Sequence[depth.Line], colours: Mapping[str, str], kind: Profile, width: float) -> Figure:
    order, _ = depth.coloured(lines)
    hues = {index: colours[line.name] for index, line in enumerate(lines) if line.name in colours}
    keys = [(lines[index].name, hues[index], 1.8) for index in order if index in hues]

    def curves(axes: Axes) -> None:
        canvas.percent_axis(axes, max(point.share for line in lines for point in line.points))
        depth.curves(axes, lines, order, hues, kind.layer)

    return keyed(width, kind.share, keys, len(lines) - len(keys), curves)


def keyed(
    width: float, share: str, keys: Sequence[tuple[str, str, float]], rest: int, draw: Callable[[Axes], None]
) -> Figure:
    """Draw curves; the names of those with a colour stand beside them where there is room, else below.

    Args:
        width: of the figure, in millimetres.
        share: what stands at the y axis.
        keys: name, colour and width of line of each.
        rest: how many runs have no colour.
        draw: draws the curves.
    """
    keys = [*keys, (formats.plural(rest, "other run"), canvas.MUTED, 0.8)] if rest else list(keys)
    beside = width > sheet.COLUMN
    foot = 6.0 if beside else 7.0 + 4.0 * len(keys)
    height = 62.0 if beside else 40.0 + foot
    right = 52.0 if beside else 3.0
    figure, axes = frame(width, height, foot, share, right)
    draw(axes)
    words = figure.add_axes((0, 0, 1, 1))
    words.set_xlim(0, width)
    words.set_ylim(height, 0)
    words.set_axis_off()
    x, y, step = (width - right + 4, TOP + 3, 4.5) if beside else (2.0, height - 4.0 * len(keys) + 1, 4.0)
    for place, (name, hue, thick) in enumerate(keys):
        line = y + step * place
        words.plot([x, x + 5], [line, line], color=hue, linewidth=thick)
        text = letters.fit(name, width - x - 8)
        canvas.label(words, x + 6.5, line, text, va="center", fontsize=letters.SIZE, color=canvas.INK)
    return figure
