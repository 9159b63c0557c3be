"""Sentences with names, formulas and citations in them, as LaTeX and as Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from featreport.paper import latex
from featreport.paper.references import Reference
from featreport.report import formats


@dataclass(frozen=True)
class Name:
    """A name from the results, which is set as it is."""

    text: str


@dataclass(frozen=True)
class Formula:
    """A formula: as plain text, and as LaTeX's mathematics."""

    text: str
    tex: str


@dataclass(frozen=True)
class Cite:
    """A citation of one work or several."""

    references: tuple[Reference, ...]


# What Markdown, or Pandoc's, would read as more than a letter; the two letters that open a link after "]".
_MARKS = re.compile(r"[\\`*<$@~_^]|\](?=[(\[])")
Piece = str | Name | Formula | Cite
Sentence = tuple[Piece, ...]


def tex(sentences: Sequence[Sentence]) -> str:
    """Return a paragraph as LaTeX, a line for each sentence."""
    return "\n".join("".join(_tex(piece) for piece in sentence) for sentence in sentences)


def markdown(sentences: Sequence[Sentence]) -> str:
    """Return a paragraph as Markdown with Pandoc's citations."""
    return " ".join("".join(_markdown(piece) for piece in sentence) for sentence in sentences)


def cite(*references: Reference) -> Cite:
    """Return a citation."""
    return Cite(references)


def names(texts: Sequence[str]) -> list[Piece]:
    """Return names joined as in a sentence."""
    joined: list[Piece] = []
    for place, text in enumerate(texts):
        joined += [", " if place < len(texts) - 1 else " and "] if place else []
        joined.append(Name(text))
    return joined


def number(value: float) -> Formula:
    """Return a number that a person chose: "0.001", "1e−6"."""
    mantissa, _, exponent = f"{value:g}".partition("e")
    if not exponent:
        return Formula(mantissa, mantissa)
    times = "" if mantissa == "1" else rf"{mantissa} \times "
    return Formula(
        f"{mantissa}e{int(exponent)}".replace("-", formats.MINUS), f"{times}10^{{{int(exponent)}}}"
    )


def at_most(letter: str, limit: float) -> Formula:
    """Return "|a| ≤ 0.001", or "a = 0" where that is the limit."""
    tex = {"γ": r"\gamma"}.get(letter, letter)
    if not limit:
        return Formula(f"{letter} = 0", f"{tex} = 0")
    value = number(limit)
    return Formula(f"|{letter}| ≤ {value.text}", rf"|{tex}| \leq {value.tex}")


def _tex(piece: Piece) -> str:
    if isinstance(piece, Cite):
        return rf"~\cite{{{','.join(reference.key for reference in piece.references)}}}"
    if isinstance(piece, Formula):
        return f"${piece.tex}$"
    return latex.name(piece.text) if isinstance(piece, Name) else latex.prose(piece)


def _markdown(piece: Piece) -> str:
    if isinstance(piece, Cite):
        return f" [{'; '.join(f'@{reference.key}' for reference in piece.references)}]"
    if isinstance(piece, Formula):
        return piece.text
    return _code(piece.text) if isinstance(piece, Name) else _MARKS.sub(r"\\\g<0>", formats.clean(piece))


def _code(text: str) -> str:
    """Return a name as code, between more backticks than it holds."""
    line = " ".join(formats.clean(text).split())
    if "`" not in line:
        return f"`{line}`"
    ticks = "`" * (line.count("`") + 1)
    return f"{ticks} {line} {ticks}"
