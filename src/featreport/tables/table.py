"""A plain table: typed columns, raw values in full precision, and its text as CSV."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

Value = str | int | float | bool | None
Kind = Literal["text", "integer", "number", "share", "flag", "indices"]
Item = TypeVar("Item")
Part = TypeVar("Part")
_BOTH = "\r\n"
_LONE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Column:
    """What a column holds: its key in a CSV file's head, its label for people, the kind of its values.

    "indices" are channel numbers from 0, as text with spaces between them; "share" is a fraction from 0 to 1.
    """

    key: str
    label: str
    kind: Kind


@dataclass(frozen=True)
class Table:
    """Rows of raw values under typed columns; None: no value. `slug` names its file."""

    slug: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]

    def column(self, key: str) -> tuple[Value, ...]:
        """Return the values of one column, top to bottom.

        Raises:
            KeyError: there is no such column.
        """
        places = {column.key: place for place, column in enumerate(self.columns)}
        return tuple(row[places[key]] for row in self.rows)


@dataclass(frozen=True)
class Field(Generic[Item]):
    """A column together with how its value is read from what a row stands for."""

    key: str
    label: str
    kind: Kind
    read: Callable[[Item], Value]


def within(field: Field[Part], part: Callable[[Item], Part]) -> Field[Item]:
    """Return the same column for rows that stand for something of which `part` is what `field` reads."""
    return Field(field.key, field.label, field.kind, lambda item: field.read(part(item)))


def tabulate(slug: str, title: str, fields: Sequence[Field[Item]], items: Iterable[Item]) -> Table:
    """Return the table with a row for each of `items`, in their order, and a column for each of `fields`."""
    columns = tuple(Column(field.key, field.label, field.kind) for field in fields)
    return Table(slug, title, columns, tuple(tuple(field.read(item) for field in fields) for item in items))


def csv_text(table: Table, digits: int | None = None) -> str:
    r"""Return the table as CSV (RFC 4180 quoting, "\n" line ends), a head line of column keys, then the rows.

    Numbers are written in full precision, or with `digits` significant digits, None as nothing, flags as true and
    false. Names are not altered: one that begins with "=" is data here, and a spreadsheet asked to take columns as text
    leaves it alone. Only a lone surrogate, which no UTF-8 file can hold, becomes U+FFFD.
    """
    lines = _Lines()
    writer = csv.writer(lines, lineterminator=_BOTH)
    writer.writerow([column.key for column in table.columns])
    writer.writerows([cell_text(value, digits) for value in row] for row in table.rows)
    return "".join(lines)


class _Lines(list[str]):
    """Takes one line at a time. Only a writer that ends lines with both quotes a carriage return as well as a feed."""

    def write(self, line: str) -> None:
        self.append(line.removesuffix(_BOTH) + "\n")


def cell_text(value: Value, digits: int | None = None) -> str:
    """Return a value as it stands in a CSV file."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and digits is not None:
        return f"{value:.{digits}g}"
    return _LONE.sub("\ufffd", value) if isinstance(value, str) else repr(value)


def indices(found: Sequence[int] | None) -> str | None:
    """Return channel numbers as the text of a cell: "3 7 12"; None where there is no answer."""
    return None if found is None else " ".join(map(str, found))


def length(found: Sequence[object] | None) -> int | None:
    """Return how many there are; None where there is no answer."""
    return None if found is None else len(found)
