"""A table as a booktabs longtable, and the texts of its cells: numbers rounded as on the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from featreport import tables
from featreport.paper import latex, sentences
from featreport.paper.sentences import Sentence
from featreport.report import formats
from featreport.tables import Table, Value

NEEDS = "booktabs, longtable, array"
Row = dict[str, Value]


@dataclass(frozen=True)
class Shown:
    """One column of a LaTeX table: its head, its alignment, and the text of a row's cell, already LaTeX."""

    head: str
    align: str
    text: Callable[[Row], str]


def longtable(table: Table, shown: Sequence[Shown], caption: Sentence, label: str) -> str:
    """Return the table; its head is repeated on every page."""
    keys = [column.key for column in table.columns]
    words = sentences.tex([caption])
    head = " & ".join(column.head for column in shown) + r" \\"
    lines = [
        f"% Needs the packages {NEEDS}.",
        r"{\footnotesize\setlength{\tabcolsep}{3pt}",
        rf"\begin{{longtable}}{{@{{}}{''.join(column.align for column in shown)}@{{}}}}",
        rf"\caption{{{words}}}\label{{tab:{label}}}\\",
        r"\toprule",
        head,
        r"\midrule",
        r"\endfirsthead",
        r"\toprule",
        head,
        r"\midrule",
        r"\endhead",
        r"\bottomrule",
        r"\endlastfoot",
    ]
    for row in table.rows:
        values = dict(zip(keys, row, strict=True))
        lines.append(" & ".join(column.text(values) for column in shown) + r" \\")
    if not table.rows:
        lines.append(rf"\multicolumn{{{len(shown)}}}{{@{{}}l@{{}}}}{{None.}} \\")
    return "\n".join([*lines, r"\end{longtable}}", ""])


def moments(table: Table) -> list[Shown]:
    """Return the columns of mean, spread and extremes."""
    return [
        _moment(table, key, head)
        for key, head in (("mean", "Mean"), ("std", "Std"), ("min", "Min"), ("max", "Max"))
    ]


def _moment(table: Table, key: str, head: str) -> Shown:
    """Return a column of numbers with as many decimals as its typical value needs."""
    values = [value for value in table.column(key) if isinstance(value, float | int)]
    places = formats.decimals(values)
    return Shown(head, "r", lambda row: latex.prose(formats.fixed(_number(row[key]), places)))


def wide(millimetres: int) -> str:
    """Return the alignment of a column of words so many millimetres wide."""
    return rf">{{\raggedright\arraybackslash}}p{{{millimetres}mm}}"


def part(some: Value, whole: Value) -> str:
    """Return "2 of 48"."""
    return formats.part(some, whole) if isinstance(some, int) and isinstance(whole, int) and whole else "--"


def share(value: Value) -> str:
    """Return a share as a percentage."""
    return latex.prose(formats.percent(_number(value)))


def count(value: Value) -> str:
    """Return a count with thousands commas."""
    return latex.prose(formats.integer(value if isinstance(value, int) else None))


def shape(value: Value) -> str:
    """Return "48 × 55 × 55"."""
    return latex.prose(tables.cell_text(value).replace("x", "×")) or "scalar"


def _number(value: Value) -> float | None:
    return value if isinstance(value, float | int) else None


def name(value: Value) -> str:
    """Return a name that fits a few lines of its column; the CSV file has it in full."""
    return latex.name(formats.shorten(tables.cell_text(value), 100))
