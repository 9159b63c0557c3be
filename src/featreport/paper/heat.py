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
SHADES = (  # as the page
    "#f6f8fa",
    "#fdf3e0",
    "#fbe5bf",
    "#f8d390",
    "#f3b95c",
    "#e69a3a",
    "#d97a2b",
    "#b5480f",
)
_STEPS = ("0", "<1", "<5", "<10", "<25", "<50", "<100", "100")  # what each of them stands for
_RUNS, _LAYERS = 40, 44  # rows of one sheet
_ROW, _KEY = 4.6, 7.0
_NARROWEST_STRIP, _COLUMN = 24.0, 15.0


def overview(results: Results) -> list[Drawing]:
    """Return strips of all runs, one below another: a cell for each rectifier, shaded by its dead share."""
    runs = [run for run in results.runs if rectifiers(run)]
    made = []
    for part, words in _parts(runs, _RUNS):
        strips = tuple(_strip(run) for run in part)
        caption = (
            "Share of dead channels at each rectifier, first to last, a row for each run; the numbers count the dead "
            f"channels of all its rectifiers.{_which(words)}"
        )
        made.append(
            Drawing(("overview", *words[:1]), "Dead channels of every run", caption, partial(_strips, strips))
        )
    return made


def checkpoints(compared: tables.Compared) -> list[Drawing]:
    """Return the sheets of a model's checkpoints: layers down, checkpoints across."""
    table, made = compared.table, []
    names = tuple(column.label for column in table.columns[1:])
    for part, words in _parts(table.rows, _LAYERS):
        what = f"{compared.what} of {formats.shorten(compared.model)}"
        caption = f"{what}: layers down, checkpoints across.{_which(words)}"
        grid = _Grid(names, tuple(part), compared.unit)
        made.append(Drawing(words[:1], table.title, caption, grid.draw))
    return made


def _parts(rows: Sequence[Row], most: int) -> list[tuple[Sequence[Row], tuple[str, ...]]]:
    """Return the rows of each sheet, and its number and how many there are; nothing for a single one."""
    starts = range(0, len(rows), most)
    return [
        (rows[start : start + most], (str(number), str(len(starts))) if len(starts) > 1 else ())
        for number, start in enumerate(starts, start=1)
    ]


def _which(words: tuple[str, ...]) -> str:
    return f" Part {' of '.join(words)}." if words else ""


@dataclass(frozen=True)
class _Strip:
    """One run: its name, the dead share of each of its rectifiers, and how many channels that is."""

    name: str
    shares: tuple[float | None, ...]
    headline: str


def _strip(run: Run) -> _Strip:
    taps = rectifiers(run)
    dead, channels = sum(len(tap.dead) for tap in taps), sum(tap.channels for tap in taps)
    headline = formats.part(dead, channels) if channels else formats.NONE
    return _Strip(run.id, tuple(tap.dead_fraction for tap in taps), headline)


def _strips(strips: Sequence[_Strip], width: float) -> Figure:
    right = max(letters.width(strip.headline) for strip in strips) + 2
    left = _left([strip.name for strip in strips], width - right - _NARROWEST_STRIP)
    step = min(5.0, (width - left - right) / max(len(strip.shares) for strip in strips))
    made = sheet.Sheet(width, _ROW * len(strips) + _KEY)
    for place, strip in enumerate(strips):
        y, high = place * _ROW, _ROW - 0.8
        made.text(0, y + 3.2, letters.fit(strip.name, left - 1.5))
        for shade, colour in enumerate(SHADES):
            cells = [i for i, share in enumerate(strip.shares) if formats.heat(share) == shade]
            edge = canvas.HAIRLINE if step > 1 else "none"
            made.boxes([(left + i * step, y + 0.4, step, high) for i in cells], colour, edge)
        made.boxes([(left, y + 0.4, step * len(strip.shares), high)], "none", canvas.HAIRLINE)
        made.text(width, y + 3.2, strip.headline, ha="right")
    _key(made, width, _ROW * len(strips) + 2.5, "dead")
    return made.figure


def _left(names: Sequence[str], room: float) -> float:
    """Return the width of the column of names, at most `room`."""
    return min(room, max(letters.width(letters.drawable(name)) for name in names) + 2)


@dataclass(frozen=True)
class _Grid:
    """Layers down, checkpoints across."""

    names: tuple[str, ...]
    rows: tuple[tuple[tables.Value, ...], ...]
    unit: str  # what the shares are of

    def draw(self, width: float) -> Figure:
        """Return the figure; checkpoint names stand upright where their columns are wide enough, else on end."""
        layers = [str(row[0]) for row in self.rows]
        left = _left(layers, max(0.36 * width, width - _COLUMN * len(self.names)))
        step = min(24.0, (width - left) / len(self.names))
        upright = max(letters.width(letters.drawable(name)) for name in self.names) <= step - 1
        texts = [letters.fit(name, step - 1 if upright else 24.0) for name in self.names]
        head = 5.0 if upright else max(letters.width(text) for text in texts) + 2.5
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
            made.text(0, head + place * _ROW + 3.2, letters.tail(name, left - 1.5))
        _key(made, width, head + _ROW * len(self.rows) + 2.5, self.unit)
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
            if letters.width(text) <= step - 0.6:
                colour = "white" if formats.heat(share) == len(SHADES) - 1 else canvas.INK
                made.text(
                    x + step / 2,
                    y + 3.2,
                    text,
                    ha="center",
                    color=colour if share is not None else canvas.MUTED,
                )


def _key(made: sheet.Sheet, width: float, y: float, unit: str) -> None:
    """Say what the shades stand for."""
    label = f"% {unit}"
    x = letters.width(label) + 2
    made.text(0, y + 2.5, label, color=canvas.MUTED)
    step = min(14.0, (width - x) / len(SHADES))
    for colour, text in zip(SHADES, _STEPS, strict=True):
        made.boxes([(x, y, step, 3)], colour, canvas.HAIRLINE)
        dark = colour == SHADES[-1]
        made.text(x + step / 2, y + 2.5, text, ha="center", color="white" if dark else canvas.INK)
        x += step
