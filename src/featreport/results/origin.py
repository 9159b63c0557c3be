"""Where numbers come from, as results tell it."""

from __future__ import annotations

from pydantic import Field

from featreport.results.frozen import Frozen


class BaseManifest(Frozen):
    """A manifest that the build's own extends; `name` is as written there, never absolute."""

    name: str
    sha256: str
    text: str


class Provenance(Frozen):
    """What made the numbers: versions, device, the manifest's own text."""

    versions: dict[str, str]  # featreport, python, torch, torchvision, numpy, pillow; what reads tensors
    device: str
    precision: str
    manifest_name: str
    manifest_sha256: str
    manifest_text: str
    code_run: list[str] = Field(default_factory=list)  # `python:` sources and transforms that were executed
    variables: list[str] = Field(default_factory=list)  # environment variables it names, without their values
    overrides: list[str] = Field(default_factory=list)  # PATH=VALUE of each --set, as given
    bases: list[BaseManifest] = Field(default_factory=list)  # what it extends, the nearest first
