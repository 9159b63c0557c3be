"""Names as a figure can set them: which characters the font has, how wide they are, how they are cut to fit."""

from __future__ import annotations

from functools import cache
from typing import Any

from featreport.report import formats

FAMILY = "DejaVu Sans"  # the one matplotlib ships, so that a figure looks the same everywhere
MM_PER_POINT = 25.4 / 72


@cache
def _font() -> Any:
    from matplotlib.font_manager import FontProperties, findfont
    from matplotlib.ft2font import FT2Font

    font: Any = FT2Font(
        findfont(FontProperties(family=FAMILY))
    )  # our own: matplotlib sets the size of the ones it keeps
    font.set_size(100, 72)
    return font


@cache
def _known() -> frozenset[int]:
    return frozenset(_font().get_charmap())


def drawable(text: str) -> str:
    """Return user text on one line, each character the font lacks as its code point: "U+6F22"."""
    line = " ".join(formats.clean(text).split())
    return "".join(letter if ord(letter) in _known() else f"U+{ord(letter):04X}" for letter in line)


@cache
def _advance(letter: str) -> float:
    """Return the width of one character at 1 point, in points."""
    from matplotlib.ft2font import LoadFlags

    return float(_font().load_char(ord(letter), flags=LoadFlags.NO_HINTING).linearHoriAdvance) / 65536 / 100


def width(text: str, size: float) -> float:
    """Return the width in millimetres of drawable text at `size` points."""
    return sum(_advance(letter) for letter in text) * size * MM_PER_POINT


def fit(text: str, room: float, size: float) -> str:
    """Return user text drawable in `room` millimetres, its middle left out where it is longer."""
    line = drawable(text)
    if width(line, size) <= room:
        return line
    least, most = 1, len(line)
    while least < most:  # the longest shortening that fits
        middle = (least + most + 1) // 2
        if width(formats.shorten(line, middle), size) <= room:
            least = middle
        else:
            most = middle - 1
    return formats.shorten(line, least)
