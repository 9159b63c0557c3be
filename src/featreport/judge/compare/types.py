"""What a comparison says, version 1: frozen typed values. "Before" is the baseline A, "after" the candidate B.

What has no value is `None`, never NaN. Lists keep the order of the baseline's model. `swapped` values are those of the
comparison of B with A.
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from featreport.results.schema import Frozen, Number

FORMAT: Final = "featreport/comparison"
VERSION: Final = 1
Match = Literal["name", "position"]  # position: the names differ, the place and the shape agree


class Change(Frozen):
    """One number before and after; `change` is after − before, None where either is missing."""

    metric: str
    before: int | Number | None
    after: int | Number | None
    change: int | Number | None


class Difference(Frozen):
    """Something that is not the same on both sides, in words."""

    what: str
    before: str
    after: str


class Place(Frozen):
    """One tap of a network: a layer, its call, and which of its outputs."""

    layer: str
    call: int
    output: str | None = None


class ChannelChange(Frozen):
    """Which channels changed, by index: dead after and not before, the reverse, and the same of constant ones."""

    newly_dead: list[int]
    revived: list[int]
    newly_constant: list[int] = Field(default_factory=list)
    no_longer_constant: list[int] = Field(default_factory=list)


class Shift(Frozen):
    """How far a histogram moved: the Jensen–Shannon distance, base 2, from 0 (the same) to 1 (apart)."""

    distance: Number | None
    reason: str | None = None  # why there is none


class Drift(Frozen):
    """How far a tensor moved: from both checkpoints, or estimated from sketches, with standard errors."""

    identical: bool | None  # by digest; None: not known
    distance: Number | None = None  # ‖A − B‖
    norm_before: Number | None = None  # ‖A‖, exact
    norm_after: Number | None = None
    relative: Number | None = None  # ‖A − B‖ / ‖A‖
    relative_after: Number | None = None  # ‖A − B‖ / ‖B‖
    relative_error: Number | None = None  # 0: exact
    cosine: Number | None = None  # of the whole tensor
    cosine_error: Number | None = None
    at_hand: bool = False  # taken from both checkpoints
    # the cosine of each output channel, only from both checkpoints; None in it: a filter that is all zeros on a side
    filters: list[Number | None] | None = None
    reason: str | None = None  # why there is none


class LayerChange(Frozen):
    """One tap on both sides."""

    before: Place
    after: Place
    match: Match
    modules: tuple[str, str]  # before, after; so are the next three
    shapes: tuple[list[int], list[int]]
    counts: tuple[int, int]  # of channels
    dead: tuple[int, int]  # how many
    rectifier: bool  # on both sides
    numbers: list[Change]
    channels: ChannelChange | None  # None: there are more or fewer, so that an index is not the same channel
    shift: Shift
    other: list[str]  # further fields that differ
    differs: bool


class WeightChange(Frozen):
    """One parameter tensor on both sides."""

    before: str
    after: str
    match: Match
    kinds: tuple[str, str]  # before, after; so are the next three
    shapes: tuple[list[int], list[int]]
    counts: tuple[int | None, int | None]  # of output channels
    dead: tuple[int, int]  # how many filters
    numbers: list[Change]
    filters: ChannelChange | None  # None: no output channels, or not as many
    drift: Drift
    shift: Shift
    other: list[str]
    differs: bool


class RunChange(Frozen):
    """One run on both sides."""

    before: str
    after: str
    match: Literal["id", "map", "only"]  # only: the one run of each side, whatever their ids
    status: Literal["compared", "not comparable", "failed"]  # failed: on one side at least
    obstacles: list[Difference] = Field(default_factory=list)  # why numbers may not be compared
    failures: tuple[str | None, str | None] = (None, None)
    weights_alone: bool = False  # on one side at least there is no network
    notes: list[str] = Field(default_factory=list)
    load: list[Difference] = Field(default_factory=list)  # of the load audit
    numbers: list[Change] = Field(default_factory=list)  # parameters, and the run's summary
    layers: list[LayerChange] = Field(default_factory=list)
    layers_added: list[Place] = Field(default_factory=list)
    layers_removed: list[Place] = Field(default_factory=list)
    weights: list[WeightChange] = Field(default_factory=list)
    weights_added: list[str] = Field(default_factory=list)
    weights_removed: list[str] = Field(default_factory=list)
    other: list[str] = Field(default_factory=list)  # buffers, norms and lists of the run that differ
    differs: bool = False


class Side(Frozen):
    """One of the two results."""

    name: str  # of the file
    title: str
    versions: dict[str, str]


class Comparison(Frozen):
    """The whole comparison. `verdict` is its sentence; `forced`: compared although something forbids it."""

    format: Literal["featreport/comparison"] = FORMAT
    version: Literal[1] = VERSION
    before: Side
    after: Side
    verdict: str = ""
    comparable: bool
    forced: bool
    differs: bool
    runs: list[RunChange]
    runs_added: list[str] = Field(default_factory=list)
    runs_removed: list[str] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
