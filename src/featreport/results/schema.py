"""What was measured: results, version 1, as frozen typed values (contract: DESIGN 2.3).

Shapes leave out the batch axis. What has no value is `None`, never NaN. Lists keep the order of the model.
A fraction stands beside its parts. Field meanings: the definitions travel in `Results.definitions`.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field

from featreport.results.checks import OF_COMPARISON as OF_COMPARISON
from featreport.results.checks import CheckItem as CheckItem
from featreport.results.checks import CheckOutcome as CheckOutcome
from featreport.results.checks import Severity as Severity
from featreport.results.extras import Extra as Extra
from featreport.results.frozen import Frozen as Frozen
from featreport.results.frozen import Histogram as Histogram
from featreport.results.frozen import Number as Number
from featreport.results.origin import BaseManifest as BaseManifest
from featreport.results.origin import Provenance as Provenance
from featreport.results.past import History as History
from featreport.results.past import PastBuild as PastBuild
from featreport.results.past import PastRun as PastRun
from featreport.results.past import Similarity as Similarity
from featreport.results.taps import Activation as Activation
from featreport.results.taps import Death as Death
from featreport.results.taps import RareChannel as RareChannel
from featreport.results.taps import distinct as distinct
from featreport.results.tensors import Buffer as Buffer
from featreport.results.tensors import DeadFilter as DeadFilter
from featreport.results.tensors import FilterPair as FilterPair
from featreport.results.tensors import Norm as Norm
from featreport.results.tensors import Weight as Weight

FORMAT: Final = "featreport/results"
VERSION: Final = 1
Sides = Annotated[list[int], Field(min_length=2, max_length=2)]
Share = Annotated[Number, Field(ge=0, le=1)]
Stage = Literal["source", "checkpoint", "images", "forward", "statistics"]


def _of_some_size(part: list[float]) -> list[float]:
    if not min(part[2:]) > 0:
        raise ValueError("a part of a picture has a width and a height above 0")
    return part


Part = Annotated[list[Share], Field(min_length=4, max_length=4), AfterValidator(_of_some_size)]


class Unmeasured(Frozen):
    """A layer or output without numbers, and why."""

    layer: str
    reason: str


class Mismatch(Frozen):
    """A tensor whose shape in the file is not the model's."""

    name: str
    expected: list[int]
    got: list[int]


class Load(Frozen):
    """The audit of what was loaded; `path` is as the manifest says, never absolute."""

    path: str | None
    sha256: str | None
    # "torch zip" | "torch legacy" | "safetensors" | "TorchScript" | "torch.export" | "sharded index" |
    # "published weights" | "random"
    format: str
    bytes: int | None = None
    producer: str | None = None  # what wrote the file, where that is recorded
    checksums: str | None = None  # e.g. "CRC-32 of 126 records verified"
    strict: bool = True
    alone: bool = False  # read without a network: every tensor of the state dict is "matched"
    key: str | None = None  # the nesting chosen, e.g. "state_dict_ema"; None: the file's top level
    # other state dicts of the file that fit in part or whole
    alternatives: list[str] = Field(default_factory=list)
    prefix: str | None = None  # the prefix removed
    suffix: str | None = None  # the suffix removed
    matched: int
    missing: list[str] = Field(default_factory=list)
    unexpected: list[str] = Field(default_factory=list)
    mismatched: list[Mismatch] = Field(default_factory=list)
    applied: list[str] = Field(default_factory=list)  # what was done to tensors, e.g. masks multiplied in
    dtypes: dict[str, int] = Field(default_factory=dict)  # tensors of the chosen state dict by stored dtype
    # found beside the tensors: epoch, step, arch, best metric
    facts: dict[str, str] = Field(default_factory=dict)
    untrained: bool = False  # the loaded weights still have the distribution of their initialisation
    objects: list[str] = Field(default_factory=list)  # classes and functions the file names; none was run
    idle_norms: list[str] = Field(
        default_factory=list
    )  # BatchNorm layers whose statistics were never updated


class FailedImage(Frozen):
    """An image that could not be used."""

    path: str
    reason: str


class ImageFile(Frozen):
    """An image the run saw."""

    name: str
    sha256: str
    width: int  # after EXIF orientation
    height: int
    picture: str | None = None  # key of its thumbnail in `Results.pictures`
    seen: Part | None = None  # what the network was given of it: left, top, width, height as shares of it
    # width by height that the transform brought that part to; None: those of the photo
    stretched: Annotated[Number, Field(gt=0)] | None = None
    input: str | None = None  # key of a picture of what the network was given for it, in its own contrast
    note: str | None = None  # e.g. "animated: first frame of 24"


class Images(Frozen):
    """What the run looked at."""

    count: int
    failed: list[FailedImage] = Field(default_factory=list)
    files: list[ImageFile] = Field(default_factory=list)


class RunFailure(Frozen):
    """Why a run has no numbers."""

    stage: Stage
    message: str
    hint: str


class Summary(Frozen):
    """The run in six numbers; every fraction is parts over whole (micro), the mean over layers beside it (macro)."""

    channels: int  # at rectifier outputs, each tap once
    dead_channels: int
    dead_fraction: Number | None  # None: the network has no rectifier
    dead_fraction_macro: Number | None
    rectifiers: int  # how many taps are rectifiers
    weights: int  # elements of conv and linear weights
    near_zero_weights: int
    near_zero_fraction: Number | None
    zero_weights: int
    zero_fraction: Number | None
    dead_filters: int
    nonfinite: int  # in activations and parameters together
    constant_channels: int  # of each tensor once, also where several taps hand it on


