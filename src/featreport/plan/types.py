"""The plan: what will be done, with every default filled in and every path found. Frozen, torch-free."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True)
class SourceRef:
    """Where an architecture comes from, e.g. kind "torchvision" and name "alexnet"."""

    kind: Literal["torchvision", "timm", "python-file", "python-module", "none"]
    text: str  # as written in the manifest
    name: str  # torchvision's model name, or the callable's (dotted) name
    file: Path | None = None  # python-file: the absolute path
    module: str | None = None  # python-module: the dotted module
    args: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckpointRef:
    """Which numbers go into the architecture."""

    kind: Literal["file", "weights", "random"]
    text: str  # as written, or the manifest-relative path of one match of a glob; shown in the report
    path: Path | None = None  # file: the absolute path
    weights: str | None = None  # weights: the published name, e.g. "IMAGENET1K_V1"
    seed: int | None = None  # random: the seed
    key: str | None = None  # file: which nested state dict to take
    strict: bool = True  # False: what does not fit is left out, and listed
    allow_missing: tuple[str, ...] = ()  # globs of the model's tensors that the file may lack
    allow_unexpected: tuple[str, ...] = ()  # globs of the file's tensors that the model may lack
    sha256: str | None = None  # that the file must have
    url: str | None = (
        None  # where it is fetched from; `path` is of its copy then, below the store once it is fetched
    )
    missing: str = ""  # why it could not be fetched


@dataclass(frozen=True)
class ImageRef:
    """One image file: its absolute path and the name the report shows (never an absolute path).

    `url` and `missing` as of a checkpoint.
    """

    path: Path
    name: str
    url: str | None = None
    missing: str = ""


@dataclass(frozen=True)
class TransformSpec:
    """How pixels become the network's input.

    kind "spec": `size` (exact [H, W]) or `resize` (shorter side), then `crop` (centre, square), then
    scaling to [0, 1] and (x − mean) / std. kind "weights": the transform published with the weights.
    kind "python": a callable. kind "none": to a [0, 1] tensor, nothing else.
    """

    kind: Literal["spec", "weights", "python", "none"] = "spec"
    size: tuple[int, int] | None = None
    resize: int | None = None
    crop: int | None = None
    interpolation: Literal["nearest", "bilinear", "bicubic"] = "bilinear"
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    color: Literal["RGB", "L"] = "RGB"
    python_file: Path | None = None
    python_module: str | None = None
    python_name: str | None = None
    weights: str | None = None  # kind "weights": the published name, e.g. "IMAGENET1K_V1"
    text: str = ""  # one line for people: "resize 256, crop 224, mean …"


@dataclass(frozen=True)
class RunPlan:
    """One checkpoint of one model over its images."""

    id: str  # model/checkpoint
    model: str
    checkpoint_name: str
    source: SourceRef
    checkpoint: CheckpointRef
    include: tuple[str, ...]  # layer globs; empty: every tap
    exclude: tuple[str, ...]
    images: tuple[ImageRef, ...]
    transform: TransformSpec
    shown: tuple[int, ...] = ()  # places in `images` of those whose maps are shown; empty: the first ones
    timeout: float | None = None  # seconds it may take; shapes no number, so its key leaves it out


Choice = Literal["first", "strongest", "rarest", "dead"]
Which = Literal["auto", "all", "none"]  # layers whose maps are shown


@dataclass(frozen=True)
class Showing:
    """Whose feature maps are shown, and which channels of each."""

    maps: Which = "auto"
    channels: Choice = "first"
    kernels: tuple[str, ...] = ()  # globs of weights
    overlay: bool = False  # whether maps are also laid over the network's input


@dataclass(frozen=True)
class Look:
    """How the page is made: templates of its own, a logo, the order of its sections."""

    templates: Path | None = None  # absolute
    templates_text: str = ""  # as the manifest names them
    logo: Path | None = None  # absolute
    sections: tuple[str, ...] = ()


@dataclass(frozen=True)
class CheckPlan:
    """A rule that measured numbers must keep, and the runs it is meant for."""

    place: str  # in the manifest: "checks[0]"; "default[0]" of the set that is used where it has none
    metric: str  # "activations.dead"
    runs: tuple[str, ...]  # ids, also of runs that --only leaves out
    level: Literal["error", "warn"] = "error"
    scope: Literal["layer", "run"] = "layer"
    layers: str = "*"
    min: float | None = None
    max: float | None = None
    equals: float | None = None
    max_increase: float | None = None
    max_relative_increase: float | None = None
    # what only the default set says:
    below: float | None = None  # the value must be less than this
    rectifiers: bool = False  # only where a layer's output is a rectifier's
    ignore: tuple[str, ...] = ()  # globs of entries that do not count


@dataclass(frozen=True)
class BaselineRef:
    """What the runs are compared with: a run of this build, the results in a file, or builds of the history."""

    text: str  # as written
    place: str  # where the manifest names it, for messages: "config.yaml:12:3 compare.baseline"
    run: str | None = None
    path: Path | None = None  # absolute
    url: str | None = None  # where it is fetched from
    history: Literal["latest", "best"] | None = None  # for each run a build of the history
    metric: str = ""  # what the best is the best in: a headline number, e.g. dead_fraction
    higher: bool = False  # whether a larger one is better


@dataclass(frozen=True)
class Plan:
    """Everything a build does, in order."""

    title: str
    manifest_name: str  # the file's name, no folder
    manifest_text: str
    output: Path  # absolute, …/demo.html
    device: str  # auto | cpu | cuda | cuda:1 | mps | xpu
    precision: Literal["float32", "bfloat16", "float16"]
    batch_size: int | None  # None: auto
    dead: float
    near_zero: float
    max_bytes: int
    shown_channels: int
    shown_images: int
    runs: tuple[RunPlan, ...]
    constant: float = 0.0
    showing: Showing = Showing()
    look: Look = Look()
    store: Path | None = None  # the folder of finished runs, absolute; None keeps none
    alpha: bool = False  # whether power laws are fitted to the spectra of weights
    checks: tuple[CheckPlan, ...] = ()
    baseline: BaselineRef | None = None
    history: Path | None = None  # the folder of earlier builds, absolute
    max_fetched: int = 5_000_000_000  # bytes of a file elsewhere
    cka: bool = False  # whether the layers of runs are compared by what they make of the images
    variables: tuple[str, ...] = ()  # environment variables that the manifest names; never their values
    overrides: tuple[str, ...] = ()  # PATH=VALUE as given with --set
    bases: tuple[tuple[str, str], ...] = ()  # name and text of each manifest below, the nearest first
    manifest_digest: str = ""  # of the manifest with everything put in that stands elsewhere

    @property
    def results(self) -> Path:
        """The results file beside the report."""
        return self.output.with_suffix(".json")
