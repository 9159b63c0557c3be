"""What was measured of parameters, norms and buffers (part of `schema`)."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from featreport.results.frozen import Frozen, Histogram, Number


class DeadFilter(Frozen):
    """A dead output channel of a weight with its evidence."""

    channel: int
    peak: Number  # max |w|
    norm: Number  # L2


class FilterPair(Frozen):
    """Two filters of one weight and the cosine of the angle between them."""

    one: int
    other: int
    cosine: Number


class Weight(Frozen):
    """One parameter tensor (tied ones once, under their first name)."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str
    module: str
    kind: Literal["weight", "bias", "norm", "embedding", "other"]  # "weight": of a conv or linear layer
    tied: list[str] = Field(default_factory=list)  # its other names
    dtype: str
    shape: list[int]
    count: int
    mean: Number | None
    std: Number | None  # ddof = 1; None for one element
    min: Number | None
    max: Number | None
    zeros: int
    zero_fraction: Number | None
    near_zeros: int
    near_zero_fraction: Number | None
    relative_near_zero_fraction: Number | None  # |w| ≤ 0.01 · std; a Gaussian has 0.8 %
    nonfinite: int
    nan: int
    posinf: int
    neginf: int
    channels: int | None  # output channels; None where there is no output axis
    transposed: int | None = None  # groups of a transposed convolution, whose weight is [in, out / groups, …]
    dead: list[int]
    dead_fraction: Number | None
    dead_filters: list[DeadFilter] = Field(default_factory=list)  # one for each of `dead`
    median_norm: Number | None = None  # of the L2 norms of all output channels
    histogram: Histogram
    matrix: list[int] | None = None  # [output channels, everything else], of which the spectrum is taken
    spectral_norm: Number | None = None
    stable_rank: Number | None = None
    redundant_pairs: int | None = None  # of filters with |cos| > 0.95
    pairs: int | None = None  # of filters that are not all zero
    redundant_fraction: Number | None = None
    zero_filters: int | None = None
    closest: list[FilterPair] = Field(default_factory=list)  # the nearest of the redundant pairs
    two_four_groups: int | None = None
    two_four: int | None = None  # groups of 4 inputs with at least 2 zeros
    two_four_fraction: Number | None = None
    two_four_chance: Number | None = None  # at this tensor's share of zeros, were they strewn at random
    looks_untrained: bool | None = None
    initialisation: str | None = None  # which one it looks like
    kurtosis: Number | None = None  # taken where std and histogram match an initialisation's
    alpha: Number | None = None  # power law of the spectrum's tail; only where the manifest asks for it
    alpha_start: Number | None = None
    alpha_distance: Number | None = None
    alpha_tail: int | None = None
    reasons: dict[str, str] = Field(default_factory=dict)  # why a number has no value
    # 61 float32 (fewer of a smaller tensor), little-endian, in base64: see statistics/weights/sketch.py
    sketch: str | None = None
    digest: str | None = None  # of the values: 16 hexadecimal digits


class Norm(Frozen):
    """One norm: its scale and its running statistics together; None for what it lacks."""

    layer: str
    module: str
    channels: int
    eps: Number | None  # None: no module tells it, and 1e-5 was taken
    counter: int | None
    small_scale: list[int] | None  # |γ| ≤ 1e-2
    small_scale_fraction: Number | None
    closed: list[int] | None  # of these, with a shift ≤ 0
    effective_min: Number | None  # γ / √(variance + eps)
    effective_median: Number | None
    effective_max: Number | None
    still: list[int] | None  # running variance ≤ eps
    untouched: bool | None


class Buffer(Frozen):
    """One buffer (BN running statistics, counters): shown apart, never counted as a weight."""

    name: str
    module: str
    dtype: str
    shape: list[int]
    count: int
    mean: Number | None
    std: Number | None  # ddof = 1
    min: Number | None
    max: Number | None
    nonfinite: int
