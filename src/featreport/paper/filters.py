"""The first layer's filters as a sheet of tiles on mid grey, and the norms of kernels as matrices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from featreport.figures import embedded
from featreport.paper import letters, scale, sheet, sprites, values
from featreport.paper.drawing import Drawing
from featreport.paper.sprites import Pixels
from featreport.report import formats
from featreport.report.pixels import planes_of
from featreport.results.schema import KernelNorms, Kernels, Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GAP, _LARGEST = 0.6, 12.0
_CELL, _HIGHEST, _NARROWEST = 2.0, 70.0, 3.0  # of a matrix


def of_run(run: Run, pictures: Mapping[str, str]) -> tuple[list[Drawing], int]:
    """Return the drawings of a run's first filters and of the norms asked for, and how many lack their picture."""
    made = [_filters(run, run.kernels, pictures)] if run.kernels else []
    made += [_norms(run, norms, pictures) for norms in run.kernel_norms]
    drawings = [drawing for drawing in made if drawing is not None]
    return drawings, len(made) - len(drawings)


def _filters(run: Run, shown: Kernels, pictures: Mapping[str, str]) -> Drawing | None:
    tiles = embedded.kernels(shown, pictures)
    if tiles is None:
        return None
    caption = (
        f"{formats.part(shown.shown, shown.total)} filters of {formats.shorten(shown.name)} "
        f"({formats.shorten(run.id)}), numbered line by line from 0; mid grey is weight 0, the scale ±"
        f"{formats.number(shown.limit)}."
    )
    drawn = _Filters(shown.name, tiles, shown.columns, shown.limit)
    numbers = values.of_kernels(shown, tiles, planes_of(run))
    return Drawing(
        ("kernels",), shown.name, caption, drawn.draw, sprites.joined(tiles, shown.columns), numbers
    )


def _norms(run: Run, shown: KernelNorms, pictures: Mapping[str, str]) -> Drawing | None:
    matrix = embedded.pixels(pictures.get(shown.picture), "L")
    if matrix is None or list(matrix.shape) != shown.size:
        return None
    what = f"L2 norm of each {formats.shape(shown.kernel)} kernel" if shown.kernel else "|w|"
    averaged = " Averaged over areas." if [shown.outputs, shown.inputs] != shown.size else ""
    caption = (
        f"{what} of {formats.shorten(shown.name)} ({formats.shorten(run.id)}): "
        f"{formats.plural(shown.outputs, 'output')} down, {formats.plural(shown.inputs, 'input')} across, from 0 "
        f"(black) to {formats.number(shown.high)} (white).{averaged}"
    )
    drawn = _Matrix(shown.name, matrix, shown.high)
    numbers = values.of_norms(shown, matrix)
    return Drawing(("kernel-norms", shown.name), shown.name, caption, drawn.draw, matrix, numbers)


@dataclass(frozen=True, eq=False)
class _Filters:
    """The filters of one layer."""

    name: str
    tiles: Pixels
    columns: int
    limit: float

    def draw(self, width: float) -> Figure:
        """Return the figure."""
        title = letters.lines(self.name, width, 2)
        top = scale.head(title)
        wide = min(_LARGEST, (width - (self.columns - 1) * _GAP) / self.columns)
        tall = wide * min(2.0, max(0.2, self.tiles.shape[1] / self.tiles.shape[2]))
        tiling = sheet.Tiling(self.tiles.shape[1:3], wide, tall, _GAP)
        rows = [self.tiles[first : first + self.columns] for first in range(0, len(self.tiles), self.columns)]
        foot = top + len(rows) * tiling.down
        made = sheet.Sheet(width, foot + scale.HEIGHT)
        scale.write_title(made, title)
        for number, row in enumerate(rows):
            made.tiles(row[None], 0, top + number * tiling.down, tiling)
        scale.write(made, -self.limit, self.limit, foot)
        return made.figure


@dataclass(frozen=True, eq=False)
class _Matrix:
    """The norms of a weight's kernels, outputs down and inputs across."""

    name: str
    matrix: Pixels
    high: float

    def draw(self, width: float) -> Figure:
        """Return the figure."""
        title = letters.lines(self.name, width, 2)
        top = scale.head(title)
        rows, columns = self.matrix.shape
        cell = min(_CELL, width / columns, _HIGHEST / rows)
        tall, wide = max(rows * cell, _NARROWEST), max(columns * cell, _NARROWEST)
        foot = top + tall + _GAP
        made = sheet.Sheet(width, foot + scale.HEIGHT)
        scale.write_title(made, title)
        made.image(self.matrix, 0, top, wide, tall)
        scale.write(made, 0.0, self.high, foot)
        return made.figure
