"""Sections that other distributions add to the page.

A distribution offers one by an entry point of the group `featreport.sections`: a function that takes `Results` and
returns a `Section`. The manifest names it in `report.sections`. It says what is to be read; the page makes the markup,
and the finished text is audited like everything else.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Literal

from featreport.figures.depth import Chart
from featreport.report import formats
from featreport.report.anchors import Anchors
from featreport.report.data import csv_uri
from featreport.report.page import ChartFigure, DataLink, ExtraSection, ExtraTable
from featreport.results.schema import Results
from featreport.tables import Column, Table, Value, csv_text

GROUP = "featreport.sections"
__all__ = ["Column", "Figure", "Section", "Table", "Value"]


@dataclass(frozen=True)
class Figure:
    """A picture with what to see, what it says in words, and the numbers behind it as CSV."""

    title: str
    caption: str
    alt: str
    content: bytes
    media: Literal["image/svg+xml", "image/png", "image/webp"]
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


def extra(name: str, results: Results, anchors: Anchors) -> ExtraSection:
    """Return the section of a plug-in, or the words that say why it is not there."""
    anchor = anchors.take("section", name)
    entry = next(iter(entry_points(group=GROUP, name=name)), None)
    if entry is None:
        missing = "The plug-in that makes this section is not installed here."
        return ExtraSection(anchor, name, problem=missing)
    try:
        return _page(anchor, _section(entry.load()(results)))
    except Exception as error:  # noqa: BLE001 - whatever a plug-in does wrong, the report is written
        return ExtraSection(anchor, name, problem=f"The plug-in failed: {type(error).__name__}: {error}")


def _section(made: object) -> Section:
    if not isinstance(made, Section):
        raise TypeError(f"it returned {type(made).__name__}, expected featreport.report.plugins.Section")
    return made


def _page(anchor: str, section: Section) -> ExtraSection:
    figures = tuple(_figure(figure, f"{anchor}-{number}") for number, figure in enumerate(section.figures, 1))
    tables = tuple(_table(table, anchor) for table in section.tables)
    return ExtraSection(anchor, section.title, section.paragraphs, figures, tables)


def _figure(figure: Figure, stem: str) -> ChartFigure:
    source = f"data:{figure.media};base64,{base64.b64encode(figure.content).decode('ascii')}"
    chart = Chart(source, figure.width, figure.height, csv_uri(figure.csv) if figure.csv else "")
    return ChartFigure(chart, figure.title, figure.caption, figure.alt, f"{stem}.csv")


def _table(table: Table, anchor: str) -> ExtraTable:
    rows = tuple(
        tuple(_cell(value, column.kind) for value, column in zip(row, table.columns, strict=True))
        for row in table.rows
    )
    heads = tuple((column.label, column.kind in NUMERIC) for column in table.columns)
    link = DataLink(table.title, f"{anchor}-{table.slug}.csv", csv_uri(csv_text(table)))
    return ExtraTable(table.title, heads, rows, link)


NUMERIC = ("integer", "number", "share")


def _cell(value: Value, kind: str) -> str:
    if value is None:
        return formats.NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if kind == "share":
        return formats.percent(value)
    return formats.integer(value) if isinstance(value, int) else formats.number(value)
