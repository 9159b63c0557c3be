"""Shares as shades: every run's rectifiers in a strip, and a model's checkpoints side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from featreport import tables
from featreport.figures import canvas
from featreport.judge.findings import rectifiers
from featreport.paper import letters, sheet
from featreport.paper.drawing import Drawing
from featreport.report import formats
from featreport.results.schema import Results, Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = TypeVar("Row")
SHADES = (
    "#f6f8fa",
    "#fdf3e0",
    "#fbe5bf",
    "#f8d390",
    "#f3b95c",
    "#e69a3a",
    "#d97a2b",
    "#b5480f",
)  # as the page
_STEPS = ("0", "<1", "<5", "<10", "<25", "<50", "<100", "100")  # what each of them stands for
_RUNS, _LAYERS = 40, 44  # rows of one sheet
_ROW, _KEY = 4.6, 7.0
_NARROWEST_STRIP, _COLUMN = 24.0, 15.0


def overview(results: Results) -> list[Drawing]:
    """Return strips of all runs, one below another: a cell for each rectifier, shaded by its dead share."""
    runs = [run for run in results.runs if rectifiers(run)]
    return [
        Drawing(
            "overview" if len(runs) <= _RUNS else f"overview-{number}",
            "Dead channels of every run",
            "Share of dead channels at each rectifier, first to last, a row for each run; the numbers count the dead "
            f"channels of all its rectifiers.{_pages(number, len(runs), _RUNS)}",
            partial(_strips, part),
        )
        for number, part in _cut(runs, _RUNS)
    ]


def checkpoints(results: Results) -> list[tuple[str, Drawing]]:
    """Return (model, drawing) of each model with several checkpoints: layers down, checkpoints across."""
    made = []
    for model, table in tables.checkpoints(results):
        for number, part in _cut(table.rows, _LAYERS):
            slug = "checkpoints" if len(table.rows) <= _LAYERS else f"checkpoints-{number}"
            grid = _Grid(tuple(column.label for column in table.columns[1:]), tuple(part))
            caption = (
                f"Share of dead channels of {formats.shorten(model)} at each rectifier (down) of each checkpoint "
                f"(across).{_pages(number, len(table.rows), _LAYERS)}"
            )
            made.append((model, Drawing(slug, "Dead channels by checkpoint", caption, grid.draw)))
    return made


def _cut(rows: Sequence[Row], most: int) -> list[tuple[int, Sequence[Row]]]:
    return [(start // most + 1, rows[start : start + most]) for start in range(0, len(rows), most)]


def _pages(number: int, rows: int, most: int) -> str:
    return "" if rows <= most else f" Part {number} of {-(-rows // most)}."


def _strips(runs: Sequence[Run], width: float) -> Figure:
    numbers = [_headline(run) for run in runs]
    right = max(letters.width(text, sheet.SIZE) for text in numbers) + 2
    left = _left([run.id for run in runs], width - right - _NARROWEST_STRIP)
    step = min(5.0, (width - left - right) / max(len(rectifiers(run)) for run in runs))
    made = sheet.Sheet(width, _ROW * len(runs) + _KEY)
    for place, (run, text) in enumerate(zip(runs, numbers, strict=True)):
        y = place * _ROW
        made.text(0, y + 3.2, letters.fit(run.id, left - 1.5, sheet.SIZE))
        shares = [tap.dead_fraction for tap in rectifiers(run)]
        for shade, colour in enumerate(SHADES):
            cells = [i for i, share in enumerate(shares) if formats.heat(share) == shade]
            edge = canvas.HAIRLINE if step > 1 else "none"
            made.boxes([(left + i * step, y + 0.4, step, _ROW - 0.8) for i in cells], colour, edge)
        made.text(width, y + 3.2, text, ha="right")
    _key(made, width, _ROW * len(runs) + 2.5)
    return made.figure


def _left(names: Sequence[str], room: float) -> float:
    """Return the width of the column of names, at most `room`."""
    return min(room, max(letters.width(letters.drawable(name), sheet.SIZE) for name in names) + 2)


def _headline(run: Run) -> str:
    taps = rectifiers(run)
    dead, channels = sum(len(tap.dead) for tap in taps), sum(tap.channels for tap in taps)
    return f"{formats.part(dead, channels)}" if channels else formats.NONE


@dataclass(frozen=True)
class _Grid:
    """Layers down, checkpoints across."""

    names: tuple[str, ...]
    rows: tuple[tuple[tables.Value, ...], ...]

    def draw(self, width: float) -> Figure:
        """Return the figure; checkpoint names stand upright where their columns are wide enough, else on end."""
        layers = [str(row[0]) for row in self.rows]
        left = _left(layers, max(0.36 * width, width - _COLUMN * len(self.names)))
        step = min(24.0, (width - left) / len(self.names))
        upright = max(letters.width(letters.drawable(name), sheet.SIZE) for name in self.names) <= step - 1
        texts = [letters.fit(name, step - 1 if upright else 24.0, sheet.SIZE) for name in self.names]
        head = 5.0 if upright else max(letters.width(text, sheet.SIZE) for text in texts) + 2.5
        made = sheet.Sheet(width, head + _ROW * len(self.rows) + _KEY)
        every = 1 if upright else -(-3.0 // step)  # on end a name is 3 mm wide
        for place, text in enumerate(texts):
            x = left + (place + 0.5) * step
            if upright:
                made.text(x, head - 1.5, text, ha="center")
            elif place % every == 0:
                made.text(x, head - 1, text, ha="center", va="bottom", rotation=90)
        self._cells(made, left, head, step)
        for place, name in enumerate(layers):
            made.text(0, head + place * _ROW + 3.2, letters.fit(name, left - 1.5, sheet.SIZE))
        _key(made, width, head + _ROW * len(self.rows) + 2.5)
        return made.figure

    def _cells(self, made: sheet.Sheet, left: float, head: float, step: float) -> None:
        cells = [
            (left + j * step, head + i * _ROW, share if isinstance(share, float | int) else None)
            for i, row in enumerate(self.rows)
            for j, share in enumerate(row[1:])
        ]
        for shade, colour in enumerate(SHADES):
            boxes = [
                (x, y, step, _ROW)
                for x, y, share in cells
                if share is not None and formats.heat(share) == shade
            ]
            made.boxes(boxes, colour, "white")
        for x, y, share in cells:
            text = formats.percent(share)
            if letters.width(text, sheet.SIZE) <= step - 0.6:
                colour = "white" if formats.heat(share) == len(SHADES) - 1 else canvas.INK
                made.text(
                    x + step / 2,
                    y + 3.2,
                    text,
                    ha="center",
                    color=colour if share is not None else canvas.MUTED,
                )


def _key(made: sheet.Sheet, width: float, y: float) -> None:
    """Say what the shades stand for."""
    label = "% dead"
    x = letters.width(label, sheet.SIZE) + 2
    made.text(0, y + 2.8, label, color=canvas.MUTED)
    step = min(14.0, (width - x) / len(SHADES))
    for colour, text in zip(SHADES, _STEPS, strict=True):
        made.boxes([(x, y, step, 3)], colour, canvas.HAIRLINE)
        dark = colour == SHADES[-1]
        made.text(x + step / 2, y + 2.5, text, ha="center", color="white" if dark else canvas.INK)
        x += step
