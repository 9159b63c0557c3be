"""A comparison in one sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from featreport.judge.compare.ranking import counts, number
from featreport.judge.compare.types import Comparison, LayerChange, Place, RunChange, WeightChange
from featreport.report import formats

LISTED = 3  # runs that a sentence names


def verdict(comparison: Comparison) -> str:
    """Return what a reader must know: whether it may be compared, how much differs, and where it is worst."""
    refused = [run for run in comparison.runs if run.status == "not comparable"]
    compared = [run for run in comparison.runs if run.status == "compared"]
    said = []
    if refused:
        said.append(
            f"Not comparable: {'; '.join(_refused(run) for run in refused[:LISTED])}{_more(refused)}."
        )
    elif comparison.forced:
        forced = [run for run in compared if run.obstacles]
        said.append(f"Forced, not comparable: {'; '.join(map(_refused, forced[:LISTED]))}{_more(forced)}.")
    if compared:
        said.append(_numbers(compared))
    said += _fates(comparison)
    if not said:
        said.append("B does not differ from A." if comparison.runs else "Neither A nor B holds a run.")
    return " ".join(said)


def _more(runs: Sequence[RunChange]) -> str:
    return f" and {len(runs) - LISTED} more" if len(runs) > LISTED else ""


def _refused(run: RunChange) -> str:
    reasons = ", ".join(f"{one.what} ({one.before} in A, {one.after} in B)" for one in run.obstacles)
    return f"{formats.shorten(run.before, 40)} differs in {reasons}"


def _numbers(runs: Sequence[RunChange]) -> str:
    layers = [row for run in runs for row in run.layers]
    tensors = [row for run in runs for row in run.weights]
    changed = [row for row in layers if row.differs]
    drifted = [row for row in tensors if row.differs]
    over = f" of {formats.plural(len(runs), 'run')}" if len(runs) > 1 else ""
    if not any(run.differs for run in runs):
        parts = [
            formats.plural(len(rows), noun) for rows, noun in ((layers, "layer"), (tensors, "tensor")) if rows
        ]
        return f"B does not differ from A{over and f' in the {len(runs)} runs compared'}" + (
            f": {' and '.join(parts)} are the same." if parts else "."
        )
    parts = [
        f"{formats.part(len(some), len(rows))} {noun}"
        for some, rows, noun in ((changed, layers, "layers"), (drifted, tensors, "tensors"))
        if rows
    ]
    told = "; ".join(_told(changed, drifted, runs))
    if not parts:
        return f"B differs from A{over}: {told}." if told else f"B differs from A{over}."
    return f"B differs from A in {' and '.join(parts)}{over}{f': {told}' if told else ''}."


def _told(
    layers: Sequence[LayerChange], weights: Sequence[WeightChange], runs: Sequence[RunChange]
) -> Iterator[str]:
    """Yield the clauses: non-finite values, channels that died and revived, filters, layers gone, the largest move."""
    strays = [number(row.numbers, "nonfinite") for row in layers]
    strays += [number(row.numbers, "nonfinite") for row in weights]
    gained = sum(max(0, int((one.after or 0) - (one.before or 0))) for one in strays)
    told = [f"{formats.plural(gained, 'non-finite value')} more"] if gained else []
    told += _deaths([row for row in layers if row.rectifier], "channel")
    told += _deaths([row for row in weights if any(counts(row))], "filter")
    gone = [
        (sum(len(run.layers_added) for run in runs), sum(len(run.layers_removed) for run in runs), "layer"),
        (
            sum(len(run.weights_added) for run in runs),
            sum(len(run.weights_removed) for run in runs),
            "tensor",
        ),
    ]
    for added, removed, noun in gone:
        told += [f"{formats.plural(added, noun)} added"] if added else []
        told += [f"{formats.plural(removed, noun)} removed"] if removed else []
    yield from told or _largest(layers, weights)


def _deaths(rows: Sequence[LayerChange] | Sequence[WeightChange], noun: str) -> Iterator[str]:
    found = [(row, *counts(row)) for row in rows]
    died, revived = sum(new for _, new, _ in found), sum(back for _, _, back in found)
    if died:
        worst = max(found, key=lambda row: row[1])
        share = "all" if sum(new > 0 for _, new, _ in found) == 1 else "most"
        yield f"{formats.plural(died, noun)} newly dead, {share} at {named(worst[0].after)}"
    if revived:
        yield f"{formats.integer(revived)} revived" if died else f"{formats.plural(revived, noun)} revived"


def _largest(layers: Sequence[LayerChange], weights: Sequence[WeightChange]) -> Iterator[str]:
    moved = [row for row in layers if row.shift.distance]
    if moved:
        row = max(moved, key=lambda row: row.shift.distance or 0)
        yield f"no channel died or revived; largest shift {formats.number(row.shift.distance, 2)} at {named(row.after)}"
    drifted = [row for row in weights if row.drift.relative]
    if drifted and not moved:
        one = max(drifted, key=lambda row: row.drift.relative or 0)
        yield f"largest drift {formats.number(one.drift.relative, 2)} in {named(one.after)}"


def named(place: Place | str) -> str:
    """Return how a sentence names a tap or a tensor."""
    if isinstance(place, str):
        return formats.shorten(place)
    name = formats.shorten(place.layer)
    if place.output is not None:
        name += f" [{formats.shorten(place.output, 24)}]"
    return f"{name} (call {place.call})" if place.call else name


def _fates(comparison: Comparison) -> Iterator[str]:
    """Yield what became of runs without numbers, and of those that only one side has."""
    groups = (
        ("failed in B", [run.after for run in comparison.runs if run.failures[1] and not run.failures[0]]),
        ("failed in A", [run.before for run in comparison.runs if run.failures[0] and not run.failures[1]]),
        ("failed in both", [run.before for run in comparison.runs if run.failures[0] and run.failures[1]]),
        ("only in B", comparison.runs_added),
        ("only in A", comparison.runs_removed),
    )
    for fate, names in groups:
        if names:
            listed = ", ".join(formats.shorten(name, 40) for name in names[:LISTED])
            more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
            yield f"{formats.plural(len(names), 'run')} {fate}: {listed}{more}."
