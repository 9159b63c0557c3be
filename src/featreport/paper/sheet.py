"""A figure measured in millimetres, in the style of the kit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featreport.figures import canvas
from featreport.paper.letters import FAMILY, SIZE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMN, FULL = 85.0, 175.0  # widths in millimetres
TALLEST = 225.0
DPI = 300
MM = 1 / 25.4  # in inches
_TIMES, _FEW_PIXELS = 16, 64  # enlarged no further, but for tiles of very few pixels
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


class Tiling:
    """How tiles of `shape` pixels stand beside one another: `width` × `height` mm each, about `gap` mm apart.

    Enlarged `times` they have hard edges at 300 dpi, and the gap between them is a whole number of their pixels.
    """

    def __init__(self, shape: Sequence[int], width: float, height: float, gap: float) -> None:
        self.width, self.height = width, height
        most = max(_TIMES, -(-_FEW_PIXELS // shape[1]))
        self.times = max(1, min(most, round(width * MM * DPI / shape[1])))
        pixel = width / (shape[1] * self.times)
        self.gap = max(1, int(gap / pixel)) if gap else 0
        self.across = width + self.gap * pixel  # from one tile to the next
        self.down = height + self.gap * height / (shape[0] * self.times)


class Sheet:
    """A white sheet with its origin at the top left; every length is in millimetres, every word in `SIZE` points."""

    def __init__(self, width: float, height: float) -> None:
        self.width = width
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
        self.tiles(pixels[None, None], x, y, Tiling(pixels.shape, width, height, 0.0))

    def tiles(self, tiles: NDArray[np.uint8], x: float, y: float, tiling: Tiling) -> None:
        """Place tiles [rows, columns, h, w] or [rows, columns, h, w, 3] as one picture, which draws the faster."""
        rows, columns, height, width = tiles.shape[:4]
        high, wide, gap = height * tiling.times, width * tiling.times, tiling.gap
        white = np.full((rows, high + gap, columns, wide + gap, *tiles.shape[4:]), 255, np.uint8)
        white[:, :high, :, :wide] = tiles.repeat(tiling.times, 2).repeat(tiling.times, 3).swapaxes(1, 2)
        large = white.reshape(rows * (high + gap), columns * (wide + gap), *tiles.shape[4:])
        large = large[: large.shape[0] - gap, : large.shape[1] - gap]
        rgb = np.repeat(large[..., None], 3, axis=2) if large.ndim == 2 else large  # noqa: PLR2004 - grey
        right = x + (columns - 1) * tiling.across + tiling.width
        foot = y + (rows - 1) * tiling.down + tiling.height
        self._axes.imshow(rgb, extent=(x, right, foot, y), interpolation="none", aspect="auto", zorder=1)

    def fitted(
        self,
        pixels: NDArray[np.uint8],
        x: float,
        y: float,
        width: float,
        height: float,
        *,
        centre: bool = False,
    ) -> None:
        """Place a picture at the top of a box, as large as it fits there, at its left or in its middle."""
        scale = min(width / pixels.shape[1], height / pixels.shape[0])
        wide, tall = scale * pixels.shape[1], scale * pixels.shape[0]
        self.image(pixels, x + (width - wide) / 2 if centre else x, y, wide, tall)

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
