"""Results → Page: every choice of what is shown where, and no markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import accumulate

from featreport.judge import Finding, Target, judge
from featreport.judge.findings import Level
from featreport.judge.verdict import RunVerdict
from featreport.report import (
    audits,
    changes,
    charts,
    checks,
    data,
    definitions,
    drawings,
    filters,
    likeness,
    overview,
    pixels,
    rows,
    tensors,
    trajectories,
    trends,
)
from featreport.report.anchors import Anchors
from featreport.report.detail import script_safe
from featreport.report.order import order
from featreport.report.page import Fact, Failure, FindingLine, OverviewRow, Page, RunPage
from featreport.report.shelf import Shelf
from featreport.results import codec
from featreport.results.schema import Results, Run, weights_alone

OPEN = 3  # runs with findings: a page of ten open runs takes half a second more to load
ROWS = (
    100  # layers of the runs that start open; the worst opens with more: two more of 60 are a fifth of a load
)
_RESERVED = (
    "verdict",
    "checks",
    "runs",
    "comparison",
    "trends",
    "details",
    "method",
    "main",
    "hatch",
    "grey",
    "left-out",
    "featreport-results",
)


def assemble(results: Results) -> Page:
    """Return the page of `results`."""
    with ThreadPoolExecutor(
        1
    ) as pool:  # the compression lets go of the interpreter while the charts are drawn
        packed = pool.submit(codec.embedded, results)
        page = _page(results)
        return replace(page, results_json=script_safe(packed.result()))


def _page(results: Results) -> Page:
    anchors = Anchors()
    for word in _RESERVED:
        anchors.take(word)
    shelf = Shelf(results, anchors)
    verdict = judge(results)
    places: dict[Target, str] = {}
    listed: dict[str, tuple[str, str]] = {}
    names = [anchors.take("run", run.id) for run in results.runs]
    opened = _opened(results, verdict.runs)
    runs = tuple(
        _run(results, run, name, line, anchors, shelf, places, listed, start_open=run.id in opened)
        for run, name, line in zip(results.runs, names, verdict.runs, strict=True)
    )
    table = tuple(
        _overview(results, run, f"#{name}", line.level)
        for run, name, line in zip(results.runs, names, verdict.runs, strict=True)
    )
    comparisons, tables = charts.comparisons(results), overview.side_by_side(results)
    past, courses = trends.view(results), trajectories.view(results)
    empty = (
        {"comparison"}
        if not comparisons and not tables and past is None and not results.similarities
        else set()
    )
    empty |= set() if results.runs else {"details"}
    logo = results.page.logo or ""
    return Page(
        title=results.title,
        level=verdict.level,
        verdict=verdict.sentence,
        certainty=verdict.certainty,
        findings=tuple(_line(finding, places) for finding in verdict.findings),
        overview=table,
        networks=not results.runs or any(not weights_alone(run) for run in results.runs),
        comparisons=comparisons,
        tables=tables,
        runs=runs,
        method=audits.method(
            results,
            definitions.comparisons(results, builds=past is not None, checkpoints=bool(tables or courses)),
        ),
        order=order(results, anchors, empty),
        logo=results.pictures.get(logo, ""),
        logo_key=logo,
        shelf=shelf.rest(),
        frames=shelf.frames(),
        data=data.of_all(results),
        absent=sum(drawings.absent(run, shelf) for run in results.runs),
        results_json="",
        checks=checks.view(results, places),
        likeness=likeness.view(results),
        trends=past,
        trajectories=courses,
        against=changes.against(results),
    )


def _overview(results: Results, run: Run, href: str, level: Level) -> OverviewRow:
    row, told = overview.row(run, href, level), changes.reference(results, run)
    return row if told is None else changes.in_overview(row, run, told)


def _opened(results: Results, lines: Sequence[RunVerdict]) -> set[str]:
    """Return the runs whose sections start open: the only one, those that failed, and the worst few with findings.

    Where these are long it is the worst alone: what is open is laid out before the page is there.
    """
    if len(results.runs) == 1:
        return {results.runs[0].id}
    failed = {run.id for run in results.runs if run.status == "failed"}
    flagged = [line for line in lines if line.level in {"fail", "warn"} and line.run not in failed]
    flagged.sort(key=_badness)
    layers = {run.id: len(run.activations) for run in results.runs}
    together = accumulate(layers[line.run] for line in flagged[:OPEN])
    few = [
        line.run for line, rows in zip(flagged, together, strict=False) if line is flagged[0] or rows <= ROWS
    ]
    return failed | set(few)


def _badness(line: RunVerdict) -> tuple[bool, int, float]:
    worst = line.findings[0] if line.findings else None  # none: a check failed
    return line.level != "fail", worst.rank if worst else 0, -worst.weight if worst else 0


def _run(
    results: Results,
    run: Run,
    anchor: str,
    line: RunVerdict,
    anchors: Anchors,
    shelf: Shelf,
    places: dict[Target, str],
    listed: dict[str, tuple[str, str]],
    *,
    start_open: bool,
) -> RunPage:
    """Return the section of `run`, and note in `places` where its rows stand."""
    taps = rows.taps(run, anchor, anchors)
    groups = tensors.weights(run, anchor, anchors)
    load = audits.load(run.load, anchors.take(anchor, "load"), measured=run.status == "ok")
    images = audits.images(run, anchors.take(anchor, "images"), shelf, listed)
    unmeasured_anchor, unmeasured = audits.unmeasured(run, anchor, anchors)
    places[Target(run.id)] = anchor
    maps = drawings.maps(run, shelf, anchor)
    split = any(figure.rectifier for figure in maps)
    if load is not None:
        places[Target(run.id, "load")] = load.anchor
    places[Target(run.id, "images")] = images.anchor
    places[Target(run.id, "unmeasured")] = unmeasured_anchor
    for tap, tap_row in zip(run.activations, taps, strict=True):
        places[Target(run.id, "tap", (tap.layer, tap.call, tap.output))] = tap_row.anchor
    for group in groups:
        places.update({Target(run.id, "weight", (row.name.text,)): row.anchor for row in group.rows})
    told, notes = changes.reference(results, run) if run.status == "ok" else None, list(run.notes)
    norms, buffers, facts = tensors.norms(run), rows.buffers(run), audits.facts(run)
    if told is not None:
        taps, groups = changes.in_taps(taps, run, told), changes.in_groups(groups, run, told)
        norms, buffers = changes.in_norms(norms, told), changes.in_buffers(buffers, told)
        facts = (*facts, Fact("Baseline", told.text))
        notes += [changes.gone(run, told)] if changes.gone(run, told) else []
    return RunPage(
        id=run.id,
        anchor=anchor,
        name=rows.name(run.id),
        status=run.status,
        level=line.level,
        verdict=line.sentence,
        open=start_open,
        facts=facts,
        failure=_failure(run),
        findings=() if run.status == "failed" else tuple(_line(finding, places) for finding in line.findings),
        notes=tuple(notes),
        charts=charts.of_run(run, anchor),
        remark=charts.remark(run),
        taps=taps,
        measures=rows.measures(taps),
        maps=tuple(figure for figure in maps if figure.rectifier == split),
        other_maps=tuple(figure for figure in maps if figure.rectifier != split),
        photos=drawings.photos(run, shelf),
        kernels=filters.kernels(run.kernels, shelf, anchor, pixels.planes_of(run)),
        matrices=filters.matrices(run, shelf, anchor),
        groups=groups,
        norms=norms,
        buffers=buffers,
        load=load,
        images=images,
        unmeasured_anchor=unmeasured_anchor,
        unmeasured=unmeasured,
        data=data.of_run(run, anchor),
        files=pixels.files(run),
        switches=(anchors.take(anchor, "contrast"), anchors.take(anchor, "contrast", "others")),
    )


def _failure(run: Run) -> Failure | None:
    if run.status != "failed":
        return None
    if run.error is None:
        return Failure("unknown", "The run failed and left no reason.", "")
    return Failure(run.error.stage, run.error.message, run.error.hint)


def _line(finding: Finding, places: Mapping[Target, str]) -> FindingLine:
    place = places.get(finding.target) or places[Target(finding.target.run)]
    return FindingLine(finding.level, rows.name(finding.target.run), finding.text, f"#{place}")
