"""Architectures by torchvision's names, never with a download."""

from __future__ import annotations

import difflib
import inspect
from typing import Any

import torchvision
from torch import nn

from featreport.errors import SourceError
from featreport.plan.types import SourceRef
from featreport.sources.calling import call

DOWNLOADS = ("weights", "weights_backbone", "pretrained", "pretrained_backbone")  # arguments that fetch files
ASKS_INIT = ("googlenet", "inception_v3")  # they warn unless told whether to initialise
TRANSFORMS_INPUT = ("googlenet", "inception_v3")  # their published weights expect `transform_input`


def build(source: SourceRef, seed: int, weights: str | None = None) -> nn.Module:
    """Return torchvision's model `source.name`, untrained, shaped as the published `weights` need it.

    Raises:
        SourceError: no such model, or it does not take these args.
    """
    builder = _builder(source.name)
    for name in DOWNLOADS:
        if name in source.args:
            raise SourceError(
                f"torchvision:{source.name}: args.{name} would download weights",
                "leave it out and name the weights under 'checkpoints', e.g. weights:DEFAULT",
            )
    args: dict[str, Any] = {**_published(source.name, weights), **source.args, "weights": None}
    if "weights_backbone" in inspect.signature(builder).parameters:
        args["weights_backbone"] = None
    if source.name in ASKS_INIT:
        args.setdefault("init_weights", True)
    return call(f"torchvision:{source.name}", builder, args, seed)


def _builder(name: str) -> Any:
    try:
        return torchvision.models.get_model_builder(name)
    except ValueError:
        near = difflib.get_close_matches(name, torchvision.models.list_models(), n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "see torchvision.models.list_models()"
        raise SourceError(f"torchvision {torchvision.__version__} has no model {name!r}", hint) from None


def _published(name: str, weights: str | None) -> dict[str, Any]:
    """Return the arguments torchvision itself would set for these weights."""
    if weights is None:
        return {}
    args: dict[str, Any] = {}
    known = torchvision.models.get_model_weights(name).__members__
    meta = known[weights].meta if weights in known else {}
    if meta.get("categories") is not None:
        args["num_classes"] = len(meta["categories"])
    if name.startswith("vit_") and "min_size" in meta:
        args["image_size"] = meta["min_size"][0]  # its position embedding has one size
    if name in TRANSFORMS_INPUT:
        args["transform_input"] = True
    module = torchvision.models.get_model_builder(name).__module__
    if module.startswith("torchvision.models.segmentation") and not name.startswith("lraspp"):
        args["aux_loss"] = True
    return args
