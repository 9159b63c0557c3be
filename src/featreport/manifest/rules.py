"""Rules between the values of a manifest, held on the plain tree: they speak even if its shape is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from featreport.manifest.metrics import find
from featreport.manifest.scalars import Loc, describe, join_words, quote, spell
from featreport.results.schema import OF_COMPARISON

INCREASES = ("max_increase", "max_relative_increase")
LIMITS = ("max", "min", "equals", *INCREASES)


@dataclass(frozen=True)
class Breach:
    """One broken rule, at a value or at the key before it."""

    loc: Loc
    message: str
    at_key: bool = False


def broken(tree: dict[str, Any]) -> Iterator[Breach]:
    """Yield every broken rule of the document."""
    yield from _transform(tree.get("transform"), ("transform",))
    models = _items(tree.get("models"))
    yield from _repeated_names(models, ("models",), "two models are called")
    for index, model in enumerate(models):
        if isinstance(model, dict):
            yield from _model(model, ("models", index))
    compare = tree.get("compare")
    if isinstance(compare, dict) and not compare.get("baseline") and not compare.get("cka"):
        yield Breach(("compare",), "compare needs a 'baseline', or 'cka: true'")
    for index, check in enumerate(_items(tree.get("checks"))):
        if isinstance(check, dict):
            yield from _check(check, ("checks", index), compared=_has_baseline(tree.get("compare")))


def _has_baseline(compare: Any) -> bool:
    return isinstance(compare, dict) and bool(compare.get("baseline"))


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _repeated_names(entries: list[Any], loc: Loc, complaint: str) -> Iterator[Breach]:
    seen: dict[str, int] = {}
    for index, entry in enumerate(entries):
        name = entry.get("name") if isinstance(entry, dict) else None
        if isinstance(name, str) and seen.setdefault(name, index) != index:
            yield Breach(
                (*loc, index, "name"), f"{complaint} {quote(name)} (the first is {spell((*loc, seen[name]))})"
            )


def _model(model: dict[str, Any], loc: Loc) -> Iterator[Breach]:
    source = model.get("source")
    checkpoints = _items(model.get("checkpoints"))
    yield from _transform(model.get("transform"), (*loc, "transform"))
    yield from _repeated_names(checkpoints, (*loc, "checkpoints"), "two checkpoints of this model are called")
    if source == "none":
        yield from _without_a_model(model, checkpoints, loc)
    foreign = isinstance(source, str) and source.startswith("python:")
    for index, entry in enumerate(checkpoints):
        path = entry.get("path") if isinstance(entry, dict) else entry
        place = (
            (*loc, "checkpoints", index, "path") if isinstance(entry, dict) else (*loc, "checkpoints", index)
        )
        if not isinstance(path, str):
            continue
        if foreign and path.startswith("weights:"):
            yield Breach(
                place,
                f"only torchvision and timm publish weights; {quote(str(source))} needs a file or random:SEED",
            )
        if isinstance(entry, dict):
            yield from _of_files(entry, path, place[:-1])
    if foreign and model.get("transform") == "weights":
        yield Breach((*loc, "transform"), "the transform 'weights' needs a torchvision or timm source")
    args = model.get("args")
    for key in args if isinstance(args, dict) else ():
        if not key.isidentifier():
            yield Breach(
                (*loc, "args", key), f"expected the name of a Python argument, got {quote(key)}", at_key=True
            )


def _without_a_model(model: dict[str, Any], checkpoints: list[Any], loc: Loc) -> Iterator[Breach]:
    """Yield what says nothing where only a file's tensors are measured."""
    for key in ("args", "layers", "images", "transform"):
        if model.get(key):
            yield Breach(
                (*loc, key), f"source: none measures the tensors of files alone: remove {key!r}", at_key=True
            )
    for index, entry in enumerate(checkpoints):
        path = entry.get("path") if isinstance(entry, dict) else entry
        place: Loc = (*loc, "checkpoints", index, *(("path",) if isinstance(entry, dict) else ()))
        if isinstance(path, str) and path.startswith(("random:", "weights:")):
            yield Breach(place, f"source: none needs a file, got {quote(path)}")
        for key in ("strict", "allow_missing", "allow_unexpected") if isinstance(entry, dict) else ():
            if entry.get(key) is not None:
                yield Breach(
                    (*loc, "checkpoints", index, key),
                    f"source: none has no model that a file could differ from: remove {key!r}",
                    at_key=True,
                )


