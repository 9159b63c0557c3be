"""Tables over the depth of a network: the numbers behind the profiles, the comparisons and the checkpoints' grids."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from featreport.judge.findings import rectifiers, tap_name
from featreport.results.schema import Activation, Results, Run, Weight
from featreport.tables.table import Column, Field, Item, Table, Value, tabulate, within

TAU = "0.025"  # of the dormant channels that are drawn
_FEWEST = 2  # checkpoints that can stand side by side
Placed = tuple[int, Item]  # a layer behind its position, from 1

_TAP: tuple[Field[Placed[Activation]], ...] = (
    Field("position", "Position", "integer", lambda row: row[0]),
    Field("layer", "Layer", "text", lambda row: row[1].layer),
    Field("call", "Call", "integer", lambda row: row[1].call),
    Field("output", "Output", "text", lambda row: row[1].output),
)
_DEAD: tuple[Field[Placed[Activation]], ...] = (
    *_TAP,
    Field("dead", "Dead", "integer", lambda row: len(row[1].dead)),
    Field("channels", "Channels", "integer", lambda row: row[1].channels),
    Field("share", "Share", "share", lambda row: len(row[1].dead) / row[1].channels),
)
_DORMANT: tuple[Field[Placed[Activation]], ...] = (
    *_TAP,
    Field("dormant", f"Dormant, τ = {TAU}", "integer", lambda row: len(_dormant(row[1]))),
    Field("channels", "Channels", "integer", lambda row: row[1].channels),
    Field("share", "Share", "share", lambda row: len(_dormant(row[1])) / row[1].channels),
)
_NEAR_ZERO: tuple[Field[Placed[Weight]], ...] = (
    Field("position", "Position", "integer", lambda row: row[0]),
    Field("name", "Conv or linear weight", "text", lambda row: row[1].name),
    Field("near_zeros", "Near zeros", "integer", lambda row: row[1].near_zeros),
    Field("count", "Elements", "integer", lambda row: row[1].count),
    Field("share", "Share", "share", lambda row: row[1].near_zero_fraction),
)


def dead_by_depth(run: Run) -> Table:
    """Return one row per rectifier that has channels, from the first to the last: its dead channels."""
    return tabulate("dead-by-depth", "Dead channels by depth", _DEAD, _rectified(run))


def dormant_by_depth(run: Run) -> Table:
    """Return one row per layer of a network without rectifiers: its dormant channels."""
    taps = [] if rectifiers(run) else [tap for tap in run.activations if tap.channels and tap.dormant]
    return tabulate("dormant-by-depth", "Dormant channels by depth", _DORMANT, enumerate(taps, start=1))


def near_zero_by_depth(run: Run) -> Table:
    """Return one row per conv or linear weight, from the first to the last: its near-zero weights."""
    return tabulate("near-zero-by-depth", "Near-zero weights by depth", _NEAR_ZERO, _weighed(run))


def comparison(results: Results) -> Table:
    """Return the dead channels by depth of all runs below one another: one row per run and rectifier."""
    return _of_all_runs("comparison", "Dead channels by depth, all runs", _DEAD, results, _rectified)


def near_zero_comparison(results: Results) -> Table:
    """Return the near-zero weights by depth of all runs below one another: one row per run and weight."""
    title = "Near-zero weights by depth, all runs"
    return _of_all_runs("near-zero-comparison", title, _NEAR_ZERO, results, _weighed)


@dataclass(frozen=True)
class Compared:
    """A share at each layer of several checkpoints of one model: layers down, checkpoints across."""

    model: str
    what: str
    unit: str  # what the shares are of
    table: Table


def checkpoints(results: Results) -> tuple[Compared, ...]:
    """Return what compares the checkpoints of each model that has two or more: dead channels, near-zero weights."""
    models: dict[str, list[Run]] = {}
    for run in results.runs:
        if run.status == "ok":
            models.setdefault(run.model, []).append(run)
    found = [
        Compared(model, what, unit, _side_by_side(slug, title, shares))
        for model, runs in models.items()
        for slug, title, what, unit, of in _COMPARED
        if len(shares := [(run, share) for run in runs if (share := of(run))]) >= _FEWEST
    ]
    return tuple(found)


def _of_all_runs(
    slug: str,
    title: str,
    fields: Sequence[Field[Placed[Item]]],
    results: Results,
    rows: Callable[[Run], Iterable[Placed[Item]]],
) -> Table:
    mine: list[Field[tuple[Run, Placed[Item]]]] = [
        Field("run", "Run", "text", lambda row: row[0].id),
        *(within(field, _placed) for field in fields),
    ]
    return tabulate(slug, title, mine, ((run, row) for run in results.runs for row in rows(run)))


def _placed(row: tuple[Run, Placed[Item]]) -> Placed[Item]:
    return row[1]


def _side_by_side(slug: str, title: str, shares: Sequence[tuple[Run, dict[str, Value]]]) -> Table:
    names = dict.fromkeys(name for _, share in shares for name in share)
    head = Column("layer", "Layer", "text"), *(Column(run.id, run.checkpoint, "share") for run, _ in shares)
    return Table(
        slug, title, head, tuple((name, *(share.get(name) for _, share in shares)) for name in names)
    )


def _dead_shares(run: Run) -> dict[str, Value]:
    return {tap_name(tap): tap.dead_fraction for tap in rectifiers(run)}


def _near_zero_shares(run: Run) -> dict[str, Value]:
    return {tensor.name: tensor.near_zero_fraction for _, tensor in _weighed(run)}


_COMPARED: tuple[tuple[str, str, str, str, Callable[[Run], dict[str, Value]]], ...] = (
    (
        "checkpoints",
        "Dead channels by checkpoint",
        "Share of dead channels at each rectifier",
        "dead",
        _dead_shares,
    ),
    (
        "near-zero-checkpoints",
        "Near-zero weights by checkpoint",
        "Share of near-zero values in each conv or linear weight",
        "near zero",
        _near_zero_shares,
    ),
)


def _dormant(tap: Activation) -> list[int]:
    return (tap.dormant or {}).get(TAU, [])


def _rectified(run: Run) -> list[Placed[Activation]]:
    return list(enumerate((tap for tap in rectifiers(run) if tap.channels), start=1))


def _weighed(run: Run) -> list[Placed[Weight]]:
    kept = [w for w in run.weights if w.kind == "weight" and w.near_zero_fraction is not None]
    return list(enumerate(kept, start=1))
