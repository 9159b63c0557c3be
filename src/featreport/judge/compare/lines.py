"""The worst rows as short texts, for a terminal and for Markdown."""

from __future__ import annotations

import math
from dataclasses import dataclass

from featreport.judge.compare.ranking import counts, indices, number, tells, worst
from featreport.judge.compare.types import Change, Comparison, Drift, LayerChange, WeightChange
from featreport.judge.compare.verdict import named
from featreport.report import formats

LAST = 17  # significant digits of a float64
POINT = 100  # percentage points in a fraction of 1


@dataclass(frozen=True)
class Line:
    """A layer or tensor that differs: its name, and what changed; texts are empty where there is nothing to say."""

    run: str
    name: str
    dead: str  # "24 → 36"
    new: str  # "+12 −3": newly dead, revived
    near_zero: str  # in percentage points
    shift: str
    drift: str
    channels: str  # "newly dead 3, 7–9; revived 4"


def lines(comparison: Comparison) -> list[Line]:
    """Return a line for every row that differs, worst first."""
    return [_line(row.run.after, row.change) for row in worst(comparison)]


def largest(comparison: Comparison) -> str:
    """Return the largest drift of a tensor and the largest shift of a layer in a sentence; empty where none moved."""
    weights = [row for run in comparison.runs for row in run.weights if row.drift.relative]
    layers = [row for run in comparison.runs for row in run.layers if row.shift.distance]
    said = []
    if layers:
        layer = max(layers, key=lambda row: row.shift.distance or 0)
        far = formats.number(layer.shift.distance, 2)
        said.append(f"largest shift of a layer's histogram: {far} at {named(layer.after)}")
    if weights:
        one = max(weights, key=lambda row: row.drift.relative or 0)
        told = f"largest drift of a tensor: {drifted(one.drift)} in {named(one.after)}"
        said.append(told + (f" (cosine {cosine(one.drift)})" if one.drift.cosine is not None else ""))
    text = "; ".join(said)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _line(run: str, change: LayerChange | WeightChange) -> Line:
    died, revived = counts(change)
    drift = change.drift if isinstance(change, WeightChange) else None
    told = tells(change)
    return Line(
        run=run,
        name=named(change.after),
        dead=arrow(*(formats.integer(count) for count in change.dead)) if told and any(change.dead) else "",
        new=" ".join([f"+{died}"] * bool(died) + [f"{formats.MINUS}{revived}"] * bool(revived))
        if told
        else "",
        near_zero=points(number(change.numbers, "near_zero_fraction")),
        shift=formats.number(change.shift.distance, 2) if change.shift.distance else "",
        drift=drifted(drift),
        channels=listed(change) if told else "",
    )


def arrow(before: str, after: str) -> str:
    """Return "before → after", or the one text where they are the same."""
    return after if before == after else f"{before} → {after}"


def points(change: Change) -> str:
    """Return the change of a fraction in percentage points, with its sign; empty where there is none."""
    if not change.change:
        return ""
    found = POINT * change.change
    text = formats.tenths(abs(change.change))
    text = formats.number(abs(found), 1) if text == "0.0" else text
    return f"{'+' if found > 0 else formats.MINUS}{text}"


def drifted(drift: Drift | None) -> str:
    """Return the relative drift with its standard error, "0.13 ± 0.01"; empty where there is none."""
    if drift is None or not drift.relative:
        return ""
    text = formats.number(drift.relative, 2)
    return f"{text} ± {formats.number(drift.relative_error, 1)}" if drift.relative_error else text


def cosine(drift: Drift) -> str:
    """Return the cosine with its standard error; empty where there is none."""
    if drift.cosine is None:
        return ""
    if not drift.cosine_error:
        return nearly(drift.cosine, 6)
    places = min(9, max(1, math.ceil(-math.log10(drift.cosine_error))))
    return f"{formats.fixed(drift.cosine, places)} ± {formats.number(drift.cosine_error, 1)}"


def nearly(cosine: float, digits: int) -> str:
    """Return an exact cosine with so many digits, and more where fewer would make it 1."""
    while digits < LAST and abs(float(f"{cosine:.{digits}g}")) == 1 != abs(cosine):
        digits += 1
    return f"{cosine:.{digits}g}".replace("-", formats.MINUS)


def least(drift: Drift) -> tuple[float, int] | None:
    """Return the lowest cosine of an output channel, and which has it; None where none is known."""
    known = [(value, place) for place, value in enumerate(drift.filters or ()) if value is not None]
    return min(known, default=None)


def listed(change: LayerChange | WeightChange, most: int = 64) -> str:
    """Return which channels are newly dead and which revived."""
    found = indices(change)
    if found is None:
        return "numbers of channels differ" if change.counts[0] != change.counts[1] else ""
    said = (("newly dead", found.newly_dead), ("revived", found.revived))
    return "; ".join(f"{what} {shown(some, most)}" for what, some in said if some)


def shown(channels: list[int], most: int) -> str:
    """Return channels as ranges, at most so many of them."""
    text = formats.ranges(channels[:most])
    left = len(channels) - most
    return f"{text} and {formats.integer(left)} more" if left > 0 else text
