"""YAML 1.2 core scalars, and how values are shown in error messages."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

Loc = tuple[str | int, ...]
MAX_DIGITS = 40
_SHOWN = 60

_NULL = {"", "~", "null", "Null", "NULL"}
_TRUE = {"true", "True", "TRUE"}
_FALSE = {"false", "False", "FALSE"}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITY = re.compile(r"[-+]?\.(inf|Inf|INF)")
_NAN = {".nan", ".NaN", ".NAN"}
_AS_WRITTEN = {
    "None": "nothing",
    "True": "true",
    "False": "false",
    "inf": ".inf",
    "-inf": "-.inf",
    "nan": ".nan",
}
_PLAIN_KEY = re.compile(r"[\w-]{1,60}")


def resolve_plain(text: str) -> Any:
    """Return the value of an unquoted scalar as YAML 1.2 reads it: `no` is text, `010` is 10.

    A number of more than `MAX_DIGITS` characters stays text.
    """
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    for pattern, base, prefix in ((_INTEGER, 10, ""), (_OCTAL, 8, "0o"), (_HEX, 16, "0x")):
        if pattern.fullmatch(text) and len(text) <= MAX_DIGITS:
            return int(text.removeprefix(prefix), base)
    if _FLOAT.fullmatch(text) and len(text) <= MAX_DIGITS:
        return float(text)
    if _INFINITY.fullmatch(text) or text in _NAN:
        return float(text.replace(".", ""))
    return text


def describe(value: Any) -> str:
    """Return how an error message names a value: `'lots'`, `12`, `a list`, `nothing`."""
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, list | dict):
        return ("a " if value else "an empty ") + ("list" if isinstance(value, list) else "mapping")
    return _AS_WRITTEN.get(str(value), str(value))


def quote(text: str) -> str:
    """Return text in quotes, on one line, cut when long, with everything unprintable escaped."""
    shown = text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
    return repr(shown)


def spell(loc: Loc) -> str:
    """Return a place in the document as people write it: `models[2].checkpoints[0]`."""
    text = ""
    for part in loc:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            key = part if _PLAIN_KEY.fullmatch(part) else quote(part)
            text += f".{key}" if text else key
    return text


def nearest(word: object, known: Iterable[str]) -> str | None:
    """Return the known word that `word` was probably meant to be."""
    if not isinstance(word, str) or len(word) > _SHOWN:
        return None
    by_fold = {name.casefold(): name for name in known}
    near = get_close_matches(word.casefold(), by_fold, n=1)
    return by_fold[near[0]] if near else None


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """Return ` (did you mean 'x'?)` when a known word is near, else nothing."""
    near = nearest(word, known)
    return f" (did you mean {near!r}?)" if near else ""


def join_words(words: Iterable[str], last: str = "or") -> str:
    """Return `a, b or c`."""
    *rest, final = words
    return f"{', '.join(rest)} {last} {final}" if rest else final
