"""Which numbers of the results a check can name: read from the types of the results themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from featreport.manifest.scalars import did_you_mean, join_words, nearest, quote
from featreport.results.schema import OF_COMPARISON, Run

_PICTURES = {"maps", "kernels", "kernel_norms"}  # how the page shows it, not what was measured
_NO_COUNT = {"call", "channel_axis", "shape", "matrix", "fired_images"}  # their length or size says nothing


@dataclass(frozen=True)
class Metric:
    """A number of the results, e.g. `activations.dead`: a list counts by its length, yes and no by 1 and 0."""

    path: str
    of: Literal["layer", "run"]  # one for each layer or tensor, or one for the run
    counts: bool  # whether it is a count, so that a sum over layers means something
    keyed: bool = False  # whether a key follows: activations.dormant.0.025


def find(path: object) -> Metric | None:
    """Return the metric a path names, or None."""
    if not isinstance(path, str):
        return None
    if path in OF_COMPARISON:
        return known()[path]
    group, _, rest = path.partition(".")
    name, _, key = rest.partition(".")
    metric = known().get(f"{group}.{name}")
    return metric if metric is not None and metric.keyed == bool(key) else None


def problem(path: str) -> str | None:
    """Return what is wrong with the path of a metric, with the one that was probably meant."""
    if find(path) is not None:
        return None
    group, dot, rest = path.partition(".")
    groups = list(dict.fromkeys(name.partition(".")[0] for name in known() if name not in OF_COMPARISON))
    if group in OF_COMPARISON:
        return f"{quote(group)} has no parts, got {quote(path)}"
    if group not in groups or not dot:
        compared = nearest(path, [*OF_COMPARISON])
        if compared is not None:
            return f"unknown metric {quote(path)} (did you mean {quote(compared)}?)"
        forms = join_words(f"{one}.NAME" for one in groups)
        return f"expected {forms}, got {quote(path)}{did_you_mean(group, groups)}"
    metric = known().get(f"{group}.{rest.partition('.')[0]}")
    if metric is not None:
        what = "needs a key after it" if metric.keyed else "has no parts"
        return f"{quote(metric.path)} {what}, got {quote(path)}"
    names = [name.partition(".")[2] for name in known() if name.startswith(f"{group}.")]
    meant = nearest(rest, names)
    meant = f"{group}.{meant}" if meant else nearest(rest, [*OF_COMPARISON])
    hint = f"did you mean {quote(meant)}?" if meant else f"known in {group}: {', '.join(names)}"
    return f"unknown metric {quote(path)} ({hint})"


@cache
def known() -> dict[str, Metric]:
    """Return every metric by its path, in the order of the results; read-only."""
    compared = [Metric(path, "layer", counts=True) for path in OF_COMPARISON]
    return {metric.path: metric for metric in (*_of_runs(), *compared)}


def _of_runs() -> Iterator[Metric]:
    for name, field in Run.model_fields.items():
        kinds = list(_kinds(field.annotation))
        models = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        inner = [arg for kind in kinds for arg in _listed(kind)]
        if name in _PICTURES or name == "error":
            continue
        if models:
            yield from _fields(models[0], name, "run")
        elif inner and {"layer", "name"} & set(inner[0].model_fields):
            yield from _fields(inner[0], name, "layer")
    yield from _fields(Run, "run", "run")


def _fields(model: type[BaseModel], group: str, of: Literal["layer", "run"]) -> Iterator[Metric]:
    nested = {path for path in Run.model_fields if path in _PICTURES} if model is Run else set()
    for name, field in model.model_fields.items():
        kind = next(_kinds(field.annotation))
        if name in _NO_COUNT | nested:
            continue
        path = f"{group}.{name}"
        if get_origin(kind) is dict:
            value = next(_kinds(get_args(kind)[1]))
            if value is int or get_origin(value) is list:
                yield Metric(path, of, counts=True, keyed=True)
        elif kind in {int, bool} or get_origin(kind) is list:
            yield Metric(path, of, counts=True)
        elif kind is float:
            yield Metric(path, of, counts=False)


def _kinds(annotation: Any) -> Iterator[Any]:
    """Yield the types an annotation allows, without None and without what validates them."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _kinds(get_args(annotation)[0])
    elif origin in {Union, UnionType}:
        for one in get_args(annotation):
            yield from _kinds(one)
    elif annotation is not type(None):
        yield annotation


def _listed(kind: Any) -> list[type[BaseModel]]:
    if get_origin(kind) is not list:
        return []
    return [arg for arg in get_args(kind) if isinstance(arg, type) and issubclass(arg, BaseModel)]
