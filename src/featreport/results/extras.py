"""Sections of plug-ins as results: what they had to say when the report was built (part of `schema`)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr

from featreport.results.frozen import Frozen

Words = Annotated[StrictStr, Field(min_length=1, max_length=100_000)]
Pixels = Annotated[StrictInt, Field(ge=1, le=10_000)]


class ExtraFigure(Frozen):
    """A picture, its words and the numbers behind it."""

    title: Words
    caption: StrictStr
    alt: Words
    picture: str  # key in `Results.pictures`
    width: Pixels  # CSS pixels
    height: Pixels
    csv: StrictStr = ""


class ExtraColumn(Frozen):
    """A column of a table."""

    key: Words
    label: StrictStr
    kind: Literal["text", "integer", "number", "share", "flag", "indices"]


class ExtraTable(Frozen):
    """A plain table: raw values under typed columns."""

    slug: Words
    title: Words
    columns: Annotated[list[ExtraColumn], Field(min_length=1)]
    rows: list[list[StrictBool | StrictInt | StrictFloat | StrictStr | None]]


class Extra(Frozen):
    """A section of a plug-in, or why it is not there."""

    name: str
    title: Words
    made_by: str = ""  # distribution and version
    paragraphs: list[StrictStr] = Field(default_factory=list)
    figures: list[ExtraFigure] = Field(default_factory=list)
    tables: list[ExtraTable] = Field(default_factory=list)
    problem: str = ""