class FeatureMaps(Frozen):
    """The maps shown of one tap: a sprite with one row per image and one tile per channel, in 8-bit grey.

    `kind` "maps": each tile is one channel's map; "units": each tile is all units of one image, wrapped to a grid,
    in order. Grey 0 is `low`, grey 255 is `high`: one scale for the whole tap. Where there is a `veil` each tile stands
    in its own contrast, and the veil, a pixel of grey g and opacity a for each tile, brings it to that scale:
    own · (1 − a) + g · a.
    """

    layer: str
    call: int
    output: str | None = None
    kind: Literal["maps", "units"]
    picture: str  # key in `Results.pictures`
    images: list[int]  # rows: indices into `Images.files`
    channels: list[int]  # columns ("maps"); every unit in order ("units")
    tile: Sides  # [height, width] of one tile in the sprite
    gap: int  # pixels between tiles
    low: Number
    high: Number
    contrast: str | None = None  # the veil: key in `Results.pictures`
    loudest: list[int | None] = Field(
        default_factory=list
    )  # for each of `channels`: the image it fires most on
    chosen: Literal["first", "strongest", "rarest", "dead"] = "first"  # how the channels were


class Kernels(Frozen):
    """The first layer's filters as one sprite of RGB or grey tiles, symmetric about mid grey at ±`limit`."""

    name: str
    picture: str
    tile: Sides
    gap: int
    columns: int
    shown: int
    total: int
    limit: Number


class KernelNorms(Frozen):
    """The L2 norm of every kernel of a weight as one grey picture: outputs down, inputs across; white is `high`."""

    name: str
    picture: str
    outputs: int
    inputs: int
    kernel: list[int]  # [] for a linear layer: |w|
    size: Sides  # [height, width] of the picture: larger matrices are averaged over areas
    high: Number


class Faithfulness(Frozen):
    """What was proved of the measuring itself, on the first batch and over the whole run."""

    output_identical: (
        bool | None
    )  # bit for bit, NaN equal to NaN; None: nothing to compare, or it never repeats
    repeats: bool | None = None  # whether two plain forwards agree; asked only where the watched one differs
    differs: list[str] = Field(default_factory=list)  # outputs that were not the same
    state_unchanged: bool  # every parameter and buffer, by a digest before and after
    changed: list[str] = Field(default_factory=list)  # those that were not
    hooks_left: int
    flags_changed: int = 0  # modules whose training flag the network changed; they were set back
    switched_off: list[str] = Field(default_factory=list)  # fast paths of this network
    compared_images: int


class Run(Frozen):
    """One checkpoint of one model over its images."""

    id: str
    model: str
    checkpoint: str
    source: str
    status: Literal["ok", "failed"]
    error: RunFailure | None = None
    load: Load | None = None
    images: Images
    transform: str
    device: str | None = None
    precision: str
    batch_size: int | None = None
    notes: list[str] = Field(default_factory=list)
    faithfulness: Faithfulness | None = None  # None: an older result, or no network was run
    parameters: int | None = None
    summary: Summary | None = None
    activations: list[Activation] = Field(default_factory=list)
    weights: list[Weight] = Field(default_factory=list)
    buffers: list[Buffer] = Field(default_factory=list)
    norms: list[Norm] = Field(default_factory=list)
    unmeasured: list[Unmeasured] = Field(default_factory=list)
    maps: list[FeatureMaps] = Field(default_factory=list)
    kernels: Kernels | None = None
    kernel_norms: list[KernelNorms] = Field(default_factory=list)  # those asked for


class Compared(Frozen):
    """What the numbers of a run are compared with: a run of this build, or one of earlier results."""

    run: str  # whose numbers
    baseline: str  # what is said of it
    itself: bool = False  # the run is the baseline
    within: str | None = None  # id of the baseline, where it is a run of this build
    before: Run | None = None  # its numbers, where it is not
    reason: str | None = None  # why what images went through cannot be compared
    weights_reason: str | None = None  # why weights cannot


class Thresholds(Frozen):
    """The manifest's thresholds, as used."""

    dead: Number
    near_zero: Number
    constant: Number = 0.0


class Definition(Frozen):
    """One statistic in one sentence, with the thresholds used."""

    metric: str
    label: str
    sentence: str


def weights_alone(run: Run) -> bool:
    """Say whether a run measured the tensors of a file without a network (source: none)."""
    return run.source == "none"


class PageOptions(Frozen):
    """How the manifest wants the page."""

    templates: str = ""  # the folder of its own templates, as the manifest names it
    logo: str | None = None  # key in `Results.pictures`
    sections: list[str] = Field(default_factory=list)  # order; those not named follow


class Results(Frozen):
    """The whole build.

    `pictures` are data: URIs by content key; a report's embedded copy leaves them out, because the page itself holds
    each of them once.
    """

    format: Literal["featreport/results"] = FORMAT
    version: Literal[1] = VERSION
    title: str
    provenance: Provenance
    thresholds: Thresholds
    max_bytes: int
    page: PageOptions = Field(default_factory=PageOptions)
    definitions: list[Definition]
    runs: list[Run]
    comparisons: list[Any] = Field(default_factory=list)
    checks: list[CheckOutcome] = Field(default_factory=list)
    similarities: list[Similarity] = Field(default_factory=list)  # where the manifest asks for them
    compared: list[Compared] = Field(default_factory=list)  # one for each run, where there is a baseline
    history: History | None = None  # None: the manifest keeps none
    extras: list[Extra] = Field(default_factory=list)  # sections of plug-ins
    pictures: dict[str, str] = Field(default_factory=dict)
