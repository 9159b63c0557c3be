"""Two runs, as far as they may be compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from featreport.judge.compare.comparable import Two, notes, obstacles
from featreport.judge.compare.layers import layer_change, match_taps, match_weights, place, weight_change
from featreport.judge.compare.numbers import change, changed, changes
from featreport.judge.compare.types import Difference, Drift, LayerChange, RunChange, WeightChange
from featreport.report import formats
from featreport.results.schema import Load, Run, Summary, Weight, weights_alone

LISTED = 3  # names in a sentence
NUMBERS = tuple(Summary.model_fields)
OTHER = ("buffers", "norms", "unmeasured")

Pairs = Sequence[tuple[Weight, Weight]]
Drifts = dict[tuple[str, str], Drift]  # by the names on both sides
Exact = Callable[
    [Run, Run, Pairs], tuple[Drifts, list[str]]
]  # drift from both checkpoints, and what is to be said


def run_change(before: Two, after: Two, match: str, *, force: bool, exact: Exact | None = None) -> RunChange:
    """Return what changed of one run; numbers only where nothing forbids it, or where that is overridden."""
    one, other = before[1], after[1]
    base = RunChange.model_validate(
        {"before": one.id, "after": other.id, "match": match, "status": "compared"}
    )
    failures = _failure(one), _failure(other)
    load = _load(one.load, other.load)
    if any(failures):
        update = {
            "status": "failed",
            "failures": failures,
            "load": load,
            "differs": failures[0] != failures[1],
        }
        return base.model_copy(update=update)
    found = {"obstacles": obstacles(before, after), "notes": notes(before, after), "load": load}
    alone = weights_alone(one) or weights_alone(other)
    base = base.model_copy(update={**found, "weights_alone": alone})
    if base.obstacles and not force:
        return base.model_copy(update={"status": "not comparable", "differs": True})
    return _compared(base, one, other, exact)


def _compared(base: RunChange, before: Run, after: Run, exact: Exact | None) -> RunChange:
    taps = match_taps(*(([], []) if base.weights_alone else (before.activations, after.activations)))
    tensors = match_weights(before.weights, after.weights)
    layers = [layer_change(*pair) for pair in taps.pairs]
    pairs = [(one, other) for one, other, _ in tensors.pairs]
    drifts, said = exact(before, after, pairs) if exact is not None and pairs else ({}, [])
    weights = [weight_change(*pair, drifts.get((pair[0].name, pair[1].name))) for pair in tensors.pairs]
    numbers = [change("parameters", before.parameters, after.parameters)]
    if before.summary is not None and after.summary is not None:
        numbers += changes(before.summary, after.summary, _summarised(base))
    other = _others(before, after)
    gone = [*taps.removed, *taps.added, *tensors.removed, *tensors.added]
    summaries = (before.summary is None) != (after.summary is None)
    differs = changed(numbers) or bool(other) or bool(gone) or summaries
    return base.model_copy(
        update={
            "notes": [*base.notes, *_renamed(layers, "layer"), *_renamed(weights, "tensor"), *said],
            "numbers": numbers,
            "layers": layers,
            "layers_added": [place(tap) for tap in taps.added],
            "layers_removed": [place(tap) for tap in taps.removed],
            "weights": weights,
            "weights_added": [one.name for one in tensors.added],
            "weights_removed": [one.name for one in tensors.removed],
            "other": other,
            "differs": differs or any(row.differs for row in layers) or any(row.differs for row in weights),
        }
    )


def _summarised(base: RunChange) -> tuple[str, ...]:
    """Return which numbers of the summary mean something on both sides."""
    of_weights = (
        "weights",
        "near_zero_weights",
        "near_zero_fraction",
        "zero_weights",
        "zero_fraction",
        "dead_filters",
    )
    return of_weights if base.weights_alone else NUMBERS


def _others(before: Run, after: Run) -> list[str]:
    """Return the names of buffers, norms and unmeasured layers that are not the same."""
    found: list[str] = []
    for kind in OTHER:
        if kind != "buffers" and (weights_alone(before) or weights_alone(after)):
            continue  # without a network there are no modules to tell
        one, other = getattr(before, kind), getattr(after, kind)
        if one == other:
            continue
        sides = [
            {str(getattr(row, "name", None) or getattr(row, "layer", "")): row for row in rows}
            for rows in (one, other)
        ]
        names = sorted(key for key in {**sides[0], **sides[1]} if sides[0].get(key) != sides[1].get(key))
        found += [f"{kind}: {name}" for name in names] or [f"{kind}: their order"]
    return found


def _renamed(rows: list[LayerChange] | list[WeightChange], noun: str) -> list[str]:
    """Say which pairs were matched although their names differ."""
    pairs = [
        f"{formats.shorten(_name(row.before), 40)} is {formats.shorten(_name(row.after), 40)}"
        for row in rows
        if row.match == "position"
    ]
    if not pairs:
        return []
    more = f" and {formats.integer(len(pairs) - LISTED)} more" if len(pairs) > LISTED else ""
    what = f"{formats.plural(len(pairs), noun)} of other names {'was' if len(pairs) == 1 else 'were'}"
    return [f"{what} matched by position and shape: {', '.join(pairs[:LISTED])}{more}."]


def _name(where: object) -> str:
    return str(getattr(where, "layer", where))


def _failure(run: Run) -> str | None:
    if run.status != "failed" and run.error is None:
        return None
    if run.error is None:
        return "no reason was left"
    return f"{run.error.stage}: {run.error.message}"


def _load(before: Load | None, after: Load | None) -> list[Difference]:
    """Return the fields of the load audit that differ."""
    if before is None or after is None:
        if before is after:
            return []
        return [Difference(what="load audit", before=_there(before), after=_there(after))]
    return [
        Difference(what=name, before=_text(getattr(before, name)), after=_text(getattr(after, name)))
        for name in Load.model_fields
        if getattr(before, name) != getattr(after, name)
    ]


def _there(load: Load | None) -> str:
    return "none" if load is None else formats.shorten(load.path or load.format, 80)


def _text(value: object) -> str:
    """Return a field of the audit in words."""
    if value is None or value in ("", [], {}):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        names = [str(getattr(entry, "name", entry)) for entry in value]
        more = f" and {formats.integer(len(names) - LISTED)} more" if len(names) > LISTED else ""
        return f"{formats.integer(len(names))}: {', '.join(names[:LISTED])}{more}"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {entry}" for key, entry in value.items())
    return str(value)
