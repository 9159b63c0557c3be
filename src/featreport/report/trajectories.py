"""Every measure over the checkpoints of a model: a heat strip for each layer and measure, and its ends in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from featreport.report import formats
from featreport.report.cells import Name
from featreport.report.rows import name
from featreport.results.schema import Results
from featreport.tables import trajectories

STRIP, CELL = 84.0, 21.0  # the widest a strip may be, and one checkpoint in it


@dataclass(frozen=True)
class Band:
    """Checkpoints beside one another with one shade."""

    x: float
    width: float
    heat: int


@dataclass(frozen=True)
class Strip:
    """One measure of one layer over the checkpoints."""

    bands: tuple[Band, ...]  # empty: it has no such number
    text: str  # from the first number to the last
    value: str  # the last number, in full


@dataclass(frozen=True)
class TrajectoryTable:
    """The layers or the weights of a model, measures across."""

    model: Name
    what: str
    caption: str
    measures: tuple[str, ...]
    width: float  # of a strip
    rows: tuple[tuple[Name, tuple[Strip, ...]], ...]


def view(results: Results) -> tuple[TrajectoryTable, ...]:
    """Return the tables of all models with several finished checkpoints."""
    made = []
    for one in trajectories(results):
        count = len(one.checkpoints)
        step = min(CELL, STRIP / count)
        rows = tuple(
            (name(layer), tuple(_strip(line, step) for line in shares)) for layer, shares in one.rows
        )
        first, last = (formats.shorten(one.checkpoints[place], 40) for place in (0, -1))
        rank = " Effective rank: of the number of channels." if "Effective rank" in one.measures else ""
        dormant = " Dormant: for τ = 0.025." if "Dormant" in one.measures else ""
        caption = (
            f"{formats.plural(count, 'checkpoint')} in their order, from {first} to {last}: a cell each, darker is "
            f"more, and under them the first share and the last.{dormant}{rank}"
        )
        made.append(
            TrajectoryTable(name(one.model), one.what, caption, one.measures, round(step * count, 2), rows)
        )
    return tuple(made)


def _strip(line: Sequence[float | None], step: float) -> Strip:
    known = [share for share in line if share is not None]
    if not known:
        return Strip((), formats.NONE, "")
    bands: list[Band] = []
    for place, share in enumerate(line):
        if share is None:
            continue
        heat, x = formats.heat(share), round(place * step, 2)
        last = bands[-1] if bands else None
        if last is not None and last.heat == heat and abs(last.x + last.width - x) < step / 2:
            bands[-1] = Band(last.x, round(x + step - last.x, 2), heat)
        else:
            bands.append(Band(x, round(step, 2), heat))
    first, end = formats.percent(known[0]), formats.percent(known[-1])
    between = "" if first != end or len(set(known)) == 1 else f", up to {formats.percent(max(known))}"
    text = f"{first}{between}" if first == end else f"{first} → {end}"
    return Strip(tuple(bands), text, formats.exact(known[-1]))
