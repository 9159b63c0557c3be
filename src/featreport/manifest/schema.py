"""The shape of a manifest, version 1 (contract: DESIGN 2.2). What the values may be stands in `values`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema

from featreport.errors import Problem
from featreport.manifest import values as v
from featreport.manifest.jobs import Check, Compare, Remote
from featreport.manifest.scalars import describe
from featreport.manifest.section import Section

Mark = tuple[int, int]
TAGS = ("<text>", "<list>", "<mapping>", "<number>")


def _node(value: Any) -> str | None:
    """Return the tag of a YAML node: a union's branch is chosen by it, so errors never double."""
    if isinstance(value, bool):
        return None
    kinds = {
        str: "<text>",
        list: "<list>",
        tuple: "<list>",
        dict: "<mapping>",
        int: "<number>",
        float: "<number>",
    }
    return kinds.get(type(value))


def _either(expected: str) -> Discriminator:
    return Discriminator(_node, custom_error_type="branch", custom_error_message=expected)


def _version(value: Any) -> Any:
    if value is True or value != 1:
        raise ValueError(f"this featreport reads manifests of version 1, got {describe(value)}")
    return 1


def _models(value: Any) -> Any:
    if isinstance(value, dict):
        raise ValueError("expected a list of models, each beginning with '- name: …', got a mapping")  # noqa: TRY004
    return value


def _side_lengths(value: Any) -> Any:
    if not isinstance(value, list):
        square = f" (for a square write [{value}, {value}])" if _node(value) == "<number>" else ""
        raise ValueError(f"expected [height, width], got {describe(value)}{square}")  # noqa: TRY004
    return value


class ImagesEntry(Section):
    """Which images, and at most how many."""

    paths: tuple[v.ImagePath, ...] = Field(
        min_length=1,
        description="Files, folders and globs, relative to the manifest; package:DISTRIBUTION/path; https://, s3:// …",
    )
    limit: v.Count | None = Field(None, description="Take at most this many, in order.")


ImagePaths = Annotated[tuple[v.ImagePath, ...], Field(min_length=1)]
Images = Annotated[
    Annotated[ImagePaths, Tag("<list>")] | Annotated[ImagesEntry, Tag("<mapping>")],
    _either("expected a list of paths or a mapping with 'paths'"),
]
PerChannel = Annotated[
    Annotated[v.Number, Tag("<number>")]
    | Annotated[tuple[v.Number, ...], Field(min_length=1), Tag("<list>")],
    _either("expected a number, or a list with one number per channel"),
]
PositivePerChannel = Annotated[
    Annotated[v.Positive, Tag("<number>")]
    | Annotated[tuple[v.Positive, ...], Field(min_length=1), Tag("<list>")],
    _either("expected a number, or a list with one number per channel"),
]


class TransformEntry(Section):
    """How pixels become the network's input: size or resize, crop, then (x − mean) / std of [0, 1]."""

    size: Annotated[
        tuple[v.Pixels, ...] | None, BeforeValidator(_side_lengths), Field(min_length=2, max_length=2)
    ] = Field(None, description="Exact [height, width]; not together with resize.")
    resize: v.Pixels | None = Field(None, description="Length of the shorter side.")
    crop: v.Pixels | None = Field(None, description="Side of the square cut from the centre.")
    interpolation: Literal["nearest", "bilinear", "bicubic"] = Field(
        "bilinear", description="How pixels are resampled."
    )
    mean: PerChannel | None = Field(None, description="A number, or one per channel.")
    std: PositivePerChannel | None = Field(None, description="A number greater than 0, or one per channel.")
    color: Literal["RGB", "L"] = Field("RGB", description="RGB: three channels; L: one grey channel.")


Transform = Annotated[
    Annotated[v.TransformName, Tag("<text>")] | Annotated[TransformEntry, Tag("<mapping>")],
    _either("expected imagenet, weights, none, python:file.py:CALLABLE or a mapping"),
]


