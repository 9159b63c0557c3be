"""Sentences with names and citations in them, as LaTeX and as Markdown."""

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
class Cite:
    """A citation."""

    reference: Reference


_MARKS = re.compile(r"[\\`*<]")  # what Markdown would read as more than a letter
Piece = str | Name | Cite
Sentence = tuple[Piece, ...]


def tex(sentences: Sequence[Sentence]) -> str:
    """Return a paragraph as LaTeX."""
    return " ".join("".join(_tex(piece) for piece in sentence) for sentence in sentences)


def markdown(sentences: Sequence[Sentence]) -> str:
    """Return a paragraph as Markdown with Pandoc's citations."""
    return " ".join("".join(_markdown(piece) for piece in sentence) for sentence in sentences)


def names(texts: Sequence[str]) -> list[Piece]:
    """Return names joined as in a sentence."""
    joined: list[Piece] = []
    for place, text in enumerate(texts):
        joined += [", " if place < len(texts) - 1 else " and "] if place else []
        joined.append(Name(text))
    return joined


def _tex(piece: Piece) -> str:
    if isinstance(piece, Cite):
        return rf"~\cite{{{piece.reference.key}}}"
    return latex.name(piece.text) if isinstance(piece, Name) else latex.prose(piece)


def _markdown(piece: Piece) -> str:
    if isinstance(piece, Cite):
        return f" [@{piece.reference.key}]"
    return _code(piece.text) if isinstance(piece, Name) else _MARKS.sub(r"\\\g<0>", formats.clean(piece))


def _code(text: str) -> str:
    """Return a name as code, between more backticks than it holds."""
    line = " ".join(formats.clean(text).split())
    if "`" not in line:
        return f"`{line}`"
    ticks = "`" * (line.count("`") + 1)
    return f"{ticks} {line} {ticks}"
