"""Every number of a table against the baseline: how much more or less it is."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from featreport.report import formats
from featreport.report.cells import BufferRow, Cell, Channels, NormRow, TapRow, WeightGroup, WeightRow
from featreport.report.page import OverviewRow
from featreport.results.schema import Results, Run

DEAD, CONSTANT = ("newly dead", "revived"), ("newly constant", "no longer constant")
NEW = "new"
NAMED = 12  # layers that a sentence names
Item = TypeVar("Item")


@dataclass(frozen=True)
class Reference:
    """What the numbers of a run are told against; None: they are not."""

    text: str  # what the reader is told of it, or why there is nothing to tell
    images: Run | None = None  # for what images went through
    weights: Run | None = None  # for weights


def reference(results: Results, run: Run) -> Reference | None:
    """Return what a run is told against; None where the manifest names no baseline."""
    found = next((one for one in results.compared if one.run == run.id), None)
    if found is None:
        return None
    if found.itself:
        return Reference("this run is the baseline")
    inside = next((one for one in results.runs if one.id == found.within), None)
    before = found.before or inside
    if before is None:
        return Reference(f"none: {found.reason}")
    images, weights = (None if reason else before for reason in (found.reason, found.weights_reason))
    if found.reason:
        also = "" if found.weights_reason else "; weights are"
        return Reference(f"{found.baseline}; not comparable ({found.reason}){also}", images, weights)
    return Reference(f"{found.baseline}; changes stand under the numbers", images, weights)


def against(results: Results) -> str:
    """Return what the numbers of the first table are told against, in words; empty: nothing."""
    told = {one.baseline for one in results.compared if one.before is not None or one.within is not None}
    return told.pop() if len(told) == 1 else "the baseline of each run" if told else ""


def in_overview(row: OverviewRow, run: Run, told: Reference) -> OverviewRow:
    """Return the row of the first table with its changes."""
    if run.summary is None:
        return row
    seen, kept = (before.summary if before else None for before in (told.images, told.weights))
    numbers = tuple(
        _changed(cell, getattr(seen if cell.metric == "nonfinite" else kept, cell.metric, None))
        for cell in row.numbers
    )
    return replace(row, dead=_changed(row.dead, getattr(seen, "dead_fraction", None)), numbers=numbers)


def gone(run: Run, told: Reference) -> str:
    """Return a sentence of the layers and tensors that the baseline has and the run has not; empty: none."""
    layers = [] if told.images is None else [tap.layer for tap in told.images.activations]
    tensors = [] if told.weights is None else [tensor.name for tensor in told.weights.weights]
    here = {tap.layer for tap in run.activations} | {tensor.name for tensor in run.weights}
    lost = [name for name in dict.fromkeys([*layers, *tensors]) if name not in here]
    if not lost:
        return ""
    rest = f" and {formats.integer(len(lost) - NAMED)} more" if len(lost) > NAMED else ""
    return f"The baseline also has {', '.join(formats.shorten(name) for name in lost[:NAMED])}{rest}."


def in_taps(rows: Sequence[TapRow], run: Run, told: Reference) -> tuple[TapRow, ...]:
    """Return the rows of the table of taps with their changes."""
    if told.images is None:
        return tuple(rows)
    before = _by(told.images.activations, lambda tap: (tap.layer, tap.call, tap.output))
    return tuple(
        _tap(row, tap, before.get((tap.layer, tap.call, tap.output)))
        for row, tap in zip(rows, run.activations, strict=True)
    )


def in_groups(groups: Sequence[WeightGroup], run: Run, told: Reference) -> tuple[WeightGroup, ...]:
    """Return the tables of parameter tensors with their changes."""
    if told.weights is None:
        return tuple(groups)
    now, before = (_by(one.weights, lambda tensor: tensor.name) for one in (run, told.weights))

    def row(old: WeightRow) -> WeightRow:
        name = old.name.text
        return _weight(old, now[name], before.get(name))

    return tuple(replace(group, rows=tuple(map(row, group.rows))) for group in groups)


def in_norms(rows: Sequence[NormRow], told: Reference) -> tuple[NormRow, ...]:
    """Return the table of norms with its changes."""
    if told.weights is None:
        return tuple(rows)
    before = _by(told.weights.norms, lambda norm: norm.layer)
    return tuple(replace(row, numbers=_all(row.numbers, before.get(row.layer.text))) for row in rows)


def in_buffers(rows: Sequence[BufferRow], told: Reference) -> tuple[BufferRow, ...]:
    """Return the table of buffers with its changes."""
    if told.weights is None:
        return tuple(rows)
    before = _by(told.weights.buffers, lambda buffer: buffer.name)
    return tuple(replace(row, numbers=_all(row.numbers, before.get(row.name.text))) for row in rows)


def _tap(row: TapRow, tap: Any, before: Any) -> TapRow:
    if before is None:
        return replace(row, dead=_said(row.dead, NEW))
    return replace(
        row,
        dead=_listed(row.dead, tap.dead, before.dead, DEAD),
        constant=_listed(row.constant, tap.constant, before.constant, CONSTANT),
        numbers=_all(row.numbers, before),
        rank=_changed(row.rank, before.effective_rank),
    )


def _weight(row: WeightRow, tensor: Any, before: Any) -> WeightRow:
    if before is None:
        numbers = (replace(row.numbers[0], change=NEW), *row.numbers[1:])
        return replace(row, numbers=numbers)
    dead = row.dead and _listed(row.dead, tensor.dead, before.dead, DEAD)
    matrix = tuple(
        replace(some, cell=_changed(some.cell, getattr(before, some.cell.metric, None)))
        for some in row.matrix
    )
    return replace(row, dead=dead, numbers=_all(row.numbers, before), matrix=matrix)


def _listed(some: Channels, now: Sequence[int], before: Sequence[int], words: tuple[str, str]) -> Channels:
    """Return the cell of a list of channels with how many more it has, and which came and went."""
    came, went = sorted({*now} - {*before}), sorted({*before} - {*now})
    if not came and not went:
        return some
    parts = [
        f"{what}: {'channel' if len(found) == 1 else 'channels'} {formats.ranges(found)}"
        for what, found in zip(words, (came, went), strict=True)
        if found
    ]
    told = f"Against the baseline {'; '.join(parts)}."
    change = _signed(len(now) - len(before), formats.integer) or "other ones"
    some = _said(some, change)
    return replace(some, indices=some.indices or "none", note=f"{some.note} {told}".strip())


def _said(some: Channels, change: str) -> Channels:
    return replace(some, cell=replace(some.cell, change=change))


def _all(cells: Iterable[Cell], before: Any) -> tuple[Cell, ...]:
    return tuple(_changed(cell, getattr(before, cell.metric, None)) for cell in cells)


def _changed(cell: Cell, before: Any) -> Cell:
    """Return the cell with how much more or less its number is; as it is where the two are equal."""
    if not cell.value or before is None or not isinstance(before, int | float):
        return cell
    change = float(cell.value) - float(before)
    if not change:
        return cell
    if not cell.metric.endswith("_fraction"):
        return replace(cell, change=_as_its_column(cell, change))
    sign = "+" if change > 0 else formats.MINUS
    points = formats.tenths(abs(change))
    if points == "0.0":
        return replace(cell, change=f"{sign}{formats.NBSP}<{formats.NBSP}0.1{formats.NBSP}pp")
    return replace(cell, change=f"{sign}{points}{formats.NBSP}pp")


def _as_its_column(cell: Cell, change: float) -> str:
    """Return a change with as many decimals as the numbers that it stands among."""
    if float(cell.value).is_integer() and change.is_integer() and cell.places is None:
        return _signed(int(change), formats.integer)
    places = _decimals(cell.text) if cell.places is None else cell.places
    if places is None:
        return _signed(change, formats.number)
    least = 10.0**-places
    if abs(change) <= least / 2:
        sign = "+" if change > 0 else formats.MINUS
        return f"{sign}{formats.NBSP}<{formats.NBSP}{least:.{places}f}"
    return _signed(change, lambda number: formats.fixed(number, places))


def _decimals(text: str) -> int | None:
    """Return how many decimals a number is written with; None for exactly 0 and for powers of ten."""
    if text == "0" or "e" in text:
        return None
    return len(text.partition(".")[2])


def _signed(change: Any, write: Callable[[Any], str]) -> str:
    if not change:
        return ""
    return f"+{write(change)}" if change > 0 else write(change)


def _by(items: Iterable[Item], key: Callable[[Item], Hashable]) -> dict[Hashable, Item]:
    return {key(item): item for item in items}
