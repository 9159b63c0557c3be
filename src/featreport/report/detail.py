"""A page that is too large: what is left out, in which order, and the words that say so."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from featreport.report import formats
from featreport.report.cells import BufferRow, Cell, NormRow, TapRow, WeightRow
from featreport.report.page import FindingLine, Page, RunPage
from featreport.results.schema import FORMAT, VERSION

Row = TypeVar("Row", TapRow, WeightRow, BufferRow, NormRow)
MANY, FEW = 24, 6  # rows without a finding that each table keeps


@dataclass(frozen=True)
class Step:
    """One thing that is left out, in words."""

    words: str
    apply: Callable[[Page], Page]


def levels(page: Page, max_bytes: int, results_file: str | None) -> Iterator[Page]:
    """Yield the page in full, then with less and less on it; each says what it leaves out.

    First the histograms and the rows that no finding is about go. Where that is not enough the embedded results go,
    and with the room they leave histograms and rows come back as far as they fit; then the pictures go.

    Args:
        page: the whole page.
        max_bytes: the size it must keep, for the words.
        results_file: name of the results JSON beside the page; None: the page is the only place of its results, so
            neither they nor the pictures are left out.
    """
    yield page
    tried = [page]
    for steps in _ladder(results_file):
        less, words = page, []
        for step in steps:
            before, less = less, step.apply(less)
            words += [step.words] if less != before else []
        if less not in tried:
            tried.append(less)
            yield replace(less, left_out=_sentence(words, max_bytes))


def _ladder(results_file: str | None) -> Iterator[tuple[Step, ...]]:
    histograms = Step("histograms of layers and tensors without a finding", _without_histograms)
    many, few = (
        Step(
            f"rows without a finding beyond the {most} of each table with the most values near zero",
            partial(_with_rows, most=most, flagged=True),
        )
        for most in (MANY, FEW)
    )
    rows = ((histograms,), (histograms, many), (histograms, few))
    yield from rows
    if results_file is None:
        return
    words = f"the embedded results, which are in {results_file} alone"
    embedded = Step(words, partial(_without_results, results_file=results_file))
    yield from ((embedded, *steps) for steps in ((), *rows))
    pictures = Step("feature maps, kernels, thumbnails and charts", _without_pictures)
    yield embedded, histograms, few, pictures
    barest = Step(f"all but {FEW} rows of each table, and the “Comparison” tables", _barest)
    yield embedded, histograms, pictures, barest


def _sentence(words: list[str], max_bytes: int) -> str:
    return (
        f"Left out to keep the report below {formats.size(max_bytes)}: {'; '.join(words)}. "
        "Raise report.max_bytes to see them, or rebuild the page with featreport render --max-bytes."
    )


def _without_histograms(page: Page) -> Page:
    def of_run(run: RunPage) -> RunPage:
        groups = tuple(
            replace(group, rows=tuple(row if row.flagged else replace(row, spark=None) for row in group.rows))
            for group in run.groups
        )
        taps = tuple(row if row.flagged else replace(row, spark=None) for row in run.taps)
        return replace(run, taps=taps, groups=groups)

    return replace(page, runs=tuple(of_run(run) for run in page.runs))


def _with_rows(page: Page, most: int, *, flagged: bool) -> Page:
    """Keep the `most` telling rows of each table, and with `flagged` every row that has a finding."""
    moved: dict[str, str] = {}
    runs = tuple(_fewer(run, most, moved, flagged=flagged) for run in page.runs)
    runs = tuple(replace(run, findings=_relinked(run.findings, moved)) for run in runs)
    return replace(page, runs=runs, findings=_relinked(page.findings, moved))


def _fewer(run: RunPage, most: int, moved: dict[str, str], *, flagged: bool) -> RunPage:
    taps = _telling(run.taps, most, flagged=flagged)
    groups = tuple(replace(group, rows=_telling(group.rows, most, flagged=flagged)) for group in run.groups)
    buffers = _telling(run.buffers, most, flagged=flagged)
    norms = _telling(run.norms, most, flagged=flagged)
    less = replace(run, taps=taps, groups=groups, buffers=buffers, norms=norms)
    moved |= {f"#{anchor}": f"#{run.anchor}" for anchor in _anchors(run) - _anchors(less)}
    return less


def _anchors(run: RunPage) -> set[str]:
    return {row.anchor for row in run.taps} | {row.anchor for group in run.groups for row in group.rows}


def _telling(rows: tuple[Row, ...], most: int, *, flagged: bool) -> tuple[Row, ...]:
    """Return the rows kept, in their order: those with a finding first, then the most values near zero."""
    ranked = sorted(range(len(rows)), key=lambda place: (not _flagged(rows[place]), -_near_zero(rows[place])))
    sure = sum(_flagged(row) for row in rows) if flagged else 0
    return tuple(rows[place] for place in sorted(ranked[: sure + most]))


def _flagged(row: TapRow | WeightRow | BufferRow | NormRow) -> bool:
    if isinstance(row, BufferRow):
        return _value(row.numbers, "nonfinite") > 0
    return row.flagged


def _near_zero(row: TapRow | WeightRow | BufferRow | NormRow) -> float:
    return _value(row.numbers, "near_zero_fraction")


def _value(cells: tuple[Cell, ...], metric: str) -> float:
    return next((float(cell.value) for cell in cells if cell.metric == metric and cell.value), 0.0)


def _relinked(lines: tuple[FindingLine, ...], moved: dict[str, str]) -> tuple[FindingLine, ...]:
    """Let a finding whose row is gone lead to its run."""
    return tuple(replace(line, href=moved.get(line.href, line.href)) for line in lines)


def _without_results(page: Page, results_file: str) -> Page:
    note = json.dumps({"format": FORMAT, "version": VERSION, "results_file": results_file})
    return replace(page, results_json=script_safe(note), results_file=results_file)


def _without_pictures(page: Page) -> Page:
    def of_run(run: RunPage) -> RunPage:
        names = tuple(item.name for item in run.images.items)
        images = replace(run.images, items=(), others=(*names, *run.images.others))
        return replace(run, maps=(), other_maps=(), kernels=None, charts=(), images=images)

    return replace(page, runs=tuple(of_run(run) for run in page.runs), comparison=None, shelf=())


def _barest(page: Page) -> Page:
    return replace(_with_rows(page, FEW, flagged=False), tables=())


def script_safe(text: str) -> str:
    """Return JSON as it may stand inside a script element."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
