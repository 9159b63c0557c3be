"""Comparison → one finished, audited HTML text, in the look of the report and without a script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from featreport.judge.compare import (
    Comparison,
    Difference,
    LayerChange,
    Place,
    RunChange,
    WeightChange,
    worst,
)
from featreport.judge.compare.lines import largest
from featreport.judge.findings import Level
from featreport.report import formats
from featreport.report.anchors import Anchors
from featreport.report.audit import audit
from featreport.report.cells import Cell, Name
from featreport.report.difference_rows import ChangeRow, Moved, layer, moved, tensor
from featreport.report.environment import asset, environment
from featreport.report.rows import name

MOST = 1000  # rows of a table, worst first
LARGEST = 40_000_000  # bytes of a page that no browser should be given
_WORDS: dict[Level, str] = {"fail": "problem", "warn": "worse", "note": "differs", "ok": "the same"}


@dataclass(frozen=True)
class RunDifference:
    """The section of one run."""

    id: str
    anchor: str
    name: Name
    was: Name | None
    status: str
    level: Level
    word: str
    counts: tuple[Cell, Cell]  # layers and tensors that differ
    obstacles: tuple[Difference, ...]
    failures: tuple[tuple[str, str], ...]  # the side, the reason
    notes: tuple[str, ...]
    load: tuple[Difference, ...]
    numbers: tuple[tuple[str, Moved], ...]
    layers: tuple[ChangeRow, ...]  # worst first
    weights: tuple[ChangeRow, ...]
    filters: bool  # whether cosines of filters are known of any
    same: str  # how many do not differ, in a sentence
    added: tuple[
        tuple[str, tuple[Name, ...]], ...
    ]  # a title and names: layers and tensors added and removed, others


@dataclass(frozen=True)
class DifferencePage:
    """The whole page."""

    before: Name
    after: Name
    verdict: str
    largest: str
    level: Level
    notes: tuple[str, ...]
    runs: tuple[RunDifference, ...]
    lost: tuple[tuple[str, tuple[Name, ...]], ...]  # runs of one side only


def render(comparison: Comparison) -> str:
    """Return the page of a comparison, the same bytes for the same comparison.

    Raises:
        OutputError: the finished text would break a promise of the page.
    """
    template = environment().get_template("difference.html.jinja")
    text = template.render(page=assemble(comparison), style=asset("page.css"))
    audit(text, LARGEST)
    return text


def assemble(comparison: Comparison) -> DifferencePage:
    """Return what the page shows."""
    anchors = Anchors()
    for word in ("main", "verdict", "runs", "method"):
        anchors.take(word)
    runs = tuple(_run(comparison, run, anchors) for run in comparison.runs)
    lost = (("Runs only in B", comparison.runs_added), ("Runs only in A", comparison.runs_removed))
    levels: tuple[Level, ...] = ("fail", "warn", "note", "ok")
    return DifferencePage(
        before=name(comparison.before.name),
        after=name(comparison.after.name),
        verdict=comparison.verdict,
        largest=largest(comparison),
        level=min((run.level for run in runs), key=levels.index, default="ok"),
        notes=tuple(comparison.notes),
        runs=runs,
        lost=_named(lost),
    )


def _run(comparison: Comparison, run: RunChange, anchors: Anchors) -> RunDifference:
    level, word = _level(run)
    ranked = [row.change for row in worst(comparison.model_copy(update={"runs": [run]}))]
    layers = [change for change in ranked if isinstance(change, LayerChange)]
    weights = [change for change in ranked if isinstance(change, WeightChange)]
    gone = (
        ("Layers added", [_place(place) for place in run.layers_added]),
        ("Layers removed", [_place(place) for place in run.layers_removed]),
        ("Tensors added", run.weights_added),
        ("Tensors removed", run.weights_removed),
        ("Also not the same", run.other),
    )
    return RunDifference(
        id=run.after,
        anchor=anchors.take("run", run.after),
        name=name(run.after),
        was=name(run.before) if run.before != run.after else None,
        status="failed" if run.status == "failed" else "ok",
        level=level,
        word=word,
        counts=(
            _count("layers_changed", len(layers), len(run.layers), run),
            _count("tensors_changed", len(weights), len(run.weights), run),
        ),
        obstacles=tuple(run.obstacles),
        failures=tuple(
            (side, text) for side, text in zip("AB", run.failures, strict=True) if text is not None
        ),
        notes=tuple(run.notes),
        load=tuple(run.load),
        numbers=tuple(
            (one.metric.replace("_", " "), moved(one, fraction=one.metric.endswith(("fraction", "macro"))))
            for one in run.numbers
        ),
        layers=tuple(layer(change) for change in layers[:MOST]),
        weights=tuple(tensor(change) for change in weights[:MOST]),
        filters=any(change.drift.filters for change in weights[:MOST]),
        same=_same(run, len(layers), len(weights)),
        added=_named(gone),
    )


def _count(metric: str, some: int, whole: int, run: RunChange) -> Cell:
    if run.status != "compared" or not whole:
        return Cell(metric, "", formats.NONE)
    return Cell(metric, str(some), formats.part(some, whole))


def _level(run: RunChange) -> tuple[Level, str]:
    if run.status == "failed":
        return ("fail" if run.differs else "note"), "failed"
    if run.status == "not comparable":
        return "fail", "not comparable"
    died = any(row.channels and row.channels.newly_dead for row in run.layers if row.rectifier)
    died = died or any(row.filters and row.filters.newly_dead for row in run.weights)
    level: Level = "warn" if died else "note" if run.differs else "ok"
    return level, "channels newly dead" if died else _WORDS[level]


def _same(run: RunChange, layers: int, weights: int) -> str:
    """Say how many rows are the same, and how many are left out of a very long table."""
    if run.status != "compared":
        return ""
    same = (
        (len(run.layers) - layers, "layer"),
        (len(run.weights) - weights, "tensor"),
    )
    said = [formats.plural(count, noun) for count, noun in same if count]
    text = f"{' and '.join(said)} without a difference." if said else ""
    left = max(0, layers - MOST) + max(0, weights - MOST)
    if left:
        text += f" The worst {formats.integer(MOST)} of a kind are listed; {formats.integer(left)} more are in --json."
    return text.strip()


def _place(place: Place) -> str:
    output = f" [{place.output}]" if place.output is not None else ""
    return f"{place.layer}{output}{f' (call {place.call})' if place.call else ''}"


def _named(lists: Sequence[tuple[str, list[str]]]) -> tuple[tuple[str, tuple[Name, ...]], ...]:
    """Return those lists of names that hold any."""
    return tuple((title, tuple(map(name, names))) for title, names in lists if names)
