"""Histograms as sheets of small panels: what a demanding reader looks at first, flagged layers before the rest."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from featreport import tables
from featreport.figures import canvas
from featreport.judge.findings import tap_name
from featreport.paper import letters, sheet
from featreport.paper.drawing import Drawing
from featreport.report import formats
from featreport.results.schema import Activation, Histogram, Run, Weight

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANELS = 16  # of one sheet
_BARS, _ZERO, _FLAG = "#6e7781", "#d55e00", "#b5480f"
_SPACE = 4.0  # between panels
_LINE, _PLOT, _BELOW = 3.3, 11.0, 6.3  # heights: of a line of words, of the bars, of what stands below them
_FIRST, _SPARE = 2.8, 0.6  # the baseline of the first line; between words and bars
_THICK = 0.8  # of the thinnest bar of zeros
_COLUMNS = {sheet.COLUMN: 2, sheet.FULL: 4}


@dataclass(frozen=True)
class _Panel:
    """One histogram with its two lines of words."""

    name: str
    words: tuple[str, ...]
    flagged: bool
    histogram: Histogram
    zeros: int  # of the values counted
    zero_share: float  # of all values


def of_activations(run: Run) -> list[Drawing]:
    """Return the sheets of a run's activations; taps with dead or constant channels or non-finite values first."""
    panels = [_tap(tap) for tap in run.activations]
    return _sheets(panels, "histograms", "Histograms of activations", "sampled values", run)


def of_weights(run: Run) -> list[Drawing]:
    """Return the sheets of a run's conv and linear weights, those with dead filters first."""
    panels = [_weight(tensor) for tensor in run.weights if tensor.kind == "weight"]
    return _sheets(panels, "weight-histograms", "Histograms of weights", "values", run)


def flagged(tap: Activation) -> bool:
    """Say whether a tap has something to find: dead or constant channels, or non-finite values."""
    return bool(tap.dead or tap.constant or tap.nonfinite)


def _tap(tap: Activation) -> _Panel:
    words = [f"{formats.part(len(tap.dead), tap.channels)} dead"] if tap.dead else []
    words += [f"{formats.integer(len(tap.constant))} constant"] if tap.constant else []
    words += [f"{formats.integer(tap.nonfinite)} non-finite"] if tap.nonfinite else []
    words += [f"{formats.percent(tap.zero_fraction)} zero"] if tap.zeros else []
    return _panel(tap_name(tap), words, tap, flag=flagged(tap))


def _weight(tensor: Weight) -> _Panel:
    words = [f"{formats.part(len(tensor.dead), tensor.channels or 0)} dead"] if tensor.dead else []
    words += [f"{formats.integer(tensor.nonfinite)} non-finite"] if tensor.nonfinite else []
    words += [f"{formats.percent(tensor.zero_fraction)} zero"] if tensor.zeros else []
    return _panel(tensor.name, words, tensor, flag=bool(tensor.dead or tensor.nonfinite))


def _panel(name: str, words: Sequence[str], row: Activation | Weight, *, flag: bool) -> _Panel:
    share = row.zeros / row.count if row.count else 0.0
    return _Panel(name, tuple(words), flag, row.histogram, tables.zeros_counted(row), share)


