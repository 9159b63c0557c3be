"""Names as a figure can set them: which characters the font has, how wide they are, how they are cut to fit."""

from __future__ import annotations

from functools import cache
from typing import Any

from featreport.report import formats

FAMILY = "DejaVu Sans"  # the one matplotlib ships, so that a figure looks the same everywhere
SIZE = 8.0  # points, of every word
MM_PER_POINT = 25.4 / 72


@cache
def _font() -> Any:
    from matplotlib.font_manager import FontProperties, findfont
    from matplotlib.ft2font import FT2Font

    # Our own: matplotlib sets the size of the ones it keeps.
    font: Any = FT2Font(findfont(FontProperties(family=FAMILY)))
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


def width(text: str, size: float = SIZE) -> float:
    """Return the width in millimetres of drawable text at `size` points."""
    return sum(_advance(letter) for letter in text) * size * MM_PER_POINT


def fit(text: str, room: float) -> str:
    """Return user text drawable in `room` millimetres, its middle left out where it is longer."""
    line = drawable(text)
    if width(line) <= room:
        return line
    least, most = 1, len(line)
    while least < most:  # the longest shortening that fits
        middle = (least + most + 1) // 2
        if width(formats.shorten(line, middle)) <= room:
            least = middle
        else:
            most = middle - 1
    return formats.shorten(line, least)


def lines(text: str, room: float, most: int = 1) -> tuple[str, ...]:
    """Return a layer's name on at most `most` lines of `room` millimetres.

    Lines end after dots and underscores, and inside a word only where it is longer than a line. Where the name is too
    long its beginning is left out: layers of a network differ at the end of their names.
    """
    whole = drawable(text)
    for start in range(len(whole)):
        found = _wrapped(f"…{whole[start:]}" if start else whole, room)
        if len(found) <= most and all(width(line) <= room for line in found):
            return found
    return ("…",)


def tail(text: str, room: float) -> str:
    """Return a layer's name on one line of `room` millimetres, its beginning left out where it is longer."""
    return lines(text, room)[0]


def _wrapped(text: str, room: float) -> tuple[str, ...]:
    found = [""]
    pieces = formats.pieces(text)
    for piece in (part for whole in pieces for part in ((whole,) if width(whole) <= room else whole)):
        if found[-1] and width(found[-1] + piece) > room:
            found.append(piece)
        else:
            found[-1] += piece
    return tuple(found)
