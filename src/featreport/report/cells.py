"""The page model of tables: names, number cells and rows; every number is already text."""

from __future__ import annotations

from dataclasses import dataclass

from featreport.figures.cells import Spark

PRINTED = 600  # characters of a list of indices: a row must fit on a sheet


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
    change: str = ""  # against the baseline
    places: int | None = None  # decimals of its column, where that has a number of them


@dataclass(frozen=True)
class Tick:
    """A word under an axis, and where: in pixels from its left end, None at the ends."""

    x: int | None
    text: str


@dataclass(frozen=True)
class Bars:
    """A histogram, what its height stands for, and the words under its axis."""

    spark: Spark
    words: str
    ticks: tuple[Tick, ...]


@dataclass(frozen=True)
class Channels:
    """Some channels of some: the count is the cell, the indices are one click away."""

    cell: Cell
    share: str
    indices: str  # empty: none
    note: str = ""
    rest: str = ""  # of the note: what a sheet has no room for

    @property
    def listed(self) -> tuple[str, str]:
        """Return the indices: what is printed of them, and the rest, for which a sheet has no room."""
        if len(self.indices) <= PRINTED:
            return self.indices, ""
        at = self.indices.rfind(" ", 0, PRINTED) + 1
        return self.indices[:at], self.indices[at:]


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
    bars: Bars | None
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
    bars: Bars | None
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
    headline: bool  # whether the headline counts them
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


@dataclass(frozen=True)
class UnmeasuredRow:
    """Layers without numbers for one reason: the first few, and the rest, which is one click away."""

    first: tuple[Name, ...]
    rest: tuple[Name, ...]
    reason: str


@dataclass(frozen=True)
class LikeRow:
    """A layer of one run: how like the layer of the same name it is in another, and which it is most like.

    Numbers are places on the axes of the map, from 1.
    """

    number: str
    layer: Name
    own: str
    nearest_number: str
    nearest: Name
    value: str
