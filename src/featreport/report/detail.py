"""A page that is too large: what is left out, in which order, and the words that say so."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from featreport.report import formats
from featreport.report.cells import Bars, BufferRow, Cell, NormRow, TapRow, WeightGroup, WeightRow
from featreport.report.checks import relinked
from featreport.report.drawn import MapFigure, Picture
from featreport.report.page import FindingLine, Page, RunPage
from featreport.results.schema import FORMAT, VERSION

Row = TypeVar("Row", TapRow, WeightRow, BufferRow, NormRow)
MANY, FEW = 24, 6  # rows without a finding that each table keeps
_ROWS = "rows without a finding beyond the {} of each table with the most values near zero"
GOLDEN = 0.6180339887498949  # its multiples, taken modulo 1, are spread evenly however many there are
TRIES = 3
# By which the estimate of what maps and histograms take may be too small. It was 0.003 for a run of a hundred layers,
# 0.01 for six runs: what most figures have in common goes with the last that shows it, and is not counted.
DOUBT = 0.02
BARS = 115  # bytes of a histogram beside its path and its words,
TICK, ZERO = 16, 44  # of a tick beside its text, and of the bar of zeros


@dataclass(frozen=True)
class Step:
    """One thing that is left out: its words, and the page without it where that page is so many bytes too large."""

    words: str  # empty: the page counts it itself
    apply: Callable[[Page, int], Page]
    weighed: bool = (
        False  # whether what it frees can be estimated: where that is by far not enough, no page is made
    )


def steps(results_file: str | None) -> tuple[Step, ...]:
    """Return what is left out of a page that is too large, in this order, until it fits.

    Feature maps of layers without a finding go first, as many as must, each with its numbers; then histograms of
    tensors; then the numbers of the pictures that stay; then histograms of layers, and the data links of tables; then
    rows that no finding is about; then the embedded results; then all pictures.

    Args:
        results_file: name of the results JSON beside the page; None: the page is the only place of its results, so
            neither they nor the pictures are left out.
    """
    rows = tuple(
        _fixed(_ROWS.format(most), partial(_with_rows, most=most, flagged=True)) for most in (MANY, FEW)
    )
    always = (
        Step("", _without_maps, weighed=True),
        Step("histograms of biases, norms and embeddings", _without_other_histograms, weighed=True),
        Step("histograms of weights without a finding", _without_weight_histograms, weighed=True),
        _fixed("the CSV links of pictures (featreport export writes every value)", _without_picture_data),
        _fixed("histograms of layers without a finding", _without_layer_histograms),
        _fixed("the CSV links of tables (featreport export writes them)", _without_data),
        *rows,
    )
    if results_file is None:
        return always
    words = f"the embedded results, which are in {results_file} alone"
    return (
        *always,
        _fixed(words, partial(_without_results, results_file=results_file)),
        _fixed("feature maps, kernels, thumbnails and charts", _without_pictures),
        _fixed(f"all but {FEW} rows of each table, and the “Comparison” tables", _barest),
    )


def lighter(page: Page, results_file: str | None) -> Generator[Page, int, None]:
    """Yield a page, then the same with less and less on it; each says what it leaves out.

    Args:
        page: the whole page.
        results_file: as for `steps`.

    Sent in turn: by how many bytes the latest page is too large.
    """
    words: list[str] = []
    unsure = 0.0
    page = _saying(page, words)
    excess = yield page
    for step in steps(results_file):
        for _ in range(TRIES):  # what maps take is estimated
            less = step.apply(page, excess)
            if less == page:
                break
            words += [step.words] if step.words and step.words not in words else []
            freed = _weighed(page) - _weighed(less)
            unsure += DOUBT * freed
            page = _saying(less, words)
            if step.weighed and excess - freed > unsure > 0:  # all that may go is gone, and by far not enough
                excess -= freed
                break
            excess, unsure = (yield page), 0.0


def _fixed(words: str, apply: Callable[[Page], Page]) -> Step:
    return Step(words, lambda page, _: apply(page))


def _saying(page: Page, words: list[str]) -> Page:
    """Return the page with the sentence that says what it lacks."""
    maps = (
        [f"feature maps of {formats.plural(page.absent, 'layer')} without a finding"] if page.absent else []
    )
    if not maps and not words:
        return replace(page, left_out="")
    sentence = (
        f"Left out to keep the page light: {'; '.join([*maps, *words])}. To see them raise report.max_bytes, or "
        "render the results JSON that was written beside the page with featreport render --max-bytes."
    )
    return replace(page, left_out=sentence)


def _without_maps(page: Page, excess: int) -> Page:
    """Leave out maps of about `excess` bytes: of layers without a finding, rectifiers last, evenly over the depth.

    Figures that show one picture go together: then it is embedded nowhere, and a page read back lacks the same ones.
    """
    groups = _by_picture(page)
    candidates = sorted(
        (max(figure.rectifier for _, _, figure in group), group[0][1] * GOLDEN % 1, group[0][0], picture)
        for picture, group in groups.items()
        if not any(figure.flagged for _, _, figure in group)
    )
    away: set[str] = set()
    for *_, picture in candidates:
        if excess <= 0:
            break
        away.add(picture)
        excess -= _weight(groups[picture])
    if not away:
        return page
    runs = tuple(
        replace(run, maps=_kept(run.maps, away), other_maps=_kept(run.other_maps, away)) for run in page.runs
    )
    left = {key for run in runs for figure in (*run.maps, *run.other_maps) for key in figure.pictures}
    lost = {key for picture in away for _, _, figure in groups[picture] for key in figure.pictures} - left
    framed = {figure.frame for run in runs for figure in (*run.maps, *run.other_maps)}
    frames = tuple(frame for frame in page.frames if frame.anchor in framed)
    stamps = _stamps(runs)
    shelf = tuple(_with_stamps(picture, stamps) for picture in page.shelf if picture.key not in lost)
    gone = sum(len(groups[picture]) for picture in away)
    return replace(page, runs=runs, shelf=shelf, frames=frames, absent=page.absent + gone)


def _stamps(runs: Sequence[RunPage]) -> set[str]:
    """Return the anchors of the stamps that the figures of some runs show."""
    figures = [figure for run in runs for figure in (*run.maps, *run.other_maps)]
    boxes = [box for figure in figures for box in (*figure.thumbnails, *figure.loudest)]
    boxes += [item.thumbnail for run in runs for item in run.images.items]
    return {box.picture.stamp for box in boxes if box.picture}


def _with_stamps(picture: Picture, wanted: set[str]) -> Picture:
    """Return a picture of the shelf with those of its stamps, and of its parts, that are still shown."""
    if not picture.painted:
        return picture
    stamps = tuple(stamp for stamp in picture.stamps if stamp.anchor in wanted)
    markers = {stamp.marker for stamp in stamps}
    return replace(picture, stamps=stamps, views=tuple(view for view in picture.views if view[0] in markers))


def _by_picture(page: Page) -> dict[str, list[tuple[int, int, MapFigure]]]:
    """Return the figures that show each picture first, each with the number of its run and its place there."""
    groups: dict[str, list[tuple[int, int, MapFigure]]] = {}
    for number, run in enumerate(page.runs):
        for place, figure in enumerate((*run.maps, *run.other_maps)):
            groups.setdefault(figure.pictures[0], []).append((number, place, figure))
    return groups


def _weighed(page: Page) -> int:
    """Return how many bytes the maps and histograms of a page take, about."""
    bars = [row.bars for run in page.runs for row in run.taps]
    bars += [row.bars for run in page.runs for group in run.groups for row in group.rows]
    return sum(_of_bars(one) for one in bars if one is not None) + sum(
        _weight(group) for group in _by_picture(page).values()
    )


def _of_bars(bars: Bars) -> int:
    texts = (bars.spark.path, bars.words, *(tick.text for tick in bars.ticks))
    zero = ZERO * (bars.spark.zero_x is not None)
    return BARS + TICK * len(bars.ticks) + zero + sum(len(text.encode()) for text in texts)


def _weight(group: Sequence[tuple[int, int, MapFigure]]) -> int:
    """Return about how many bytes the figures take that show one picture: only the first embeds it."""
    return group[0][2].weight + sum(figure.markup for _, _, figure in group[1:])


def _kept(figures: tuple[MapFigure, ...], away: set[str]) -> tuple[MapFigure, ...]:
    return tuple(figure for figure in figures if figure.pictures[0] not in away)


def _without_picture_data(page: Page) -> Page:
    def of_run(run: RunPage) -> RunPage:
        return replace(
            run,
            maps=tuple(replace(figure, data=None) for figure in run.maps),
            other_maps=tuple(replace(figure, data=None) for figure in run.other_maps),
            kernels=run.kernels and replace(run.kernels, data=None),
            matrices=tuple(replace(figure, data=None) for figure in run.matrices),
        )

    return replace(page, runs=tuple(of_run(run) for run in page.runs))


def _without_data(page: Page) -> Page:
    return replace(page, runs=tuple(replace(run, data=()) for run in page.runs), data=())


def _without_weight_histograms(page: Page, _excess: int) -> Page:
    return _without_tensor_histograms(page, headline=True)


def _without_other_histograms(page: Page, _excess: int) -> Page:
    return _without_tensor_histograms(page, headline=False)


def _without_tensor_histograms(page: Page, *, headline: bool) -> Page:
    """Leave out those without a finding, of the tensors that the headline counts or of the others."""

    def of_group(group: WeightGroup) -> WeightGroup:
        if group.headline != headline:
            return group
        rows = tuple(row if row.flagged else replace(row, bars=None) for row in group.rows)
        return replace(group, rows=rows)

    runs = tuple(replace(run, groups=tuple(map(of_group, run.groups))) for run in page.runs)
    return replace(page, runs=runs)


def _without_layer_histograms(page: Page) -> Page:
    def of_run(run: RunPage) -> RunPage:
        return replace(run, taps=tuple(row if row.flagged else replace(row, bars=None) for row in run.taps))

    return replace(page, runs=tuple(of_run(run) for run in page.runs))


def _with_rows(page: Page, most: int, *, flagged: bool) -> Page:
    """Keep the `most` telling rows of each table, and with `flagged` every row that has a finding."""
    moved: dict[str, str] = {}
    runs = tuple(_fewer(run, most, moved, flagged=flagged) for run in page.runs)
    runs = tuple(replace(run, findings=_relinked(run.findings, moved)) for run in runs)
    checks = page.checks and relinked(page.checks, moved)
    return replace(page, runs=runs, findings=_relinked(page.findings, moved), checks=checks)


def _fewer(run: RunPage, most: int, moved: dict[str, str], *, flagged: bool) -> RunPage:
    taps = _telling(run.taps, most, flagged=flagged)
    groups = tuple(replace(group, rows=_telling(group.rows, most, flagged=flagged)) for group in run.groups)
    buffers = _telling(run.buffers, most, flagged=flagged)
    norms = _telling(run.norms, most, flagged=flagged)
    left = {row.anchor for row in taps}
    measures = replace(run.measures, rows=tuple(row for row in run.measures.rows if row.anchor in left))
    less = replace(run, taps=taps, measures=measures, groups=groups, buffers=buffers, norms=norms)
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
        return replace(run, maps=(), other_maps=(), kernels=None, matrices=(), charts=(), images=images)

    return replace(
        page, runs=tuple(of_run(run) for run in page.runs), comparisons=(), shelf=(), frames=(), absent=0
    )


def _barest(page: Page) -> Page:
    return replace(_with_rows(page, FEW, flagged=False), tables=(), trajectories=())


def script_safe(text: str) -> str:
    """Return JSON as it may stand inside a script element."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
