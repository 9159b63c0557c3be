"""The first table, and checkpoints of one model side by side."""

from __future__ import annotations

from featreport.figures.cells import bar
from featreport.judge.findings import Level, rectifiers, tap_name
from featreport.report import formats
from featreport.report.audits import load_level
from featreport.report.cells import Cell, Name
from featreport.report.page import CompareCell, CompareTable, OverviewRow, StripCell
from featreport.report.rows import count, name, share
from featreport.results.schema import Activation, Results, Run, weights_alone

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
    loaded: tuple[Level, str] = load_level(run.load) if run.load else ("note", formats.NONE)
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
        dead_parts=formats.part(summary.dead_channels, summary.channels)
        if summary and summary.channels
        else "",
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
    return f"{formats.part(len(dead), len(taps))} rectifier layers with silent channels; most: {_layer_words(worst)}"


def side_by_side(results: Results) -> tuple[CompareTable, ...]:
    """Return a table for each model with at least two finished checkpoints and a rectifier."""
    models: dict[str, list[Run]] = {}
    for run in results.runs:
        if run.status == "ok" and rectifiers(run):
            models.setdefault(run.model, []).append(run)
    return tuple(_table(model, runs) for model, runs in models.items() if len(runs) > 1)


def _table(model: str, runs: list[Run]) -> CompareTable:
    columns = [{tap_name(tap): tap for tap in rectifiers(run)} for run in runs]
    names = list(dict.fromkeys(key for column in columns for key in column))
    rows = tuple((name(key), tuple(_compare(column.get(key)) for column in columns)) for key in names)
    return CompareTable(name(model), tuple(_checkpoint(run) for run in runs), rows)


def _checkpoint(run: Run) -> Name:
    return name(run.checkpoint)


def _compare(tap: Activation | None) -> CompareCell:
    if tap is None:
        return CompareCell(formats.NONE, "", 0, "")
    parts = formats.part(len(tap.dead), tap.channels)
    return CompareCell(
        formats.percent(tap.dead_fraction),
        parts,
        formats.heat(tap.dead_fraction),
        formats.exact(tap.dead_fraction),
    )
