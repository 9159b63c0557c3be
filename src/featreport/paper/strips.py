"""Fully connected outputs as strips: one cell per unit, dead units struck through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from featreport.figures import canvas
from featreport.paper import exhibit, letters, scale, sheet
from featreport.paper.drawing import Drawing
from featreport.paper.exhibit import Exhibit
from featreport.paper.sprites import Pixels
from featreport.report import formats
from featreport.results.schema import Activation, FeatureMaps, Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HEAD, _SPACE = 1.4, 1.2
_LARGEST = 4.0  # of a cell
_THUMB = 7.0


def of_tap(run: Run, shown: FeatureMaps, tap: Activation | None, pixels: Exhibit) -> Drawing:
    """Return the drawing of one tap's units."""
    title, units, module = exhibit.tap_title(shown), len(shown.channels), f", {tap.module}" if tap else ""
    all_units = tap is None or units == tap.channels
    which = (
        f"All {formats.plural(units, 'unit')}" if all_units else f"The first {formats.plural(units, 'unit')}"
    )
    caption = (
        f"{which} of {formats.shorten(title)} ({formats.shorten(run.id)}{module}), "
        f"{exhibit.of_images(shown, tap)}: a cell per unit, in order, line by line; {exhibit.shown_range(shown)}."
        f"{exhibit.struck('Struck through', pixels, tap, 'unit')}"
    )
    return Drawing(("units", title), title, caption, _Strips(pixels).draw, pixels.values, pixels.numbers)


@dataclass(frozen=True, eq=False)
class _Strips:
    """The units of one tap."""

    pixels: Exhibit

    def draw(self, width: float) -> Figure:
        """Return the figure: a grid of units for each image, as many images as a page holds."""
        grids, thumbs = self.pixels.tiles[:, 0], self.pixels.thumbs
        left = _THUMB + _HEAD if any(thumb is not None for thumb in thumbs) else 0.0
        all_images, rows, columns = grids.shape
        cell = min(_LARGEST, (width - left) / columns)
        high = max(rows * cell, _THUMB if left else 0.0)
        title = letters.lines(self.pixels.title, width, 2)
        top = scale.head(title)
        images = max(1, min(all_images, int((sheet.TALLEST - top - scale.HEIGHT) // (high + _SPACE))))
        foot = top + images * (high + _SPACE)
        made = sheet.Sheet(width, foot + scale.HEIGHT)
        scale.write_title(made, title)
        for grid, thumb, row in zip(grids, thumbs, range(images), strict=False):
            y = top + row * (high + _SPACE)
            if thumb is not None:
                made.fitted(thumb, 0, y, _THUMB, _THUMB)
            self._grid(made, grid, left, y, cell)
        note = f"first {formats.part(images, all_images)} images" if images < all_images else ""
        scale.write(made, self.pixels.low, self.pixels.high, foot, note)
        return made.figure

    def _grid(self, made: sheet.Sheet, grid: Pixels, left: float, y: float, cell: float) -> None:
        """Draw the units of one image; the cells after the last unit stay white."""
        rows, columns = grid.shape
        full, last = divmod(len(self.pixels.channels), columns)
        made.image(grid, left, y, columns * cell, rows * cell)
        right, base, end = left + columns * cell, y + full * cell, left + last * cell
        if last:
            made.boxes([(end, base, right - end, cell)], "white")
        places = [divmod(place, columns) for place in self.pixels.silent]
        scale.strike(made, [(left + column * cell, y + row * cell, cell) for row, column in places])
        below = [(end, base), (end, base + cell), (left, base + cell)] if last else [(left, base)]
        above = [(left, y), (right, y), (right, base)] if full else [(left, y), (end, y)]
        made.areas([[*above, *below]], "none", canvas.HAIRLINE)
