"""The page model of tables: names, number cells and rows; every number is already text."""

from __future__ import annotations

from dataclasses import dataclass

from featreport.figures.cells import Spark


@dataclass(frozen=True)
class Name:
    """A name in full and in the pieces between which a line may break."""

    text: str
    pieces: tuple[str, ...]


@dataclass(frozen=True)
class Cell:
    """A number cell: the metric, the value in full precision, and its text."""

    metric: str
    value: str
    text: str
    heat: int = 0  # shade, 0 none … 7 all
    bar: float | None = None  # length in pixels


@dataclass(frozen=True)
class Channels:
    """Some channels of some: the count is the cell, the indices are one click away."""

    cell: Cell
    share: str
    indices: str  # empty: none
    note: str = ""


@dataclass(frozen=True)
class TapRow:
    """One row of the table of taps."""

    anchor: str
    layer: Name
    call: int
    output: str | None
    module: str
    rectifier: bool
    shape: str
    axis: str
    flagged: bool
    dead: Channels
    constant: Channels
    spark: Spark | None
    numbers: tuple[Cell, ...]  # mean, std, min, max, zero, near-zero, non-finite, fires on
    measures: tuple[Channels, ...]  # dormant three times, saturated, massive, rare
    rank: Cell

    @property
    def told(self) -> bool:
        """Whether any of these measures has something to say."""
        return any(some.cell.value not in {"", "0"} for some in self.measures) or bool(self.rank.value)


@dataclass(frozen=True)
class MeasureTable:
    """The rows whose further measures say something, and the words for those that do not."""

    rows: tuple[TapRow, ...]
    left_out: str


@dataclass(frozen=True)
class WeightRow:
    """One row of a table of parameter tensors."""

    anchor: str
    name: Name
    tied: tuple[Name, ...]
    module: str
    shape: str
    dtype: str
    flagged: bool
    dead: Channels | None
    spark: Spark | None
    numbers: tuple[Cell, ...]  # mean, std, min, max, zero, near-zero, relative near-zero, non-finite
    matrix: tuple[
        Channels, ...
    ] = ()  # spectral norm, stable rank, redundant, 2:4, and alpha where it is asked for
    untrained: Cell | None = None


@dataclass(frozen=True)
class WeightGroup:
    """Tensors of one kind."""

    title: str
    caption: str
    rows: tuple[WeightRow, ...]
    dtype: str = ""  # the one type of them all
    columns: int = 0  # how many cells tell of a matrix, in this group

    @property
    def dead(self) -> bool:
        """Whether any of them has output channels."""
        return any(row.dead is not None for row in self.rows)

    @property
    def matrices(self) -> bool:
        """Whether any of them is one."""
        return self.columns > 0

    @property
    def alpha(self) -> bool:
        """Whether the exponent of the spectrum is among them."""
        return self.columns > 4  # noqa: PLR2004 - spectral norm, stable rank, redundant, 2:4


@dataclass(frozen=True)
class NormRow:
    """One norm."""

    layer: Name
    module: str
    channels: str
    flagged: bool
    small: Channels
    numbers: tuple[Cell, ...]  # effective scale: least, median, greatest
    still: Channels
    untouched: Cell
    counter: Cell


@dataclass(frozen=True)
class BufferRow:
    """One buffer."""

    name: Name
    module: str
    shape: str
    dtype: str
    numbers: tuple[Cell, ...]
