"""What was measured of activations (part of `schema`)."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ConfigDict, Field

from featreport.results.frozen import Frozen, Histogram, Number


class Death(Frozen):
    """Why one channel is dead; `at` names the module whose numbers show it, `proved` says: for every input."""

    channel: int
    cause: str
    proved: bool
    at: str | None = None


class RareChannel(Frozen):
    """A channel that fires on few images, and the number of the image on which it is loudest."""

    channel: int
    images: int
    loudest_image: int | None


class Activation(Frozen):
    """One tap: what one call of one layer gave over all images."""

    # A new statistic adds its fields here by being registered: unknown numbers are kept, not dropped.
    model_config = ConfigDict(frozen=True, extra="allow")

    layer: str
    call: int
    output: str | None = None  # which tensor of a tuple, dict or dataclass; None for a plain tensor
    module: str  # class name, or "F.relu", "F.add" for what a function called in `forward()` gave
    rectifier: bool
    same_as: str | None = None  # this very tensor is also the row of that layer (a block asked for by name)
    shape: list[int]
    shape_varies: bool = False
    channel_axis: int
    channels: int
    images: int  # how many images this tap saw
    count: int  # values seen, non-finite ones included
    mean: Number | None
    std: Number | None  # population
    min: Number | None
    max: Number | None
    zeros: int
    zero_fraction: Number | None
    near_zeros: int
    near_zero_fraction: Number | None
    nonfinite: int
    nan: int
    posinf: int
    neginf: int
    dead: list[int]
    dead_fraction: Number | None
    deaths: list[Death] = Field(default_factory=list)  # one for each of `dead`
    constant: list[int]
    fired_images: (
        list[int] | None
    )  # per channel: on how many images it fires; None where no axis is the batch
    firing_rate_bound: Number | None = None  # of a channel that never fired, with 95 % confidence
    rare: list[RareChannel] | None = None  # None: too few images to say
    dormant: dict[str, list[int]] | None = None  # by τ
    dormant_fraction: Number | None = None  # for τ = 0.025
    saturated: list[int] | None = None  # None: no upper bound
    massive: list[int] | None = None
    median_magnitude: Number | None = None  # of the histogram's sample
    effective_rank: Number | None = None
    effective_rank_reason: str | None = None  # why there is none
    histogram: Histogram


def distinct(taps: Sequence[Activation]) -> list[Activation]:
    """Return the taps without those that hand on the very tensor of another one of them: no channel counts twice."""
    layers = {tap.layer for tap in taps}
    return [tap for tap in taps if tap.same_as is None or tap.same_as not in layers]
