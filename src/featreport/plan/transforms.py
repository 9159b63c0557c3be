"""What the manifest says about the transform → one `TransformSpec` per run."""

from __future__ import annotations

from pathlib import Path

from featreport.manifest import TransformEntry
from featreport.plan.files import python_file
from featreport.plan.order import printable
from featreport.plan.types import CheckpointRef, TransformSpec
from featreport.plan.words import number

IMAGENET = TransformEntry(resize=256, crop=224, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def transform_of(
    written: str | TransformEntry | None, checkpoint: CheckpointRef, model: str, folder: Path
) -> TransformSpec:
    """Return the transform of one run; `model` is torchvision's name of it.

    Raises:
        NotFoundError: its Python file does not exist.
    """
    if written is None:
        written = "weights" if checkpoint.kind == "weights" else IMAGENET
    if isinstance(written, TransformEntry):
        return _spec(written)
    if written == "imagenet":
        return _spec(IMAGENET)
    if written == "none":
        return TransformSpec("none", text="none: pixels scaled to [0, 1]")
    if written == "weights":
        name = checkpoint.weights or "DEFAULT"
        whose = f"the {model} weights {name}" if name != "DEFAULT" else f"the default weights of {model}"
        return TransformSpec("weights", weights=name, text=f"as published with {whose}")
    place, _, callable_name = written.removeprefix("python:").rpartition(":")
    if not place.endswith(".py"):
        return TransformSpec("python", python_module=place, python_name=callable_name, text=written)
    file = python_file(place, folder)
    shown = f"{file.parent.name}/{file.name}" if place.startswith(("/", "~")) else place
    text = printable(f"python:{shown}:{callable_name}")
    return TransformSpec("python", python_file=file, python_name=callable_name, text=text)


def _spec(entry: TransformEntry) -> TransformSpec:
    channels = 1 if entry.color == "L" else 3
    normalised = entry.mean is not None or entry.std is not None
    mean = _per_channel(entry.mean if entry.mean is not None else 0.0, channels) if normalised else None
    std = _per_channel(entry.std if entry.std is not None else 1.0, channels) if normalised else None
    size = (entry.size[0], entry.size[1]) if entry.size else None
    spec = TransformSpec("spec", size, entry.resize, entry.crop, entry.interpolation, mean, std, entry.color)
    return TransformSpec(**{**vars(spec), "text": _in_words(spec)})


def _per_channel(value: float | tuple[float, ...], channels: int) -> tuple[float, ...]:
    return tuple(map(float, value)) if isinstance(value, tuple) else (float(value),) * channels


def _in_words(spec: TransformSpec) -> str:
    words = ["grey" if spec.color == "L" else "RGB"]
    if spec.size:
        words.append(f"size {spec.size[0]} × {spec.size[1]} ({spec.interpolation})")
    if spec.resize:
        words.append(f"resize the shorter side to {spec.resize} ({spec.interpolation})")
    if spec.crop:
        words.append(f"crop the centre {spec.crop} × {spec.crop}")
    words.append("scale to [0, 1]")
    for name, numbers in (("mean", spec.mean), ("std", spec.std)):
        if numbers is not None:
            shown = [number(value) for value in numbers]
            words.append(f"{name} {shown[0] if len(set(shown)) == 1 else '[' + ', '.join(shown) + ']'}")
    return ", ".join(words)
