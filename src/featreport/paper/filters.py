"""The first layer's filters as a sheet of tiles on mid grey."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from featreport.figures import canvas
from featreport.paper import letters, scale, sheet, sprites
from featreport.paper.drawing import Drawing
from featreport.paper.sprites import Pixels
from featreport.report import formats
from featreport.results.schema import Kernels, Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TITLE, _GAP, _LARGEST = 4.4, 0.6, 12.0


def of_run(run: Run, pictures: Mapping[str, str]) -> list[Drawing]:
    """Return the drawing of a run's first-layer filters, where there is a picture of them."""
    shown = run.kernels
    if shown is None or shown.picture not in pictures or min(*shown.tile, shown.columns, shown.shown) < 1:
        return []
    caption = (
        f"{formats.part(shown.shown, shown.total)} filters of {formats.shorten(shown.name)} "
        f"({formats.shorten(run.id)}), numbered line by line from 0; mid grey is weight 0, the scale ±"
        f"{formats.number(shown.limit)}."
    )
    drawn = _Filters(shown, pictures)
    return [Drawing("kernels", shown.name, caption, drawn.draw, drawn.values)]


@dataclass(frozen=True)
class _Filters:
    """The filters of one layer."""

    shown: Kernels
    pictures: Mapping[str, str]

    def values(self) -> Pixels | None:
        """Return the filters' levels, in the columns of the figure; what is left of the last row is black."""
        cut = sprites.kernels(self.shown, self.pictures)
        return None if cut is None else sprites.joined(cut, self.shown.columns)

    def draw(self, width: float) -> Figure:
        """Return the figure."""
        shown = self.shown
        tiles = sprites.kernels(shown, self.pictures)
        wide = min(_LARGEST, (width - (shown.columns - 1) * _GAP) / shown.columns)
        tall = wide * min(2.0, max(0.2, shown.tile[0] / shown.tile[1]))
        rows = -(-shown.shown // shown.columns)
        foot = _TITLE + rows * (tall + _GAP)
        made = sheet.Sheet(width, foot + scale.HEIGHT)
        made.text(0, 3, letters.fit(shown.name, width, sheet.SIZE))
        if tiles is None:
            made.text(0, _TITLE + 4, "the picture is not in this report", color=canvas.MUTED)
        for place, tile in enumerate(tiles if tiles is not None else []):
            row, column = divmod(place, shown.columns)
            made.image(tile, column * (wide + _GAP), _TITLE + row * (tall + _GAP), wide, tall)
        scale.bar(made, formats.number(-shown.limit), formats.number(shown.limit), 0, foot + 1.6)
        return made.figure
