"""Text that LaTeX sets as it is: names from checkpoints and files are data, never commands."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from featreport.report import formats

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\char34{}",
    "'": r"\char39{}",
    "`": r"\char96{}",
    "-": "-{}",  # two of them are no dash
    "[": "{[}",  # after \\ in a table, a bracket would be its argument
    "]": "{]}",
    "*": "{*}",
    "?": "?{}",  # ?` and !` are ligatures
    "!": "!{}",
    ",": ",{}",
    formats.NBSP: "~",
    formats.MINUS: "$-$",
    "–": "--",
    "—": "---",
    "…": r"\ldots{}",
    "‘": "`",
    "’": "'",
    "“": "``",
    "”": "''",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "±": r"$\pm$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≈": r"$\approx$",
    "→": r"$\rightarrow$",
    "√": r"$\surd$",
    "Σ": r"$\Sigma$",
    "σ": r"$\sigma$",
    "τ": r"$\tau$",
    "γ": r"$\gamma$",
    "λ": r"$\lambda$",
    "α": r"$\alpha$",
    "μ": r"$\mu$",
    "ε": r"$\varepsilon$",
    "²": r"$^2$",
    "₁": r"$_1$",
    "ß": r"\ss{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "œ": r"\oe{}",
    "Œ": r"\OE{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
    "ı": r"\i{}",
}
_ACCENTS = {
    "\u0300": "`",
    "\u0301": "'",
    "\u0302": "^",
    "\u0303": "~",
    "\u0308": '"',
    "\u0304": "=",
    "\u0307": ".",
    "\u030a": "r ",
    "\u030b": "H ",
    "\u030c": "v ",
    "\u0306": "u ",
    "\u0327": "c ",
}
_PAIR = 2
_ASCII = 128
_LONG_WORD = 24
_USUAL = {letter: letter for letter in "-,?!'*[]"}  # in prose they may be ligatures and dashes
_HUMPS = re.compile(r"(?<=[a-z])(?=[A-Z])")


def escape(text: str) -> str:
    """Return text for the body of a LaTeX file in ASCII; what pdfLaTeX's fonts lack stands as its code point."""
    return "".join(_letter(letter) for letter in text)


def prose(text: str) -> str:
    """Return a sentence of ours that may hold user text: punctuation keeps its ligatures, long words may break."""
    return " ".join(_word(word) for word in text.split(" "))


def _word(word: str) -> str:
    cut = formats.pieces(word) if len(word) > _LONG_WORD else (word,)
    return r"\allowbreak{}".join("".join(_USUAL.get(one) or _letter(one) for one in piece) for piece in cut)


def name(text: str) -> str:
    """Return a name in typewriter letters that may break after its dots, slashes and every 24 letters."""
    return _typewriter(formats.pieces(" ".join(text.split())))


def kind(text: str) -> str:
    """Return the name of a class in typewriter letters that may break before each of its words: Multihead|Attention."""
    return _typewriter([part for piece in formats.pieces(text) for part in _HUMPS.split(piece)])


def _typewriter(pieces: Sequence[str]) -> str:
    return r"\texttt{" + r"\allowbreak{}".join(map(escape, pieces)) + "}"


def _letter(letter: str) -> str:
    known = _SPECIAL.get(letter)
    if known is not None:
        return known
    if ord(letter) < _ASCII:
        return letter if letter.isprintable() else " " if letter.isspace() else _code(letter)
    parts = unicodedata.normalize("NFD", letter)
    if len(parts) == _PAIR and parts[0].isascii() and parts[0].isalpha() and parts[1] in _ACCENTS:
        base = {"i": r"\i", "j": r"\j"}.get(parts[0], parts[0])
        return rf"\{_ACCENTS[parts[1]]}{{{base}}}"
    return _code(letter)


def _code(letter: str) -> str:
    return rf"\texttt{{U+{ord(letter):04X}}}\allowbreak{{}}"
