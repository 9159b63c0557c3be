"""What the manifest says about an architecture → a `SourceRef`."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from featreport.manifest import Model
from featreport.manifest.scalars import did_you_mean, join_words, quote
from featreport.plan.files import python_file
from featreport.plan.packages import NotFoundError
from featreport.plan.types import SourceRef
from featreport.sources.catalogue import torchvision_models


def source_of(model: Model, folder: Path) -> SourceRef:
    """Return where a model's architecture comes from.

    Raises:
        NotFoundError: torchvision has no such model, timm is not installed, or the Python file or package is not there.
    """
    kind, _, rest = model.source.partition(":")
    if kind == "none":
        return SourceRef("none", model.source, "")
    if kind == "torchvision":
        known = torchvision_models()
        if known and rest not in known:
            raise NotFoundError(f"torchvision has no model {quote(rest)}{did_you_mean(rest, known)}")
        return SourceRef("torchvision", model.source, rest, args=model.args)
    if kind == "timm":
        if importlib.util.find_spec("timm") is None:
            raise NotFoundError("timm is not installed: pip install 'featreport[timm]'")
        return SourceRef("timm", model.source, rest, args=model.args)
    place, _, name = rest.rpartition(":")
    if place.endswith(".py"):
        return SourceRef("python-file", model.source, name, file=python_file(place, folder), args=model.args)
    require_package(place)
    return SourceRef("python-module", model.source, name, module=place, args=model.args)


def require_package(module: str) -> None:
    """Check that a module's top-level package is installed, running none of it.

    Raises:
        NotFoundError: it is not.
    """
    top = module.partition(".")[0]
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        raise NotFoundError(
            f"no module {quote(top)} is installed (a file beside the manifest: python:{top}.py:NAME)"
        )


def require_weights(model: str, weights: str) -> None:
    """Check that torchvision publishes these weights of the model.

    Raises:
        NotFoundError: it does not.
    """
    published = torchvision_models().get(model)
    if published and weights not in {*published, "DEFAULT"}:
        near = did_you_mean(weights, published)
        raise NotFoundError(
            f"expected {join_words([*published, 'DEFAULT'])} for {model}, got {quote(weights)}{near}"
        )
