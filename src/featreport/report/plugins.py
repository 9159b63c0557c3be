"""Sections that other distributions add to the report.

A distribution offers one by an entry point of the group `featreport.sections`: a function that takes `Results` and
returns a `Section`. The manifest names it in `report.sections`. It runs once, in the build; what it says is part of the
results, so that a page is rendered again without it. It says what is to be read; the page makes the markup.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import sys
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Literal, get_args

from pydantic import ValidationError

from featreport.results.extras import Extra, ExtraColumn, ExtraFigure, ExtraTable
from featreport.results.schema import Results
from featreport.tables import Column, Table, Value

GROUP = "featreport.sections"
Media = Literal["image/svg+xml", "image/png", "image/webp"]
__all__ = ["Column", "Figure", "Section", "Table", "Value", "make"]


@dataclass(frozen=True)
class Figure:
    """A picture with what to see, what it says in words, and the numbers behind it as CSV."""

    title: str
    caption: str
    alt: str
    content: bytes
    media: Media
    width: int  # in CSS pixels
    height: int
    csv: str = ""


@dataclass(frozen=True)
class Section:
    """What a plug-in has to say."""

    title: str
    paragraphs: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()


def make(name: str, results: Results) -> tuple[Extra, dict[str, str]]:
    """Return the section of a plug-in with its pictures, or the words that say why it is not there.

    It is given a copy of the results, and what it prints goes to standard error.
    """
    entry = next(iter(entry_points(group=GROUP, name=name)), None)
    if entry is None:
        return Extra(
            name=name, title=name, problem="The plug-in that makes this section is not installed."
        ), {}
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return _checked(name, entry, entry.load()(results.model_copy(deep=True)))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a plug-in does wrong, the report is written
        said = _first(error) if isinstance(error, ValidationError) else f"{type(error).__name__}: {error}"
        return Extra(
            name=name, title=name, made_by=_made_by(entry), problem=f"The plug-in failed: {said}"
        ), {}


def _checked(name: str, entry: EntryPoint, made: object) -> tuple[Extra, dict[str, str]]:
    if not isinstance(made, Section):
        raise TypeError(f"it returned {type(made).__name__}, expected featreport.report.plugins.Section")
    pictures: dict[str, str] = {}
    extra = Extra(
        name=name,
        title=made.title,
        made_by=_made_by(entry),
        paragraphs=list(_several(made.paragraphs)),
        figures=[_figure(figure, pictures) for figure in made.figures],
        tables=[_table(table) for table in made.tables],
    )
    return extra, pictures


def _several(words: tuple[str, ...]) -> tuple[str, ...]:
    if isinstance(words, str):
        raise TypeError("paragraphs: expected a tuple of texts, got one text")
    return words


def _figure(figure: Figure, pictures: dict[str, str]) -> ExtraFigure:
    if figure.media not in get_args(Media):
        raise ValueError(f"a figure's media: expected {', '.join(get_args(Media))}, got {figure.media!r}")
    key = hashlib.sha256(figure.content).hexdigest()[:16]
    pictures[key] = f"data:{figure.media};base64,{base64.b64encode(figure.content).decode('ascii')}"
    return ExtraFigure(
        title=figure.title,
        caption=figure.caption,
        alt=figure.alt,
        picture=key,
        width=figure.width,
        height=figure.height,
        csv=figure.csv,
    )


def _table(table: Table) -> ExtraTable:
    columns = [ExtraColumn(key=one.key, label=one.label, kind=one.kind) for one in table.columns]
    if any(len(row) != len(columns) for row in table.rows):
        raise ValueError(
            f"the table {table.title!r} has rows of another length than its {len(columns)} columns"
        )
    return ExtraTable(
        slug=table.slug, title=table.title, columns=columns, rows=[list(row) for row in table.rows]
    )


def _made_by(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else entry.value


def _first(error: ValidationError) -> str:
    found = error.errors()[0]
    return f"{'.'.join(str(part) for part in found['loc'])}: {found['msg']}"
