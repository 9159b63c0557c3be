"""What figures of activations share: the bar that states their scale, hatching, thumbnails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from featreport.figures import canvas
from featreport.paper import letters, sheet, sprites
from featreport.paper.sprites import Pixels
from featreport.report import formats
from featreport.results.schema import Activation, FeatureMaps, Run

HEIGHT = 5.4  # of the line that states the scale
_HATCH = "#e67800"
_STEP = 1.3  # between two lines of a hatching


def thumbnails(run: Run, shown: FeatureMaps, pictures: Mapping[str, str]) -> list[Pixels | None]:
    """Return the pictures `[h, w, 3]` of the images that a tap shows; None for each there is none of."""
    files = run.images.files
    found = [files[index].picture if 0 <= index < len(files) else None for index in shown.images]
    return [sprites.pixels(pictures.get(key), "RGB") if key else None for key in found]


def draw(made: sheet.Sheet, shown: FeatureMaps, width: float, y: float, note: str = "") -> None:
    """Draw the bar from `low` to `high`, or say that there is no range; `note` stands at the right."""
    low, high = formats.number(shown.low), formats.number(shown.high)
    if shown.high > shown.low:
        bar(made, low, high, 0, y + 1.6)
    else:
        made.text(0, y + 4, f"nearly every value is {low}", color=canvas.MUTED)
    if note:
        made.text(width, y + 4, note, ha="right", color=canvas.MUTED)


def bar(made: sheet.Sheet, low: str, high: str, x: float, y: float) -> None:
    """Draw a thin bar from black (`low`) to white (`high`)."""
    made.text(x, y + 2.4, low)
    x += letters.width(low, sheet.SIZE) + 1.2
    made.image(np.linspace(0, 255, 64, dtype=np.uint8)[None], x, y, 24, 2.2)
    made.boxes([(x, y, 24, 2.2)], "none", canvas.HAIRLINE)
    made.text(x + 25.2, y + 2.4, high)


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


def hatched(silent: Sequence[int], tap: Activation | None, noun: str = "channel") -> str:
    """Return the sentence about what is hatched; the empty string where nothing is."""
    if not silent or tap is None:
        return ""
    over = "on this image" if tap.images == 1 else f"on all {formats.integer(tap.images)} images"
    return f"Hatched: silent {over} ({formats.plural(len(silent), noun)} shown here)."
