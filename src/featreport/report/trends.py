"""What the page says of the builds before this one."""

from __future__ import annotations

from collections.abc import Sequence

from featreport.figures import trend
from featreport.report import formats
from featreport.report.cells import Cell
from featreport.report.page import ChartFigure, Trends
from featreport.report.rows import name
from featreport.results.schema import PastBuild, PastRun, Results

ROWS = 12  # builds in the table; the charts and their CSV have all
COLUMNS = 8  # runs in it
MEASURES = (
    ("dead_fraction", "Silent channels over builds", "silent channels at rectifiers"),
    ("near_zero_fraction", "Near-zero weights over builds", "near-zero values in conv and linear weights"),
)


def view(results: Results) -> Trends | None:
    """Return the trends, or None where no earlier build has a run of this one."""
    history = results.history
    if history is None:
        return None
    now = PastBuild(number=0, runs=[PastRun.of(run) for run in results.runs])
    builds = [*history.builds, now]
    known = {run.id for build in history.builds for run in build.runs}
    ids = [run.id for run in results.runs if run.id in known]
    if not ids:
        return None
    names = [*(f"build {build.number}" for build in history.builds), "this build"]
    hues = _hues(results)
    figures = [_figure(results, *measure, hues) for measure in MEASURES]
    earlier = formats.plural(history.count, "earlier build")
    shown = "" if history.count == len(history.builds) else f", the newest {len(history.builds)} of them here"
    files = formats.plural(history.unreadable, "file")
    unread = f" {files} of it cannot be read: passed over." if history.unreadable else ""
    again = "One that measured the same as the one before is not counted again."
    sentence = f"{earlier} in the history{shown}. {again}{unread}"
    columns = ids[:COLUMNS]
    rows = tuple(
        (label, tuple(_cell(build, run) for run in columns))
        for label, build in list(zip(names, builds, strict=True))[: -ROWS - 1 : -1]
    )
    rest = f" {formats.plural(len(ids) - COLUMNS, 'more run')} in the CSV." if len(ids) > COLUMNS else ""
    return Trends(
        sentence=sentence,
        charts=tuple(figure for figure in figures if figure is not None),
        runs=tuple(name(run) for run in columns),
        rows=rows,
        caption=f"Share of silent channels, and of near-zero weights under it; newest first.{rest}",
    )


def _hues(results: Results) -> dict[str, str]:
    """Return the colours of runs, the same in every chart: of those whose silent channels changed most, then others."""
    found: dict[str, trend.Track] = {}
    for metric, *_ in MEASURES:
        found = {track.name: track for track in trend.tracks_of(results, metric)[1]} | found
    return trend.colours_of(list(found.values()))


def _figure(results: Results, metric: str, title: str, what: str, hues: dict[str, str]) -> ChartFigure | None:
    names, tracks = trend.tracks_of(results, metric)
    if not tracks:
        return None
    here = {track.name for track in tracks}
    chart = trend.trend(tracks, names, f"trend of {metric}", {k: v for k, v in hues.items() if k in here})
    most = next(iter(trend.colours_of(tracks)))
    first = next(track for track in tracks if track.name == most)
    text = f"Share of {what}. {_words(first, names, alone=len(tracks) == 1)}"
    return ChartFigure(chart, title, text, f"Line chart. {text}", f"{metric.replace('_', '-')}-by-build.csv")


def _words(track: trend.Track, names: Sequence[str], *, alone: bool) -> str:
    """Say how the share went: the last step, and the range before it."""
    known = [(place, share) for place, share in enumerate(track.shares) if share is not None]
    run, (end, now) = formats.shorten(track.name), known[-1]
    if len(known) == 1:
        return f"{run} has it in {names[end]} alone: {formats.percent(now)}."
    (start, last), shares = known[-2], [share for _, share in known[:-1]]
    low, high = formats.percent(min(shares)), formats.percent(max(shares))
    between = f"it was {low}" if low == high else f"it was {low} to {high}"
    which = "" if alone else ", which changed most"
    if len(known) == 2:  # noqa: PLR2004 - one before
        comma = "" if alone else ","
        before = f"{formats.percent(last)} in {names[start]}"
        return f"In {run}{which}{comma} {before}, {formats.percent(now)} in {names[end]}."
    step = "as" if last == now else f"after {formats.percent(last)}"
    return f"In {run}{which}, {between} before; {formats.percent(now)} in {names[end]}, {step} in {names[start]}."


def _cell(build: PastBuild, run: str) -> tuple[Cell, str]:
    """Return the share of silent channels with its parts, and the near-zero share."""
    found = next((one for one in build.runs if one.id == run), None)
    if found is None:
        return Cell("dead_fraction", "", formats.NONE), ""
    if found.status == "failed":
        return Cell("dead_fraction", "", "failed"), ""
    dead, near = found.dead_fraction, found.near_zero_fraction
    parts = "" if dead is None else f" ({formats.part(found.dead_channels or 0, found.channels or 0)})"
    cell = Cell("dead_fraction", formats.exact(dead), f"{formats.percent(dead)}{parts}", formats.heat(dead))
    return cell, "" if near is None else formats.percent(near)
