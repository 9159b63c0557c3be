"""How every measure of a layer goes over the checkpoints of its model, in their order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from featreport.judge.findings import tap_name
from featreport.results.schema import Activation, Results, Run, Weight
from featreport.tables.table import Field, Table, tabulate

_TAU = "0.025"
_FEWEST = 2  # checkpoints
Item = TypeVar("Item")


@dataclass(frozen=True)
class Measure(Generic[Item]):
    """A share from 0 to 1 of a layer or a tensor; None where it has none."""

    label: str
    of: Callable[[Item], float | None]


@dataclass(frozen=True)
class Trajectories:
    """The shares of the layers, or of the weights, of several checkpoints of one model."""

    model: str
    what: str  # "layers", "weights"
    checkpoints: tuple[str, ...]
    measures: tuple[str, ...]
    rows: tuple[
        tuple[str, tuple[tuple[float | None, ...], ...]], ...
    ]  # name; for each measure a share of each


_OF_TAPS: tuple[Measure[Activation], ...] = (
    Measure("Silent", lambda tap: tap.dead_fraction),
    Measure(
        "Dormant", lambda tap: _part(len((tap.dormant or {}).get(_TAU, [])), tap) if tap.dormant else None
    ),
    Measure("Rare", lambda tap: None if tap.rare is None else _part(len(tap.rare), tap)),
    Measure("Zero", lambda tap: tap.zero_fraction),
    Measure("Near zero", lambda tap: tap.near_zero_fraction),
    Measure(
        "Effective rank", lambda tap: None if tap.effective_rank is None else _part(tap.effective_rank, tap)
    ),
)
_OF_WEIGHTS: tuple[Measure[Weight], ...] = (
    Measure("Dead filters", lambda one: one.dead_fraction),
    Measure("Zero", lambda one: one.zero_fraction),
    Measure("Near zero", lambda one: one.near_zero_fraction),
    Measure("Redundant", lambda one: one.redundant_fraction),
)


def trajectories(results: Results) -> tuple[Trajectories, ...]:
    """Return the trajectories of each model with two or more finished checkpoints: of its layers, of its weights."""
    models: dict[str, list[Run]] = {}
    for run in results.runs:
        if run.status == "ok":
            models.setdefault(run.model, []).append(run)
    several = [(model, runs) for model, runs in models.items() if len(runs) >= _FEWEST]
    found = [
        one
        for model, runs in several
        for one in (
            _of(model, "layers", runs, _OF_TAPS, lambda run: {tap_name(tap): tap for tap in run.activations}),
            _of(
                model,
                "weights",
                runs,
                _OF_WEIGHTS,
                lambda run: {one.name: one for one in run.weights if one.kind == "weight"},
            ),
        )
    ]
    return tuple(one for one in found if one.rows)


def trajectory_table(results: Results) -> Table:
    """Return them as one row for each model, layer or tensor, measure and checkpoint."""
    fields: list[Field[tuple[Trajectories, str, int, int, float]]] = [
        Field("model", "Model", "text", lambda row: row[0].model),
        Field("of", "Of", "text", lambda row: row[0].what),
        Field("name", "Layer or tensor", "text", lambda row: row[1]),
        Field("measure", "Measure", "text", lambda row: row[0].measures[row[2]]),
        Field("checkpoint", "Checkpoint", "text", lambda row: row[0].checkpoints[row[3]]),
        Field("share", "Share", "share", lambda row: row[4]),
    ]
    return tabulate("trajectories", "Every measure over checkpoints", fields, _lines(results))


def _lines(results: Results) -> Iterator[tuple[Trajectories, str, int, int, float]]:
    for one in trajectories(results):
        for name, shares in one.rows:
            for measure, line in enumerate(shares):
                for place, share in enumerate(line):
                    if share is not None:
                        yield one, name, measure, place, share


def _of(
    model: str,
    what: str,
    runs: list[Run],
    measures: tuple[Measure[Item], ...],
    items: Callable[[Run], dict[str, Item]],
) -> Trajectories:
    columns = [items(run) for run in runs]
    names = dict.fromkeys(name for column in columns for name in column)
    rows = []
    for name in names:
        found = [column.get(name) for column in columns]
        shares = tuple(
            tuple(None if one is None else measure.of(one) for one in found) for measure in measures
        )
        if any(share is not None for line in shares for share in line):
            rows.append((name, shares))
    kept = [
        place
        for place in range(len(measures))
        if any(share is not None for _, line in rows for share in line[place])
    ]
    return Trajectories(
        model,
        what,
        tuple(run.checkpoint for run in runs),
        tuple(measures[place].label for place in kept),
        tuple((name, tuple(line[place] for place in kept)) for name, line in rows),
    )


def _part(count: float, tap: Activation) -> float | None:
    return count / tap.channels if tap.channels else None
