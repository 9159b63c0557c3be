"""Tables over the depth of a network: the numbers behind the profiles, the comparison and the checkpoints' strips."""

from __future__ import annotations

from collections.abc import Sequence

from featreport.judge.findings import rectifiers, tap_name
from featreport.results.schema import Activation, Results, Run, Weight
from featreport.tables.table import Column, Field, Table, Value, tabulate, within

_FEWEST = 2  # checkpoints that can stand side by side

_DEAD: tuple[Field[tuple[int, Activation]], ...] = (
    Field("position", "Position", "integer", lambda row: row[0]),
    Field("layer", "Rectifier layer", "text", lambda row: row[1].layer),
    Field("call", "Call", "integer", lambda row: row[1].call),
    Field("output", "Output", "text", lambda row: row[1].output),
    Field("dead", "Dead", "integer", lambda row: len(row[1].dead)),
    Field("channels", "Channels", "integer", lambda row: row[1].channels),
    Field("share", "Share", "share", lambda row: len(row[1].dead) / row[1].channels),
)


def dead_by_depth(run: Run) -> Table:
    """Return one row per rectifier that has channels, from the first to the last: its dead channels."""
    return tabulate("dead-by-depth", "Dead channels by depth", _DEAD, _rectified(run))


def near_zero_by_depth(run: Run) -> Table:
    """Return one row per conv or linear weight, from the first to the last: its near-zero weights."""
    fields: list[Field[tuple[int, Weight]]] = [
        Field("position", "Position", "integer", lambda row: row[0]),
        Field("name", "Conv or linear weight", "text", lambda row: row[1].name),
        Field("near_zeros", "Near zeros", "integer", lambda row: row[1].near_zeros),
        Field("count", "Elements", "integer", lambda row: row[1].count),
        Field("share", "Share", "share", lambda row: row[1].near_zero_fraction),
    ]
    kept = [w for w in run.weights if w.kind == "weight" and w.near_zero_fraction is not None]
    return tabulate("near-zero-by-depth", "Near-zero weights by depth", fields, enumerate(kept, start=1))


def comparison(results: Results) -> Table:
    """Return the profile of every run below one another: one row per run and rectifier."""
    fields: list[Field[tuple[Run, tuple[int, Activation]]]] = [
        Field("run", "Run", "text", lambda row: row[0].id),
        *(within(field, _of_tap) for field in _DEAD),
    ]
    rows = [(run, place) for run in results.runs for place in _rectified(run)]
    return tabulate("comparison", "Dead channels by depth, all runs", fields, rows)


def checkpoints(results: Results) -> tuple[tuple[str, Table], ...]:
    """Return (model, table) of each model with two or more checkpoints: layers down, dead shares across."""
    models: dict[str, list[Run]] = {}
    for run in results.runs:
        if run.status == "ok" and rectifiers(run):
            models.setdefault(run.model, []).append(run)
    return tuple(
        (model, _side_by_side(model, runs)) for model, runs in models.items() if len(runs) >= _FEWEST
    )


def _side_by_side(model: str, runs: Sequence[Run]) -> Table:
    columns = [{tap_name(tap): tap for tap in rectifiers(run)} for run in runs]
    names = list(dict.fromkeys(name for column in columns for name in column))
    rows = [(name, *(_dead_fraction(column.get(name)) for column in columns)) for name in names]
    head = (
        Column("layer", "Rectifier layer", "text"),
        *(Column(run.id, run.checkpoint, "share") for run in runs),
    )
    return Table("checkpoints", f"Dead channels of {model}, checkpoints side by side", head, tuple(rows))


def _dead_fraction(tap: Activation | None) -> Value:
    return None if tap is None else tap.dead_fraction


def _of_tap(row: tuple[Run, tuple[int, Activation]]) -> tuple[int, Activation]:
    return row[1]


def _rectified(run: Run) -> list[tuple[int, Activation]]:
    return list(enumerate((tap for tap in rectifiers(run) if tap.channels), start=1))