class CheckpointEntry(Section):
    """A checkpoint with a name of its own, or one that is nested under a key of its file."""

    path: v.CheckpointPath = Field(
        description="As in the short form: a path, a glob, package:, weights:, random:, or https://, s3://, gs:// …"
    )
    name: v.Text | None = Field(None, description="Its name in the run id; otherwise the file's name.")
    sha256: v.Sha256 | None = Field(
        None,
        description="The SHA-256 that the file must have; of a file elsewhere a copy then serves without asking.",
    )
    key: v.Text | None = Field(
        None, description="Which nested state dict of the file to take, e.g. state_dict_ema."
    )
    strict: v.YesNo = Field(
        True, description="false: what does not fit is left out, and listed in the report."
    )
    allow_missing: tuple[v.Text, ...] = Field(
        (), description="Globs of the model's tensors that the file may lack, e.g. fc.*"
    )
    allow_unexpected: tuple[v.Text, ...] = Field(
        (), description="Globs of the file's tensors that the model may lack, e.g. head.*"
    )


Checkpoint = Annotated[
    Annotated[v.CheckpointPath, Tag("<text>")] | Annotated[CheckpointEntry, Tag("<mapping>")],
    _either("expected a path or a mapping with 'path'"),
]


class Layers(Section):
    """Which layers are measured; everything where nothing is said."""

    include: tuple[v.Text, ...] = Field(
        (),
        description="Globs of layer names to measure, e.g. features.*; one that matches a block and nothing "
        "inside it (layer1.0) asks for the block's own output",
    )
    exclude: tuple[v.Text, ...] = Field((), description="Globs of layer names to leave out.")


class Model(Section):
    """One architecture and the checkpoints that go into it."""

    name: v.ModelName = Field(description="First part of the run ids; without '/'.")
    source: v.Source = Field(
        description="torchvision:NAME, timm:NAME, python:net.py:CALLABLE, python:package.module:CALLABLE or "
        "none (the tensors alone)."
    )
    args: dict[str, Any] = Field(default_factory=dict, description="Keyword arguments of the callable.")
    checkpoints: tuple[Checkpoint, ...] = Field(
        min_length=1, description="What is loaded into it, at least one."
    )
    timeout: v.Seconds | None = Field(
        None, description="How long each of its runs may take, instead of the manifest's."
    )
    layers: Layers = Field(default_factory=Layers, description="Which layers are measured.")
    images: Images | None = Field(None, description="Its own images, instead of the manifest's.")
    transform: Transform | None = Field(None, description="Its own transform, instead of the manifest's.")


class Statistics(Section):
    """Thresholds of the statistics."""

    dead: v.NotNegative = Field(
        0.0, description="A channel is dead when no activation exceeds this in magnitude."
    )
    near_zero: v.NotNegative = Field(
        0.001, description="A value is near zero when its magnitude is below this."
    )
    constant: v.NotNegative = Field(
        0.0,
        description="A channel is constant when its greatest and least value are no further apart, and it is not "
        "dead.",
    )
    alpha: v.YesNo = Field(
        False, description="Fit a power law to the spectrum of every weight: a heuristic, and slow."
    )


class Report(Section):
    """How much the report shows."""

    max_bytes: v.Bytes = Field(15_000_000, description="The HTML stays below this size, e.g. 15MB.")
    maps: Literal["auto", "all", "none"] = Field(
        "auto",
        description="Whose feature maps are shown; auto: rectifiers with every image, other layers but norms and "
        "sums with one.",
    )
    channels: v.Count = Field(12, description="Feature maps shown per layer.")
    select: Literal["first", "strongest", "rarest", "dead"] = Field(
        "first",
        description="Which channels of a layer: the first, the strongest, the rarest to fire, the dead.",
    )
    images: v.Count = Field(4, description="Images shown per run: the first ones.")
    show: tuple[v.Text, ...] = Field((), description="Names of the images shown instead, or globs of them.")
    overlay: v.YesNo = Field(False, description="Also lay each map over what the network was given.")
    kernels: tuple[v.Text, ...] = Field(
        (), description="Globs of weights whose kernels' norms are shown, outputs by inputs, e.g. layer4.*"
    )
    templates: v.Text | None = Field(
        None, description="A folder of Jinja templates that override the page's own, block by block."
    )
    logo: v.Text | None = Field(None, description="A picture for the head of the page.")
    sections: tuple[v.Text, ...] = Field(
        (),
        description="Order of the sections: verdict, runs, comparison, details, method, and names of plug-ins; "
        "those left out follow in the usual order.",
    )


