"""Sections of plug-ins on the page."""

from __future__ import annotations

from collections.abc import Mapping

from featreport.figures.depth import Chart
from featreport.report import formats
from featreport.report.anchors import Anchors
from featreport.report.cells import Cell
from featreport.report.data import csv_uri
from featreport.report.drawn import DataLink
from featreport.report.page import ChartFigure, ExtraSection, ExtraTable
from featreport.results.extras import Extra, ExtraFigure
from featreport.results.extras import ExtraTable as Told
from featreport.results.schema import Results
from featreport.tables import Column, Table, Value, csv_text

NUMERIC = ("integer", "number", "share")


def extra(name: str, results: Results, anchors: Anchors) -> ExtraSection:
    """Return the section of a plug-in as the results hold it, or the words that say why it is not there."""
    anchor = anchors.take("section", name)
    found = next((one for one in results.extras if one.name == name), None)
    if found is None:
        return ExtraSection(anchor, name, problem="These results hold no section of that plug-in.")
    return _section(anchor, found, results.pictures)


def _section(anchor: str, found: Extra, pictures: Mapping[str, str]) -> ExtraSection:
    figures = tuple(
        _figure(figure, f"{anchor}-{number}", pictures)
        for number, figure in enumerate(found.figures, 1)
        if figure.picture in pictures
    )
    tables = tuple(_table(table, anchor) for table in found.tables)
    return ExtraSection(anchor, found.title, tuple(found.paragraphs), figures, tables, found.problem)


def _figure(figure: ExtraFigure, stem: str, pictures: Mapping[str, str]) -> ChartFigure:
    csv = csv_uri(figure.csv) if figure.csv else ""
    chart = Chart(pictures[figure.picture], figure.width, figure.height, csv)
    return ChartFigure(chart, figure.title, figure.caption, figure.alt, f"{stem}.csv", figure.picture)


def _table(told: Told, anchor: str) -> ExtraTable:
    columns = tuple(Column(one.key, one.label, one.kind) for one in told.columns)
    table = Table(told.slug, told.title, columns, tuple(tuple(row) for row in told.rows))
    rows = tuple(
        tuple(_cell(value, column.kind) for value, column in zip(row, columns, strict=True))
        for row in table.rows
    )
    heads = tuple((column.label, column.kind in NUMERIC) for column in columns)
    link = DataLink(told.title, f"{anchor}-{told.slug}.csv", csv_uri(csv_text(table)))
    return ExtraTable(told.title, heads, rows, link)


def _cell(value: Value, kind: str) -> Cell:
    exact = "" if value is None or isinstance(value, (str, bool)) else repr(value)
    if value is None:
        text = formats.NONE
    elif isinstance(value, bool):
        text = "yes" if value else "no"
    elif isinstance(value, str):
        text = value
    elif kind == "share":
        text = formats.percent(value)
    else:
        text = formats.integer(value) if isinstance(value, int) else formats.number(value)
    return Cell("", exact, text)
