"""A figure measured in millimetres, and its bytes as PDF, SVG and PNG: the same for the same content."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featreport.figures import canvas
from featreport.paper.letters import FAMILY

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMN, FULL = 85.0, 175.0  # widths in millimetres
TALLEST = 225.0
DPI = 300
SIZE = 8.0  # points, of every word
MM = 1 / 25.4  # in inches
Points = Sequence[tuple[float, float]]
_STYLE: dict[str, Any] = {
    **canvas.STYLES,
    "font.size": SIZE,
    "font.sans-serif": [FAMILY, "Verdana", "Arial"],  # an SVG viewer without the first takes one of its width
    "axes.titlesize": SIZE,
    "axes.labelsize": SIZE,
    "xtick.labelsize": SIZE,
    "ytick.labelsize": SIZE,
    "grid.linewidth": 0.5,
    "pdf.fonttype": 42,  # TrueType: text stays text, and journals take it
    "pdf.compression": 6,
    "figure.facecolor": "white",
    "savefig.dpi": DPI,
}


@contextmanager
def style(salt: str) -> Iterator[None]:
    """Let matplotlib draw in the kit's style alone, whatever the reader's own settings; `salt` names an SVG's ids."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        settings: Any = {**_STYLE, "svg.hashsalt": salt}
        mpl.rcParams.update(settings)
        yield


def blank(width: float, height: float) -> Figure:
    """Return an empty white figure of `width` × `height` millimetres."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width * MM, height * MM), dpi=72)


class Sheet:
    """A white sheet with its origin at the top left; every length is in millimetres, every word in `SIZE` points."""

    def __init__(self, width: float, height: float) -> None:
        self.figure = blank(width, height)
        self._axes = self.figure.add_axes((0, 0, 1, 1))
        self._axes.set_xlim(0, width)
        self._axes.set_ylim(height, 0)
        self._axes.set_autoscale_on(False)
        self._axes.set_axis_off()

    def text(self, x: float, y: float, text: str, **how: Any) -> None:
        """Write drawable text with its baseline (or `va`) at a place, never read as mathematics."""
        defaults = {"color": canvas.INK, "fontsize": SIZE, "va": "baseline"}
        self._axes.text(x, y, text, parse_math=False, **{**defaults, **how})

    def areas(self, outlines: Sequence[Points], colour: str, edge: str = "none", thick: float = 0.4) -> None:
        """Fill closed outlines, all in one path; `thick` in points."""
        self._draw(outlines, closed=True, facecolor=colour, edgecolor=edge, linewidth=thick)

    def boxes(
        self, boxes: Sequence[tuple[float, float, float, float]], colour: str, edge: str = "none"
    ) -> None:
        """Fill boxes (x, y, width, height)."""
        self.areas([[(x, y), (x + w, y), (x + w, y + h), (x, y + h)] for x, y, w, h in boxes], colour, edge)

    def lines(self, lines: Sequence[Points], colour: str, thick: float = 0.5) -> None:
        """Draw open lines, all in one path; `thick` in points."""
        self._draw(lines, closed=False, facecolor="none", edgecolor=colour, linewidth=thick)

    def image(self, pixels: NDArray[np.uint8], x: float, y: float, width: float, height: float) -> None:
        """Place a grey [h, w] or RGB [h, w, 3] picture with hard pixels, enlarged so that no viewer smooths it."""
        rgb = np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels  # noqa: PLR2004 - grey
        times = max(1, min(16, round(width * MM * DPI / max(1, rgb.shape[1]))))
        large = rgb.repeat(times, axis=0).repeat(times, axis=1)
        extent = (x, x + width, y + height, y)
        self._axes.imshow(large, extent=extent, interpolation="none", aspect="auto", zorder=1)

    def _draw(self, shapes: Sequence[Points], *, closed: bool, **how: Any) -> None:
        from matplotlib.patches import PathPatch
        from matplotlib.path import Path

        corners: list[tuple[float, float]] = []
        codes: list[Any] = []
        for shape in shapes:
            corners += [*shape, shape[0]] if closed else shape
            codes += [Path.MOVETO] + [Path.LINETO] * (len(shape) - 1) + ([Path.CLOSEPOLY] if closed else [])
        if corners:
            self._axes.add_patch(PathPatch(Path(corners, codes), zorder=2, **how))


def pdf(figure: Figure, title: str) -> bytes:
    """Return the figure as a PDF of one page, text as TrueType text, without dates."""
    from matplotlib.backends.backend_pdf import FigureCanvasPdf

    stream = io.BytesIO()
    made = {"Title": title, "Creator": "featreport", "Producer": None, "CreationDate": None}
    paper: Any = FigureCanvasPdf(figure)
    paper.print_pdf(stream, metadata=made)
    return stream.getvalue()


def svg(figure: Figure) -> bytes:
    """Return the figure as an SVG, text as text, without dates."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    stream = io.StringIO()
    paper: Any = FigureCanvasSVG(figure)
    paper.print_svg(stream, metadata={"Date": None, "Creator": None})
    return stream.getvalue().encode("utf-8")


def png(figure: Figure) -> bytes:
    """Return the figure as an RGB PNG of 300 dots per inch that says so."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    before = figure.dpi
    figure.set_dpi(DPI)
    paper: Any = FigureCanvasAgg(figure)
    paper.draw()
    pixels = np.asarray(paper.buffer_rgba())[..., :3]
    figure.set_dpi(before)
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, "PNG", dpi=(DPI, DPI))
    return stream.getvalue()


FORMATS = ("pdf", "svg", "png")


def files(figure: Figure, title: str) -> dict[str, bytes]:
    """Return the figure's bytes by file suffix."""
    return {"pdf": pdf(figure, title), "svg": svg(figure), "png": png(figure)}
