"""What helps to write a manifest: its JSON Schema for editors, and a starter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from featreport.manifest.schema import Document

_STARTER = """\
# A featreport manifest. Check it with `featreport check`, run it with `featreport build`.
# Paths are relative to this file.
version: 1
title: What do these checkpoints contain?
output: reports/report.html          # the results stand beside it: reports/report.json
device: auto                         # auto | cpu | cuda | cuda:1 | mps | xpu

images: [images/]                    # files, folders and globs such as more/*.png

# How pixels become the network's input. By default published weights bring their own, others take imagenet.
# transform: {resize: 256, crop: 224, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]}

models:
  - name: resnet18
    source: torchvision:resnet18     # or python:net.py:Net, python:package.module:factory
    # args: {num_classes: 5}         # keyword arguments of the model
    checkpoints:
      - weights:IMAGENET1K_V1        # published weights
      - random:0                     # untrained, seeded: the baseline for "did it learn anything?"
      # - runs/epoch_*.pt            # your own; epoch_2 comes before epoch_10
      # - {name: ema, path: runs/last.pt, key: state_dict_ema}
    # layers: {include: ["layer4.*"], exclude: []}
    # timeout: 30min               # a run that takes longer fails, the others go on

statistics:
  dead: 0.0                          # a channel is dead when no activation exceeds this
  near_zero: 0.001
  # alpha: true                      # also the heuristic exponent of weight spectra (slow)
report: {max_bytes: 15MB, channels: 12, images: 4}
# compare: {baseline: resnet18/IMAGENET1K_V1}                          # or earlier results, e.g. old/report.json
# checks: [{metric: activations.dead, max_increase: 0, level: error}]  # without any a default set warns
# Also: ${NAME} and ${NAME:-default} from the environment, `extends: base.yaml`, and --set PATH=VALUE for single values.
"""


def starter() -> str:
    """Return a commented manifest to start from."""
    return _STARTER


def missing(path: Path) -> list[str]:
    """Return what the starter at `path` still needs before it passes `featreport check`, a line each."""
    if (path.parent / "images").is_dir():
        return []
    line = 1 + _STARTER[: _STARTER.index("images: [")].count("\n")
    return [
        f"there is no folder images/ beside it yet: put pictures there, or name your own in line {line} ('images:')",
        f"then: featreport check {path}",
    ]


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of the manifest, for completion and checks in editors."""
    schema: dict[str, Any] = _with_variables(_without_titles(Document.model_json_schema()))
    needed = schema.pop("required")
    schema["anyOf"] = [{"required": needed}, {"required": ["extends"]}]
    del schema["$defs"]["ImagesEntry"]["required"]  # what it lacks may stand in the manifest that is extended
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "featreport manifest, version 1",
        **schema,
    }


def _without_titles(node: Any, *, names: bool = False) -> Any:
    """Drop the titles that only repeat a key; `names`: this mapping's keys are the manifest's own."""
    if isinstance(node, list):
        return [_without_titles(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _without_titles(value, names=key in {"properties", "$defs"} and not names)
        for key, value in node.items()
        if names or key != "title"
    }


_VARIABLE = {"type": "string", "pattern": r"\$\{"}  # what stands there is known when the manifest is read


def _with_variables(node: Any) -> Any:
    """Allow `${NAME}` wherever a number, a word of a list or a text of some form is expected."""
    if isinstance(node, list):
        return [_with_variables(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "anyOf" in node:
        return node | {"anyOf": [*map(_with_variables, node["anyOf"])]}
    if node.get("type") in {"integer", "number", "boolean"} or node.keys() & {"const", "enum", "pattern"}:
        kept = {key: node[key] for key in ("description", "default", "examples") if key in node}
        return kept | {"anyOf": [{key: part for key, part in node.items() if key not in kept}, _VARIABLE]}
    return {key: _with_variables(value) for key, value in node.items() if key != "default"} | {
        key: node[key] for key in ("default",) if key in node
    }
