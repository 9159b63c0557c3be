"""What every chart shares: size, colours in light and dark, and the way to deterministic SVG bytes."""

from __future__ import annotations

import io
import threading
import warnings
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from featreport.figures.svg import slim
from featreport.report import formats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

BLUE, ORANGE, GREEN, PURPLE = "#0072b2", "#e69f00", "#009e73", "#cc79a7"  # Okabe–Ito
HUES = (BLUE, ORANGE, GREEN, PURPLE)
INK, MUTED, HAIRLINE = "#1a1a1a", "#57606a", "#d8dee4"
_BRIGHT_BLUE = "#56b4e9"
_DARK = (
    "@media(prefers-color-scheme:dark){"
    f'[style*="fill: {INK}"]{{fill:#e6e6e6!important}}[style*="fill: {MUTED}"]{{fill:#9ba3ab!important}}'
    f'[style*="stroke: {HAIRLINE}"]{{stroke:#30363d!important}}[style*="stroke: {MUTED}"]{{stroke:#9ba3ab!important}}'
    f'[style*="fill: {BLUE}"]{{fill:{_BRIGHT_BLUE}!important}}'
    f'[style*="stroke: {BLUE}"]{{stroke:{_BRIGHT_BLUE}!important}}'
    "}"
)
_PLAIN = ",;:()[] /=!$*+@?{}"  # may stand in a data: URI inside quotes: a seventh less than base64
_PIXELS = 96  # of CSS in an inch
_NARROW = (538, 420)  # the width of one of two charts side by side, and of one on a phone
WIDE: Any = {"left": 0.66, "foot": 0.32}  # the margins of a chart that has one line of words below it
STYLES: dict[str, Any] = {
    "font.size": 9,
    "font.family": "sans-serif",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.edgecolor": HAIRLINE,
    "axes.labelcolor": MUTED,
    "axes.axisbelow": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": HAIRLINE,
    "grid.linewidth": 0.8,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


class _Own(threading.local):
    """What a thread draws on again: an axis with its ticks takes as long to make as a chart takes to draw."""

    sheet: tuple[Figure, Axes] | None = None


_own = _Own()


def again(salt: str) -> tuple[Figure, Axes, Any]:
    """Return an empty chart as `blank` does, of the usual size: the one that this thread drew on before, wiped.

    Its axes are as they were left: who draws on it sets the same things each time.
    """
    if _own.sheet is None:
        figure, axes, settings = blank(salt)
        _own.sheet = figure, axes
        return figure, axes, settings
    figure, axes = _own.sheet
    for artist in (*axes.lines, *axes.patches, *axes.collections, *axes.texts):
        artist.remove()
    return figure, axes, _settings(salt)


def _settings(salt: str) -> dict[str, Any]:
    return {**STYLES, "svg.hashsalt": salt}


def blank(
    salt: str, width: float = 4.8, height: float = 2.1, left: float = 0.52, foot: float = 0.42
) -> tuple[Figure, Axes, Any]:
    """Return an empty chart of `width` × `height` inches with its settings; `salt` tells its ids from other charts'.

    `left` and `foot` of them are for what is written beside and below it: `WIDE` leaves room for a phone's letters.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    settings: Any = _settings(salt)
    with mpl.rc_context(settings):
        figure = Figure(figsize=(width, height), dpi=72)
        box = (left / width, foot / height, 1 - (left + 0.12) / width, 1 - (foot + 0.24) / height)
        axes = figure.add_axes(box)
    return figure, axes, settings


def label(axes: Axes, x: float, y: float, text: str, **how: Any) -> Text:
    """Write user text at a point of the data, never read as mathematics."""
    return axes.text(x, y, " ".join(formats.clean(text).split()), parse_math=False, **how)


def percent_axis(axes: Axes, top: float) -> float:
    """Scale the y axis to a round share just above `top`, in percent, and return that share."""
    limit = next((step for step in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if top <= step), 1.0)
    axes.set_ylim(0, limit)
    marks = [0.0, limit / 2, limit]
    axes.set_yticks(marks, [f"{100 * mark:g} %" for mark in marks])
    return limit


def marks_of(count: int) -> list[int]:
    """Return the numbers of the layers that an axis names: the first, then every so many, at most a dozen."""
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, 10**9) if count <= 12 * step)
    return sorted({1, *range(step, count + 1, step)}) if count else []


def _legible(inches: float) -> str:
    """Return the rules that keep the letters of a wide chart near 9 pt where it is shown narrower than it was drawn."""
    return "".join(
        f"@media(max-width:{narrow}px){{text{{font-size:{9 * inches * _PIXELS / narrow:.3g}px!important}}}}"
        for narrow in _NARROW
        if inches * _PIXELS > 1.1 * narrow
    )


def data_uri(figure: Figure, settings: Any) -> str:
    """Return the figure as a data: URI of an SVG that follows the reader's colour scheme."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    stream = io.StringIO()
    with mpl.rc_context(settings), warnings.catch_warnings():
        # Text stays text: the reader's font has the letters that the one measured with lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        canvas: Any = FigureCanvasSVG(figure)
        canvas.print_svg(stream, metadata={"Date": None, "Creator": None})
    text = slim(stream.getvalue(), _legible(figure.get_size_inches()[0]) + _DARK)
    return "data:image/svg+xml," + quote(text, safe=_PLAIN)