class Document(Section):
    """A featreport manifest: models, their checkpoints, and the images they are run on."""

    version: Annotated[int, BeforeValidator(_version), WithJsonSchema({"const": 1})] = Field(
        description="Version of the manifest's format."
    )
    extends: v.Text | None = Field(
        None, description="A manifest that this one stands on: what is not written here is taken from there."
    )
    title: v.Text | None = Field(None, description="Title of the report.")
    output: v.Text | None = Field(None, description="The report, ending in .html; relative to the manifest.")
    device: v.Device = Field("auto", description="Where the models run.")
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="Of the forward pass."
    )
    batch_size: v.BatchSize = Field(
        None,
        description="Images per forward pass; auto: chosen by featreport.",
        json_schema_extra={"default": "auto"},
    )
    timeout: v.Seconds | None = Field(
        None,
        description="How long a run may take, e.g. 30min; units s, min and h. One that takes longer fails alone.",
    )
    images: Images | None = Field(None, description="The images of every model that has none of its own.")
    transform: Transform | None = Field(
        None, description="The transform of every model that has none of its own."
    )
    models: Annotated[tuple[Model, ...], BeforeValidator(_models)] = Field(
        min_length=1, description="What is looked at."
    )
    statistics: Statistics = Field(default_factory=Statistics, description="Thresholds.")
    history: v.Text | None = Field(
        None, description="A folder that keeps each build's results, for trends and for baselines."
    )
    compare: Compare | None = Field(None, description="What the runs are compared with.")
    checks: tuple[Check, ...] | None = Field(
        None,
        description="Rules that measured numbers must keep; without any a default set warns, [] is none.",
    )
    remote: Remote = Field(default_factory=Remote, description="What may be fetched from elsewhere.")
    report: Report = Field(default_factory=Report, description="How much the report shows.")


class Manifest(Document):
    """A manifest as written, with where each of its values stands in the file."""

    file: str  # as the user typed it
    text: str
    marks: dict[str, Mark]  # path in the document → line and column, both from 1
    homes: dict[
        str, str
    ]  # path in the document → the file or option it comes from, where that is not this file
    digest: str  # of the document with everything put in
    variables: tuple[str, ...]  # names of the environment variables it names
    overrides: tuple[str, ...]  # PATH=VALUE, as given
    bases: tuple[tuple[str, str], ...]  # name and text of each manifest below it, the nearest first

    @property
    def folder(self) -> Path:
        """The absolute folder that the manifest's paths start from."""
        return Path(self.file).absolute().parent

    def folder_of(self, path: str) -> Path:
        """Return the absolute folder that a path written at a place of the document starts from: its file's."""
        place = self._known(path)
        file = self.homes.get(place)
        if file is None or not self.marks[place][0]:  # an option counts as written in this file
            return self.folder
        return Path(file).absolute().parent

    def problem(self, path: str, message: str) -> Problem:
        """Return a problem at a path of the document, e.g. `models[0].checkpoints[1]`."""
        place = self._known(path)
        line, column = self.marks.get(place, (1, 1))
        return Problem(self.homes.get(place, self.file), line, column, path, message)

    def _known(self, path: str) -> str:
        """Return the innermost place around a path that is written somewhere; the top of the document is ""."""
        place = path
        while place and place not in self.marks:
            place = place[: max(place.rfind("."), place.rfind("["), 0)]
        return place