def _of_files(entry: dict[str, Any], path: str, loc: Loc) -> Iterator[Breach]:
    """Yield what only a file can have, where the path names none, and what cannot go together."""
    if path.startswith(("weights:", "random:")) and entry.get("key") is not None:
        yield Breach((*loc, "key"), f"a key belongs to a file, but the path is {quote(path)}")
    for key in ("strict", "allow_missing", "allow_unexpected"):
        if entry.get(key) is None:
            continue
        if path.startswith("random:"):
            yield Breach((*loc, key), f"{key} belongs to a file, but the path is {quote(path)}: remove it")
        elif key != "strict" and entry.get("strict") is False and entry[key]:
            yield Breach((*loc, key), f"{key} says nothing beside strict: false, which allows everything")


def _transform(transform: Any, loc: Loc) -> Iterator[Breach]:
    if not isinstance(transform, dict):
        return
    size, resize, crop = transform.get("size"), transform.get("resize"), transform.get("crop")
    if size is not None and resize is not None:
        yield Breach(
            (*loc, "resize"),
            "size and resize exclude each other: size is exact, resize sets the shorter side",
        )
    before_crop: list[Any] = size if isinstance(size, list) else [resize]
    sides = [side for side in before_crop if _whole(side)]
    if isinstance(crop, int) and _whole(crop) and sides and crop > min(sides):
        yield Breach(
            (*loc, "crop"), f"expected at most {min(sides)}, the shorter side before the crop, got {crop}"
        )
    color = transform.get("color", "RGB")
    channels = {"RGB": 3, "L": 1}.get(color) if isinstance(color, str) else None
    for key in ("mean", "std"):
        numbers = transform.get(key)
        if channels and isinstance(numbers, list) and numbers and len(numbers) != channels:
            wanted = f"1 number, or a list of {channels}" if channels > 1 else "1 number"
            yield Breach((*loc, key), f"expected {wanted} (color is {color}), got {len(numbers)}")


def _check(check: dict[str, Any], loc: Loc, *, compared: bool) -> Iterator[Breach]:
    limits = [key for key in LIMITS if check.get(key) is not None]
    if not limits:
        yield Breach(loc, f"expected a limit: {join_words(LIMITS)}")
    low, high = check.get("min"), check.get("max")
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (low, high))
    if numbers and low > high:  # type: ignore[operator]
        yield Breach((*loc, "min"), f"min is greater than max ({describe(low)} > {describe(high)})")
    for key in limits:
        if key in INCREASES and not compared and check.get("metric") not in OF_COMPARISON:
            yield Breach(
                (*loc, key), f"{key} needs a baseline: add 'compare: {{baseline: RUN_ID}}'", at_key=True
            )
        elif key != "equals" and "equals" in limits:
            yield Breach((*loc, key), f"equals leaves nothing to {key}: remove one of them", at_key=True)
    yield from _of_comparison(check, loc, compared=compared)
    yield from _reach(check, loc)


def _of_comparison(check: dict[str, Any], loc: Loc, *, compared: bool) -> Iterator[Breach]:
    """Yield what is wrong with a check of a number that is itself a difference from the baseline."""
    metric = check.get("metric")
    if not isinstance(metric, str) or metric not in OF_COMPARISON:
        return
    if not compared:
        hint = "needs a baseline: add 'compare: {baseline: RUN_ID}'"
        yield Breach((*loc, "metric"), f"{quote(metric)} {hint}")
    for key in INCREASES:
        if check.get(key) is not None:
            yield Breach(
                (*loc, key), f"{quote(metric)} is told against the baseline already: write max", at_key=True
            )


def _reach(check: dict[str, Any], loc: Loc) -> Iterator[Breach]:
    """Yield where a check's scope or layers do not go with its metric."""
    metric, scope = find(check.get("metric")), check.get("scope")
    if metric is None:
        return
    if metric.of == "run":
        if scope == "layer":
            yield Breach((*loc, "scope"), f"{quote(metric.path)} is one number of the run: remove the scope")
        if check.get("layers") is not None and check["layers"] != "*":
            yield Breach(
                (*loc, "layers"), f"{quote(metric.path)} belongs to no layer: remove 'layers'", at_key=True
            )
    elif scope == "run" and not metric.counts:
        what = "is no count, so no sum over layers"
        yield Breach(
            (*loc, "scope"), f"{quote(metric.path)} {what}: remove the scope, or take one of summary"
        )
