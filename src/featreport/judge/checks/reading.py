"""A check and a run → the numbers it looks at, one for each layer, tensor or run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from featreport.plan.types import CheckPlan
from featreport.results.schema import OF_COMPARISON, Run

Key = tuple[str, int, str | None]
MOMENTS = ("mean", "std", "min", "max")  # none where no value is finite
_NAMES = ("channel", "name", "layer", "path", "one")  # what tells the entries of a list apart


@dataclass(frozen=True)
class Reading:
    """One number; None where the results have none. `entries` are what a count counts: channels or names."""

    layer: str  # or the tensor; empty: the run's own number
    call: int = 0
    output: str | None = None
    value: float | None = None
    entries: tuple[int | str, ...] = ()
    lost: bool = False  # there is no number because values are not finite
    channels: int | None = (
        None  # that its layer or tensor has: an index is the same channel only among as many
    )

    @property
    def key(self) -> Key:
        """What it is matched by between two results."""
        return self.layer, self.call, self.output


def parts(metric: str) -> tuple[str, str, str]:
    """Return what a metric names: a group of a run's numbers, a number in it, and the key of a table or nothing.

    A number of a comparison is told by what it is made of: the dead channels on either side.
    """
    if metric in OF_COMPARISON:
        return OF_COMPARISON[metric], "dead", ""
    group, _, rest = metric.partition(".")
    name, _, key = rest.partition(".")
    return group, name, key


def readings(check: CheckPlan, run: Run) -> list[Reading]:
    """Return the numbers of `run` that a check names; empty: it has no such layer."""
    group, name, key = parts(check.metric)
    owner = run if group == "run" else getattr(run, group)
    if not isinstance(owner, list):
        return [] if owner is None else [_reading(Reading(""), owner, name, key, check)]
    found = []
    for item in owner:
        if check.rectifiers and not item.rectifier:
            continue
        channels = getattr(item, "channels", None)
        if check.metric in OF_COMPARISON and channels is None:  # a bias
            continue
        place = Reading(
            layer_of(item), getattr(item, "call", 0), getattr(item, "output", None), channels=channels
        )
        if _is_meant(place.layer, group, check.layers):
            found.append(_reading(place, item, name, key, check))
    return found


def keys_of(check: CheckPlan, run: Run) -> set[str]:
    """Return the keys that the table which a check names has in any layer; none where it names no table."""
    group, name, _ = parts(check.metric)
    owner = run if group == "run" else getattr(run, group, None)
    items = owner if isinstance(owner, list) else [owner]
    tables = (getattr(item, name, None) for item in items)
    return {key for table in tables if isinstance(table, dict) for key in table}


def names(check: CheckPlan, run: Run) -> list[str]:
    """Return the names of all layers or tensors that the check's `layers` could match."""
    owner = getattr(run, parts(check.metric)[0], None)
    return [layer_of(item) for item in owner] if isinstance(owner, list) else []


def layer_of(item: Any) -> str:
    """Return the layer of a tap or norm, the name of a tensor."""
    return str(item.layer if hasattr(item, "layer") else item.name)


def total(found: Iterable[Reading]) -> Reading:
    """Return the sum of counts over layers, with the layers that have any."""
    values = [reading for reading in found if reading.value is not None]
    layers = tuple(dict.fromkeys(reading.layer for reading in values if reading.value))
    value = float(sum(reading.value or 0 for reading in values)) if values else None
    return Reading("", value=value, entries=layers)


def _is_meant(layer: str, group: str, glob: str) -> bool:
    """Say whether a glob matches a layer; for a tensor, its own name or that of its layer."""
    if fnmatchcase(layer, glob):
        return True
    return group in {"weights", "buffers"} and fnmatchcase(layer.rpartition(".")[0], glob)


def _reading(place: Reading, item: Any, name: str, key: str, check: CheckPlan) -> Reading:
    value = getattr(item, name, None)
    if key:
        value = value.get(key) if isinstance(value, dict) else None
    entries: tuple[int | str, ...] = ()
    if isinstance(value, list):
        told = [_entry(entry) for entry in value]
        kept = [one for one in told if not any(fnmatchcase(str(one), glob) for glob in check.ignore)]
        entries, value = tuple(one for one in dict.fromkeys(kept) if one is not None), len(kept)
    number = float(value) if isinstance(value, bool | int | float) else None
    lost = number is None and name in MOMENTS and bool(getattr(item, "nonfinite", 0))
    return replace(place, value=number, entries=entries, lost=lost)


def _entry(entry: Any) -> int | str | None:
    if isinstance(entry, int | str):
        return entry
    for name in _NAMES:
        found = getattr(entry, name, None)
        if isinstance(found, int | str):
            return found
    return None
