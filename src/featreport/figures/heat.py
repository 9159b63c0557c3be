"""A matrix of numbers from 0 to 1 as a heat map: rows down, columns across, light is alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from featreport.figures import canvas
from featreport.figures.depth import Chart, chart_of
from featreport.report import formats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NOTHING = "#8c959f"  # where there is no number


def heat(
    values: Sequence[Sequence[float | None]],
    rows: Sequence[str],
    columns: Sequence[str],
    names: tuple[str, str],
    salt: str,
) -> Chart:
    """Return the heat map of a matrix, viridis from 0 to 1.

    Args:
        values: a row for each of `rows`, a number or None for each of `columns`.
        rows: what each row is called.
        columns: what each column is called.
        names: what rows and columns are of.
        salt: what tells the chart's ids from other charts'.
    """
    figure, axes, settings = canvas.blank(salt, width=5.6, height=4.4)
    axes.set_position((0.14, 0.14, 0.66, 0.8))
    picture = cells(axes, values)
    for axis, labels, name in ((axes.yaxis, rows, names[0]), (axes.xaxis, columns, names[1])):
        marks = canvas.marks_of(len(labels))
        axis.set_ticks([mark - 1 for mark in marks], [str(mark) for mark in marks])
        axis.set_label_text(f"layers of {formats.shorten(name, 40)}", fontsize=8.5)
        axis.labelpad = 8
    key(figure, picture, (0.84, 0.14, 0.03, 0.8))
    table = [("", *columns)]
    table += [
        (name, *("" if v is None else f"{v:.6g}" for v in row))
        for name, row in zip(rows, values, strict=True)
    ]
    return chart_of(figure, settings, table)


def cells(axes: Axes, values: Sequence[Sequence[float | None]]) -> Any:
    """Draw the cells of a matrix; return the picture, for `key`."""
    import matplotlib as mpl
    import numpy as np

    axes.grid(visible=False)
    matrix = np.array([[np.nan if v is None else v for v in row] for row in values], float)
    colours = mpl.colormaps["viridis"].with_extremes(bad=NOTHING)
    return axes.imshow(matrix, cmap=colours, vmin=0, vmax=1, aspect="auto", interpolation="none")


def key(figure: Figure, picture: Any, box: tuple[float, float, float, float]) -> Axes:
    """Draw the scale beside the cells, in shares of the figure; return its axes."""
    bar = figure.add_axes(box)
    scale = figure.colorbar(picture, cax=bar, ticks=[0, 0.5, 1])
    scale.outline.set_edgecolor(canvas.HAIRLINE)
    bar.tick_params(colors=canvas.MUTED, labelsize=9, length=0)
    bar.grid(visible=False)
    return bar
