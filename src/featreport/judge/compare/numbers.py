"""Numbers before and after, channels by index, and every other field that is not the same."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from pydantic import BaseModel

from featreport.judge.compare.types import Change, ChannelChange
from featreport.results.schema import Frozen


def changes(before: Frozen, after: Frozen, metrics: Sequence[str]) -> list[Change]:
    """Return the change of each of these fields."""
    return [change(metric, getattr(before, metric), getattr(after, metric)) for metric in metrics]


def change(metric: str, before: float | None, after: float | None) -> Change:
    """Return one number's change; none where a side has no value, or their difference is too large for a float."""
    found = None if before is None or after is None else after - before
    if found is not None and not math.isfinite(found):
        found = None
    return Change(metric=metric, before=before, after=after, change=found)


def changed(numbers: Sequence[Change]) -> bool:
    """Say whether any number is not the same."""
    return any(number.before != number.after for number in numbers)


def came_and_went(
    dead: tuple[Sequence[int], Sequence[int]], constant: tuple[Sequence[int], Sequence[int]] = ((), ())
) -> ChannelChange:
    """Return the indices that are in one list and not in the other."""
    return ChannelChange(
        newly_dead=sorted({*dead[1]} - {*dead[0]}),
        revived=sorted({*dead[0]} - {*dead[1]}),
        newly_constant=sorted({*constant[1]} - {*constant[0]}),
        no_longer_constant=sorted({*constant[0]} - {*constant[1]}),
    )


def moved(channels: ChannelChange | None) -> bool:
    """Say whether any channel changed."""
    return channels is not None and any(
        (channels.newly_dead, channels.revived, channels.newly_constant, channels.no_longer_constant)
    )


def others(before: BaseModel, after: BaseModel, known: Collection[str], *, renamed: bool) -> list[str]:
    """Return the names of all further fields that differ; of renamed ones, not where only names do."""
    return [
        name
        for name in _fields(before, after)
        if name not in known and _read(before, name, renamed=renamed) != _read(after, name, renamed=renamed)
    ]


def _fields(before: BaseModel, after: BaseModel) -> Iterator[str]:
    """Yield what is declared, then what only these results have, in an order that does not depend on the side."""
    yield from type(before).model_fields
    yield from sorted({*(before.model_extra or {}), *(after.model_extra or {})})


NAMED = {"same_as", "tied", "module"}  # fields that hold names


def _read(item: BaseModel, name: str, *, renamed: bool) -> Any:
    if renamed and name in NAMED:
        return None
    found = getattr(item, name, None)
    if renamed and name == "deaths":
        return [(death.channel, death.cause, death.proved) for death in found or []]
    return found
