"""Fully connected outputs as strips: one cell per unit, dead units struck through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from featreport.figures import canvas
from featreport.paper import letters, scale, sheet, sprites
from featreport.paper.drawing import Drawing
from featreport.paper.sprites import Pixels
from featreport.report import formats
from featreport.results.schema import Activation, FeatureMaps, Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TITLE, _HEAD, _SPACE = 4.4, 1.4, 1.2
_LARGEST = 4.0  # of a cell
_THUMB = 7.0


def of_tap(run: Run, shown: FeatureMaps, tap: Activation | None, pictures: Mapping[str, str]) -> Drawing:
    """Return the drawing of one tap's units."""
    title = shown.layer if shown.output is None else f"{shown.layer} [{shown.output}]"
    title += f" (call {shown.call})" if shown.call else ""
    module = f", {tap.module}" if tap else ""
    units = len(shown.channels)
    silent = tuple(place for place, channel in enumerate(shown.channels) if tap and channel in set(tap.dead))
    caption = (
        f"All {formats.plural(units, 'unit')} of {formats.shorten(title)} ({formats.shorten(run.id)}{module}) for "
        f"{formats.plural(len(shown.images), 'image')}: a cell per unit, in order, line by line, from "
        f"{formats.number(shown.low)} (black) to {formats.number(shown.high)} (white). "
        f"{scale.hatched(silent, tap, 'unit').replace('Hatched', 'Struck through')}"
    ).rstrip()
    drawn = _Strips(run, shown, tuple(silent), title + module, pictures)
    return Drawing("units", title, caption, drawn.draw, drawn.values)


@dataclass(frozen=True)
class _Strips:
    """The units of one tap."""

    run: Run
    shown: FeatureMaps
    silent: tuple[int, ...]  # places, not numbers
    title: str
    pictures: Mapping[str, str]

    def values(self) -> Pixels | None:
        """Return the grey levels of all tiles, a row per image."""
        cut = sprites.tiles(self.shown, self.pictures)
        return None if cut is None else sprites.joined(cut)

    def draw(self, width: float) -> Figure:
        """Return the figure: a grid of units for each image, as many images as a page holds."""
        grids = sprites.tiles(self.shown, self.pictures)
        thumbs = scale.thumbnails(self.run, self.shown, self.pictures)
        left = _THUMB + _HEAD if any(thumb is not None for thumb in thumbs) else 0.0
        rows, columns = self.shown.tile
        cell = min(_LARGEST, (width - left) / columns)
        high = max(rows * cell, _THUMB if left else 0.0)
        room = sheet.TALLEST - _TITLE - scale.HEIGHT
        images = max(1, min(len(self.shown.images), int(room // (high + _SPACE))))
        foot = _TITLE + images * (high + _SPACE)
        made = sheet.Sheet(width, foot + scale.HEIGHT)
        made.text(0, 3, letters.fit(self.title, width, sheet.SIZE))
        if grids is None:
            made.text(0, _TITLE + 4, "the picture is not in this report", color=canvas.MUTED)
        for row in range(images if grids is not None else 0):
            y = _TITLE + row * (high + _SPACE)
            thumb = thumbs[row]
            if thumb is not None:
                long = max(thumb.shape[:2])
                size = (_THUMB * thumb.shape[1] / long, _THUMB * thumb.shape[0] / long)
                made.image(thumb, 0, y, *size)
            if grids is not None:
                self._grid(made, grids[row, 0], left, y, cell)
        left_out = len(self.shown.images) - images
        note = f"first {formats.part(images, len(self.shown.images))} images" if left_out else ""
        scale.draw(made, self.shown, width, foot, note)
        return made.figure

    def _grid(self, made: sheet.Sheet, grid: Pixels, left: float, y: float, cell: float) -> None:
        """Draw the units of one image; the cells after the last unit stay white."""
        rows, columns = grid.shape
        units = len(self.shown.channels)
        made.image(grid, left, y, columns * cell, rows * cell)
        last = units % columns
        if last:
            made.boxes([(left + last * cell, y + (rows - 1) * cell, (columns - last) * cell, cell)], "white")
        places = [divmod(place, columns) for place in self.silent]
        scale.strike(made, [(left + column * cell, y + row * cell, cell) for row, column in places])
        full = units // columns * cell
        made.boxes([(left, y, columns * cell, full)] if full else [], "none", canvas.HAIRLINE)
