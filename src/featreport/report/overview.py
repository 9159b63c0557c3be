"""The first table, and checkpoints of one model side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from featreport.figures.cells import bar
from featreport.judge.findings import Level, rectifiers, tap_name
from featreport.report import formats
from featreport.report.audits import load_level
from featreport.report.cells import Cell
from featreport.report.page import CompareCell, CompareTable, OverviewRow, StripCell
from featreport.report.rows import count, name, share
from featreport.results.schema import Activation, Results, Run, distinct, weights_alone

TAU = "0.025"  # of dormant channels
STRIP = 112.0  # the longest strip, in CSS pixels
STRIP_CELL = 10.0
_WORDS: dict[Level, str] = {"fail": "problem", "warn": "warning", "note": "note", "ok": "clean"}


def row(run: Run, href: str, level: Level) -> OverviewRow:
    """Return a run's row of the first table."""
    summary = run.summary
    fraction = summary.dead_fraction if summary else None
    dead = Cell(
        "dead_fraction",
        formats.exact(fraction),
        formats.percent(fraction),
        formats.heat(fraction),
        bar(fraction) if fraction is not None else None,
    )
    strip, width = _strip(run)
    loaded: tuple[Level, str] = (
        load_level(run.load, measured=run.status == "ok") if run.load else ("note", formats.NONE)
    )
    numbers = (
        share("near_zero_fraction", summary.near_zero_fraction if summary else None, with_bar=True),
        share("zero_fraction", summary.zero_fraction if summary else None, with_bar=True),
        _nonfinite(summary.nonfinite if summary else None),
    )
    return OverviewRow(
        id=run.id,
        href=href,
        name=name(run.id),
        level=level,
        status="failed" if run.status == "failed" else _WORDS[level],
        dead=dead,
        dead_parts=_dead_parts(run),
        strip=strip,
        strip_width=width,
        strip_alt=_strip_alt(run),
        numbers=numbers,
        load=loaded[1],
        load_level=loaded[0],
        images=count("images", run.images.count if run.status == "ok" and not weights_alone(run) else None),
        failed_images=f"{formats.integer(len(run.images.failed))} failed" if run.images.failed else "",
        parameters=count("parameters", run.parameters),
    )


def _dead_parts(run: Run) -> str:
    """Return how many of how many; without a rectifier, what is counted in their stead."""
    summary = run.summary
    if summary is None or not run.activations:
        return ""
    if summary.channels:
        return formats.part(summary.dead_channels, summary.channels)
    dormant = sum(len((tap.dormant or {}).get(TAU, [])) for tap in distinct(run.activations))
    return f"{formats.integer(summary.constant_channels)} constant, {formats.integer(dormant)} dormant"


def _nonfinite(value: int | None) -> Cell:
    return Cell("nonfinite", formats.exact(value), formats.integer(value), 7 if value else 0)


def _strip(run: Run) -> tuple[tuple[StripCell, ...], float]:
    taps = rectifiers(run)
    if not taps:
        return (), 0
    step = min(STRIP_CELL, STRIP / len(taps))
    cells = tuple(
        StripCell(round(place * step, 2), formats.heat(tap.dead_fraction), _layer_words(tap))
        for place, tap in enumerate(taps)
    )
    return cells, round(step * len(taps), 2)


def _layer_words(tap: Activation) -> str:
    return f"{tap_name(tap)}: {formats.part(len(tap.dead), tap.channels)}"


def _strip_alt(run: Run) -> str:
    if weights_alone(run):
        return "no activations measured"
    taps = rectifiers(run)
    dead = [tap for tap in taps if tap.dead]
    if not dead:
        return f"{formats.plural(len(taps), 'rectifier layer')}, none with silent channels"
    worst = max(dead, key=lambda tap: tap.dead_fraction or 0)
    part = formats.part(len(dead), len(taps))
    return f"{part} rectifier layers with silent channels; highest share at {_layer_words(worst)}"


def side_by_side(results: Results) -> tuple[CompareTable, ...]:
    """Return tables for each model with at least two finished checkpoints: silent channels, near-zero weights."""
    models: dict[str, list[Run]] = {}
    for run in results.runs:
        if run.status == "ok":
            models.setdefault(run.model, []).append(run)
    lit = {model: [run for run in runs if rectifiers(run)] for model, runs in models.items()}
    silent = [_table(model, runs, _SILENT) for model, runs in lit.items() if len(runs) > 1]
    near = [_table(model, runs, _NEAR) for model, runs in models.items() if len(runs) > 1]
    return tuple(table for table in (*silent, *near) if table.rows)


@dataclass(frozen=True)
class _Compared:
    """What a table compares: the share of each layer of a run, with its parts."""

    title: str
    caption: str
    of: Callable[[Run], dict[str, tuple[float | None, int, int]]]
    step: Callable[[list[Run]], str] | None = None  # what happens between two checkpoints, in words


def _table(model: str, runs: list[Run], compared: _Compared) -> CompareTable:
    columns = [compared.of(run) for run in runs]
    names = list(dict.fromkeys(key for column in columns for key in column))
    rows = tuple((name(key), tuple(_compare(column.get(key)) for column in columns)) for key in names)
    checkpoints = tuple(name(run.checkpoint) for run in runs)
    step = compared.step(runs) if compared.step else ""
    return CompareTable(name(model), compared.title, compared.caption, checkpoints, rows, step)


def _step(runs: list[Run]) -> str:
    """Return between which two checkpoints, one after the other, most channels fall silent, and where."""
    steps = []
    for place, (one, other) in enumerate(pairwise(runs)):
        before = {tap_name(tap): set(tap.dead) for tap in rectifiers(one)}
        lost = {
            tap_name(tap): len({*tap.dead} - before[tap_name(tap)])
            for tap in rectifiers(other)
            if tap_name(tap) in before
        }
        steps.append((sum(lost.values()), -place, lost))
    count, place, lost = max(steps, key=lambda step: step[:2])
    if not count:
        return "No channel that fires at one checkpoint is silent at the next."
    worst = max(lost, key=lambda layer: lost[layer])
    earlier, later = (formats.shorten(run.checkpoint) for run in runs[-place : 2 - place])
    where = (
        f"all at {formats.shorten(worst)}"
        if lost[worst] == count
        else f"most at {formats.shorten(worst)}: {formats.integer(lost[worst])}"
    )
    return f"Most fall silent between {earlier} and {later}: {formats.plural(count, 'channel')}, {where}."


def _compare(found: tuple[float | None, int, int] | None) -> CompareCell:
    if found is None:
        return CompareCell(formats.NONE, "", 0, "")
    fraction, part, whole = found
    parts = formats.part(part, whole) if part else ""
    return CompareCell(formats.percent(fraction), parts, formats.heat(fraction), formats.exact(fraction))


_SILENT = _Compared(
    "silent channels",
    "Share of silent channels at each rectifier",
    lambda run: {tap_name(tap): (tap.dead_fraction, len(tap.dead), tap.channels) for tap in rectifiers(run)},
    _step,
)
_NEAR = _Compared(
    "near-zero weights",
    "Share of near-zero values in each conv or linear weight",
    lambda run: {
        one.name: (one.near_zero_fraction, one.near_zeros, one.count)
        for one in run.weights
        if one.kind == "weight"
    },
)
