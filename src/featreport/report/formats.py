"""How numbers and names are written: the only place of the page where a number becomes text.

Nothing is rounded to a lie: "0 %" and "100 %" stand for exactly none and exactly all.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

NONE = "–"
MINUS = "−"
NBSP = "\u00a0"
_UNSAFE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_BREAKS = re.compile(r"(?<=[._/\-])(?=[^._/\-])")
_FIRST_SCIENTIFIC = 1e-4
_LAST_PLAIN = 1e6
_LONGEST_PIECE = 24
_SHORT = 18  # characters that fit any column
_NARROWEST = 12  # characters that fit the narrowest column of a phone
_LONG_WORD = 36  # characters that fit the widest first column
_JOINTS = re.compile(r"[^._/:\-\s]*[._/:\-\s]+|[^._/:\-\s]+")


def clean(text: str) -> str:
    """Return `text` with what no page may hold (controls, bidi overrides, lone surrogates) as U+FFFD."""
    return text if text.isprintable() else _UNSAFE.sub("\ufffd", text)


def integer(value: int | None) -> str:
    """Return a count with thousands commas: 61,100,840."""
    return NONE if value is None else f"{value:,}".replace("-", MINUS)


def exact(value: float | int | None) -> str:
    """Return the value in full precision for `data-value`; the empty string where there is none."""
    return "" if value is None else repr(value)


def number(value: float | None, digits: int = 3) -> str:
    """Return `value` with `digits` significant digits, in plain or scientific notation."""
    if value is None:
        return NONE
    if value == 0:
        return "0"
    size = abs(value)
    if size < _FIRST_SCIENTIFIC or size >= _LAST_PLAIN:
        return _scientific(value, digits)
    places = max(0, digits - 1 - math.floor(math.log10(size)))
    return f"{value:,.{places}f}".replace("-", MINUS)


def _scientific(value: float, digits: int) -> str:
    mantissa, exponent = f"{value:.{max(0, digits - 2)}e}".split("e")
    return f"{mantissa}e{int(exponent)}".replace("-", MINUS)


def plain(value: float) -> str:
    """Return a number a person chose, as that person would write it: 0.001."""
    return f"{value:g}".replace("-", MINUS)


def decimals(values: Iterable[float | None]) -> int:
    """Return how many decimals a column needs so that its typical value shows three digits (0 to 4)."""
    sizes = sorted(abs(value) for value in values if value)
    if not sizes:
        return 0
    middle = sizes[len(sizes) // 2]
    return min(4, max(0, 2 - math.floor(math.log10(middle))))


def fixed(value: float | None, places: int) -> str:
    """Return `value` with `places` decimals; in scientific notation where that would read as zero or too long."""
    if value is None:
        return NONE
    if value == 0:
        return "0"
    text = f"{value:,.{places}f}"
    if abs(value) >= _LAST_PLAIN or not text.strip("-0.,"):
        return _scientific(value, 3)
    return text.replace("-", MINUS)


def percent(fraction: float | None) -> str:
    """Return a share as a percentage with one decimal; "0 %" and "100 %" only where they are exact."""
    if fraction is None:
        return NONE
    if fraction in {0, 1}:
        return f"{fraction * 100:.0f}{NBSP}%"
    text = tenths(fraction)
    if text == "0.0":
        return f"<{NBSP}0.1{NBSP}%"
    if text == "100.0":
        return f">{NBSP}99.9{NBSP}%"
    return f"{text}{NBSP}%"


def tenths(share: float) -> str:
    """Return a share, or a change of one, in percent with one decimal; halves go away from zero, so 51 of 80 is 63.8.

    A quotient of two counts (up to 10⁹) is rounded as those counts are, not as the float nearest to it: none but a
    half lies nearer to a half than the ninth place, and dividing and subtracting err far beyond that.
    """
    thousandths = math.floor(round(abs(share) * 1000, 9) + 0.5)
    return f"{MINUS if share < 0 and thousandths else ''}{thousandths // 10}.{thousandths % 10}"


def part(count: int, whole: int) -> str:
    """Return "2 of 48"."""
    return f"{integer(count)} of {integer(whole)}"


def plural(count: int, noun: str, many: str | None = None) -> str:
    """Return "1 run", "4 runs", "2 entries"."""
    return f"{integer(count)} {noun if count == 1 else many or noun + 's'}"


def rate_bound(images: int) -> str:
    """Return the 95 % bound on the firing rate of a channel silent on `images` images: 1 − 0.05^(1/N)."""
    bound = 100 * (1 - 0.05 ** (1 / images))
    return f"{float(f'{bound:.2g}'):g}{NBSP}%"


def ranges(indices: Sequence[int]) -> str:
    """Return sorted indices with runs of three or more collapsed: "3, 7, 12–19"."""
    spans: list[tuple[int, int]] = []
    for index in indices:
        if spans and index == spans[-1][1] + 1:
            spans[-1] = (spans[-1][0], index)
        else:
            spans.append((index, index))
    texts: list[str] = []
    for first, last in spans:
        if last - first > 1:
            texts.append(f"{first}–{last}")
        else:
            texts.extend(str(index) for index in range(first, last + 1))
    return ", ".join(texts)


def shape(sizes: Sequence[int]) -> str:
    """Return "48 × 55 × 55", or "scalar" for no axes."""
    return f"{NBSP}×{NBSP}".join(str(size) for size in sizes) if sizes else "scalar"


def size(count: int | None) -> str:
    """Return a number of bytes as kB, MB or GB of powers of ten."""
    if count is None:
        return NONE
    value = float(count)
    for unit in ("bytes", "kB", "MB"):
        if value < 1000:  # noqa: PLR2004 - the step of decimal prefixes
            return f"{value:.0f}{NBSP}{unit}" if unit == "bytes" else f"{value:.1f}{NBSP}{unit}"
        value /= 1000
    return f"{value:.1f}{NBSP}GB"


def pieces(name: str) -> tuple[str, ...]:
    """Return `name` cut where a line may break, if it is long: after dots, underscores, slashes, inside words."""
    text = clean(name)
    cut = _BREAKS.split(text) if len(text) > _SHORT or "/" in text else [text]
    return tuple(
        word[start : start + _LONGEST_PIECE]
        for word in cut
        for start in range(0, max(1, len(word)), _LONGEST_PIECE)
    )


@lru_cache(maxsize=4096)
def breaks(name: str) -> tuple[str, ...]:
    """Return `name` in as few pieces as a line on a phone needs, cut after spaces, dots, slashes and the like.

    Only a word that is wider than the widest column is cut itself.
    """
    text = clean(name)
    if len(text) <= _NARROWEST:
        return (text,)
    found: list[str] = []
    for word in _JOINTS.findall(text):
        if found and len(found[-1]) + len(word) <= _NARROWEST and found[-1][-1] != "/":
            found[-1] += word
        else:
            found.extend(word[start : start + _LONG_WORD] for start in range(0, len(word), _LONG_WORD))
    return tuple(found)


def shorten(text: str, length: int = 60) -> str:
    """Return `text` with its middle left out where it is longer than `length`."""
    text = clean(text)
    if len(text) <= length:
        return text
    head = (length - 1) // 2
    return f"{text[:head]}…{text[len(text) - (length - 1 - head) :]}"


def opening(text: str, length: int) -> str:
    """Return the beginning of `text`, up to a space, where it is longer than `length`."""
    text = clean(text)
    if len(text) <= length:
        return text
    head = text[: length - 1]
    return f"{head[: max(head.rfind(' '), length // 2)].rstrip(' ,;:')}…"


def heat(fraction: float | None) -> int:
    """Return the shade of a share, 0 (exactly none, unshaded) to 7 (exactly all)."""
    if not fraction:
        return 0
    if fraction >= 1:
        return 7
    limits = (0.01, 0.05, 0.1, 0.25, 0.5)
    return 1 + sum(fraction >= limit for limit in limits)
