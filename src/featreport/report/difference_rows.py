"""Rows of the page of a comparison: layers and tensors that differ; every number is already text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from featreport.judge.compare import Change, ChannelChange, LayerChange, WeightChange
from featreport.judge.compare.lines import arrow, cosine, drifted, least, nearly, shown
from featreport.judge.compare.ranking import number, tells
from featreport.report import formats
from featreport.report.cells import Cell, Channels, Name
from featreport.report.rows import name

LISTED = 256  # channels that a cell lists
SHARES = ("zero_fraction", "near_zero_fraction")
MOMENTS = ("mean", "std", "min", "max")


@dataclass(frozen=True)
class Moved:
    """A number before and after: `value` is the change in full precision."""

    metric: str
    value: str
    before: str
    after: str
    text: str
    heat: int = 0


@dataclass(frozen=True)
class ChangeRow:
    """One layer or tensor; `was` is its other name, in the baseline."""

    name: Name
    was: Name | None
    call: int
    output: str | None
    module: str
    shape: str
    dead: Moved
    channels: tuple[Channels, ...]  # newly dead, revived, newly constant, no longer constant
    numbers: tuple[Moved, ...]
    shift: Cell
    drift: tuple[Cell, ...]  # of a tensor: drift, cosine, the lowest cosine of a filter
    other: str


def layer(change: LayerChange) -> ChangeRow:
    """Return the row of a tap."""
    return ChangeRow(
        name=name(change.after.layer),
        was=name(change.before.layer) if change.before.layer != change.after.layer else None,
        call=change.after.call,
        output=change.after.output,
        module=arrow(*change.modules),
        shape=arrow(*map(formats.shape, change.shapes)),
        dead=_dead(change),
        channels=_channels(change.channels, change.counts, constant=True),
        numbers=_numbers(
            change.numbers, ("dormant_fraction", *SHARES), ("nonfinite", *MOMENTS, "effective_rank")
        ),
        shift=_shift(change),
        drift=(),
        other=_others(change.other),
    )


def tensor(change: WeightChange) -> ChangeRow:
    """Return the row of a parameter tensor."""
    said = drifted(change.drift)
    if not said:
        said = formats.NONE if change.drift.relative is None else "0"
    return ChangeRow(
        name=name(change.after),
        was=name(change.before) if change.before != change.after else None,
        call=0,
        output=None,
        module=arrow(*change.kinds),
        shape=arrow(*map(formats.shape, change.shapes)),
        dead=_dead(change),
        channels=_channels(change.filters, change.counts, constant=False),
        numbers=_numbers(change.numbers, SHARES, ("nonfinite", *MOMENTS, "spectral_norm")),
        shift=_shift(change),
        drift=(
            Cell("drift", formats.exact(change.drift.relative), said),
            Cell("cosine", formats.exact(change.drift.cosine), cosine(change.drift) or formats.NONE),
            _least(change),
        ),
        other="; ".join(filter(None, (change.drift.reason or "", _others(change.other)))),
    )


def moved(change: Change, *, fraction: bool, heat: int = 0) -> Moved:
    """Return the cell of a number before and after."""
    sides = change.before, change.after
    if fraction:
        text = arrow(*map(formats.percent, sides))
    elif any(isinstance(side, float) for side in sides):
        text = arrow(*map(formats.number, sides))
    else:
        text = arrow(*(formats.integer(None if side is None else int(side)) for side in sides))
    if change.before != change.after and "→" not in text:  # a difference in digits that are not shown
        text = f"{text} (last digits)"
    return Moved(
        change.metric,
        formats.exact(change.change),
        formats.exact(change.before),
        formats.exact(change.after),
        text,
        heat,
    )


def _dead(change: LayerChange | WeightChange) -> Moved:
    """Return the share of dead channels before and after, as "24 → 36 of 64"."""
    found = number(change.numbers, "dead_fraction")
    base = moved(found, fraction=True, heat=_heat(found) if tells(change) else 0)
    if change.counts[1] is None:
        return Moved(base.metric, base.value, base.before, base.after, formats.NONE)
    if change.counts[0] == change.counts[1]:
        text = f"{arrow(*map(formats.integer, change.dead))} of {formats.integer(change.counts[1])}"
    else:
        text = arrow(
            *(formats.part(*pair) for pair in zip(change.dead, (n or 0 for n in change.counts), strict=True))
        )
    return Moved(base.metric, base.value, base.before, base.after, text, base.heat)


def _heat(change: Change) -> int:
    """Shade what got worse."""
    return formats.heat(change.change) if change.change and change.change > 0 else 0


def _channels(
    found: ChannelChange | None, counts: tuple[int | None, int | None], *, constant: bool
) -> tuple[Channels, ...]:
    keys = ("newly_dead", "revived", *(("newly_constant", "no_longer_constant") if constant else ()))
    if found is None:
        note = "" if counts[0] == counts[1] else "their numbers differ"
        return tuple(Channels(Cell(key, "", formats.NONE), note, "") for key in keys)
    return tuple(_some(key, getattr(found, key)) for key in keys)


def _some(key: str, channels: list[int]) -> Channels:
    return Channels(
        Cell(key, str(len(channels)), formats.integer(len(channels))), "", shown(channels, LISTED)
    )


def _numbers(changes: Sequence[Change], shares: Sequence[str], others: Sequence[str]) -> tuple[Moved, ...]:
    return (
        *(moved(number(changes, metric), fraction=True) for metric in shares),
        *(moved(number(changes, metric), fraction=False) for metric in others),
    )


def _shift(change: LayerChange | WeightChange) -> Cell:
    found = change.shift.distance
    return Cell("shift", formats.exact(found), formats.NONE if found is None else formats.number(found, 2))


def _least(change: WeightChange) -> Cell:
    found = least(change.drift)
    if found is None:
        return Cell("lowest_filter_cosine", "", formats.NONE)
    value, place = found
    text = f"{nearly(value, 4)} ({formats.integer(place)})"
    return Cell("lowest_filter_cosine", formats.exact(value), text)


def _others(fields: Sequence[str]) -> str:
    return ", ".join(formats.shorten(field.replace("_", " "), 40) for field in fields)
