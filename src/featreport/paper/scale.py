"""What figures made of tiles share: the title, the bar that states their scale, hatching, strokes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from featreport.figures import canvas
from featreport.paper import letters, sheet
from featreport.report import formats

HEIGHT = 5.4  # of the line that states the scale
_LINE, _BELOW = 3.4, 1.0  # of a title
_BAR = 24.0
_HATCH = "#e67800"
_STEP = 1.3  # between two lines of a hatching


def head(title: Sequence[str]) -> float:
    """Return the height that a title of so many lines takes."""
    return _LINE * len(title) + _BELOW


def write_title(made: sheet.Sheet, title: Sequence[str]) -> None:
    """Write a title at the top of a sheet."""
    for place, line in enumerate(title):
        made.text(0, 3 + place * _LINE, line)


def write(made: sheet.Sheet, low: float, high: float, y: float, note: str = "") -> None:
    """Draw the bar from `low` to `high`, or say that there is no range; `note` stands at the right."""
    if high > low:
        black, white = formats.number(low), formats.number(high)
        x = letters.width(black) + 1.2
        made.text(0, y + 4, black)
        made.image(np.linspace(0, 255, 64, dtype=np.uint8)[None], x, y + 1.6, _BAR, 2.2)
        made.boxes([(x, y + 1.6, _BAR, 2.2)], "none", canvas.HAIRLINE)
        made.text(x + _BAR + 1.2, y + 4, white)
    else:
        made.text(0, y + 4, f"every value shown is {formats.number(low)}", color=canvas.MUTED)
    if note:
        made.text(made.width, y + 4, note, ha="right", color=canvas.MUTED)


def hatch(made: sheet.Sheet, x: float, y: float, width: float, height: float) -> None:
    """Hatch a box with rising lines that end at its edges."""
    lines = []
    reach = _STEP / 2
    while reach < width + height:
        start = (x + max(0.0, reach - height), y + min(reach, height))
        end = (x + min(reach, width), y + max(0.0, reach - width))
        lines.append([start, end])
        reach += _STEP
    made.lines(lines, _HATCH, 0.8)


def strike(made: sheet.Sheet, boxes: Sequence[tuple[float, float, float]]) -> None:
    """Strike square cells (x, y, side) through."""
    made.lines([[(x + 0.1, y + side - 0.1), (x + side - 0.1, y + 0.1)] for x, y, side in boxes], _HATCH, 0.7)