def _sheets(panels: Sequence[_Panel], slug: str, title: str, what: str, run: Run) -> list[Drawing]:
    order = sorted(panels, key=lambda panel: not panel.flagged)  # stable: the model's order within each part
    count = -(-len(order) // PANELS)
    caption = (
        f"{title} of {formats.shorten(run.id)}. Layers with findings first, then all others, each in the order of the "
        f"model. Grey: counts of {what} other than zero, up to the highest of each panel, between the two values "
        "written below it; “log”: one bin for each doubling of the magnitude. Orange: the share of exact zeros among "
        "all values, the panel’s height being 100 %."
    )
    return [
        Drawing(
            (slug,) if count == 1 else (slug, str(number + 1)),
            title,
            caption if count == 1 else f"{caption} Sheet {number + 1} of {count}.",
            _Sheet(tuple(order[number * PANELS : (number + 1) * PANELS])).draw,
        )
        for number in range(count)
    ]


@dataclass(frozen=True)
class _Sheet:
    """The panels of one figure."""

    panels: tuple[_Panel, ...]

    def draw(self, width: float) -> Figure:
        """Return the figure: four panels a row at full width, two in a column."""
        columns = _COLUMNS[width]
        wide = (width - (columns - 1) * _SPACE) / columns
        rows = [
            _Row(self.panels[first : first + columns], wide) for first in range(0, len(self.panels), columns)
        ]
        made = sheet.Sheet(width, sum(row.height for row in rows))
        y = 0.0
        for row in rows:
            row.draw(made, y)
            y += row.height
        return made.figure


class _Row:
    """Panels beside one another: as many lines for their names and words as the longest of them needs."""

    def __init__(self, panels: Sequence[_Panel], wide: float) -> None:
        self._panels, self._wide = panels, wide
        self._names = [letters.lines(panel.name, wide, 2) for panel in panels]
        lines = max(len(name) + bool(panel.words) for panel, name in zip(panels, self._names, strict=True))
        self._foot = lines * _LINE + _SPARE + _PLOT
        self.height = self._foot + _BELOW

    def draw(self, made: sheet.Sheet, y: float) -> None:
        for place, (panel, name) in enumerate(zip(self._panels, self._names, strict=True)):
            x = place * (self._wide + _SPACE)
            for number, line in enumerate(name):
                made.text(x, y + _FIRST + number * _LINE, line)
            if panel.words:
                colour, below = _FLAG if panel.flagged else canvas.MUTED, _FIRST + len(name) * _LINE
                made.text(x, y + below, _as_many(panel.words, self._wide), color=colour)
            _plot(made, panel, x, y + self._foot, self._wide)


def _plot(made: sheet.Sheet, panel: _Panel, x: float, foot: float, wide: float) -> None:
    """Draw the bars on the line at `foot`, and below it between which values they stand."""
    made.lines([[(x, foot), (x + wide, foot)]], canvas.HAIRLINE, 0.8)
    counts, edges = list(panel.histogram.counts), panel.histogram.edges
    if not sum(counts) or len(edges) != len(counts) + 1:
        made.text(x, foot - 2, "no finite values", color=canvas.MUTED)
        return
    slot = _slot(edges)
    if slot is not None:
        counts[slot] = max(0, counts[slot] - panel.zeros)
    if slot is not None and not any(counts):  # the edges say nothing of values that are all 0
        made.boxes([(x + wide / 2 - _THICK, foot - _PLOT, 2 * _THICK, _PLOT)], _ZERO)
        made.text(x + wide / 2, foot + 3.2, "0", color=canvas.MUTED, ha="center")
        return
    step = wide / len(counts)
    made.areas(_steps(counts, x, foot, step), _BARS)
    if slot is not None and panel.zero_share:
        height = max(0.4, panel.zero_share * _PLOT)
        thick = max(step, _THICK)
        made.boxes([(min(x + slot * step, x + wide - thick), foot - height, thick, height)], _ZERO)
    _axis(made, panel.histogram, x, foot + 3.2, wide)


def _as_many(words: Sequence[str], room: float) -> str:
    """Return as many of the words as fit beside one another, the first in any case."""
    text = words[0]
    for word in words[1:]:
        longer = f"{text}, {word}"
        text = longer if letters.width(longer) <= room else text
    return letters.fit(text, room)


def _axis(made: sheet.Sheet, histogram: Histogram, x: float, y: float, wide: float) -> None:
    low, high = formats.number(histogram.edges[0]), formats.number(histogram.edges[-1])
    made.text(x, y, low, color=canvas.MUTED)
    made.text(x + wide, y, high, color=canvas.MUTED, ha="right")
    if histogram.scale == "log":
        made.text(x + wide / 2, y, "log", color=canvas.MUTED, ha="center")


def _slot(edges: Sequence[float]) -> int | None:
    """Return the bin that holds exact zeros."""
    return min(bisect_right(edges, 0) - 1, len(edges) - 2) if edges[0] <= 0 <= edges[-1] else None


def _steps(counts: Sequence[int], x: float, foot: float, step: float) -> list[sheet.Points]:
    """Return the outline of the bars; each bar that is not empty is seen."""
    top = max(counts)
    if not top:
        return []
    outline = [(x, foot)]
    for place, count in enumerate(counts):
        level = foot - (max(0.25, count / top * _PLOT) if count else 0)
        outline += [(x + place * step, level), (x + (place + 1) * step, level)]
    return [[*outline, (x + len(counts) * step, foot)]]
