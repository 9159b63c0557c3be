"""Rows of the tables of a run: taps and buffers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from featreport.figures.cells import bar
from featreport.report import formats
from featreport.report.anchors import Anchors
from featreport.report.cells import BufferRow, Cell, Channels, MeasureTable, Name, TapRow
from featreport.report.histograms import bars
from featreport.results.schema import Activation, Buffer, Run, Weight

LISTED = 64  # channels that a further measure lists
MOMENTS = ("mean", "std", "min", "max")


def name(text: str) -> Name:
    """Return a name ready for the page."""
    return Name(text, formats.breaks(text))


def share(metric: str, fraction: float | None, *, with_bar: bool = False) -> Cell:
    """Return the cell of a share."""
    length = bar(fraction) if with_bar and fraction is not None else None
    return Cell(metric, formats.exact(fraction), formats.percent(fraction), bar=length)


def count(metric: str, value: int | None) -> Cell:
    """Return the cell of a count."""
    return Cell(metric, formats.exact(value), formats.integer(value))


def taps(run: Run, anchor: str, anchors: Anchors) -> tuple[TapRow, ...]:
    """Return the rows of the table of taps, in the order of the model."""
    places = places_of([[getattr(tap, metric) for metric in MOMENTS] for tap in run.activations])
    return tuple(
        _tap(tap, places, anchors.take(anchor, tap.layer, tap.call, tap.output or ""))
        for tap in run.activations
    )


def _tap(tap: Activation, places: Sequence[int], anchor: str) -> TapRow:
    dead = Cell(
        "dead_fraction",
        formats.exact(tap.dead_fraction),
        of(tap.dead, tap.channels),
        formats.heat(tap.dead_fraction),
    )
    constant = Cell("constant_channels", str(len(tap.constant)), formats.integer(len(tap.constant)))
    return TapRow(
        anchor=anchor,
        layer=name(tap.layer),
        call=tap.call,
        output=tap.output,
        module=tap.module,
        rectifier=tap.rectifier,
        shape=formats.shape(tap.shape) + (" (varies)" if tap.shape_varies else ""),
        axis=str(tap.channel_axis) if tap.shape else "",
        flagged=flagged(tap),
        dead=Channels(
            dead,
            formats.percent(tap.dead_fraction) if tap.dead else "",
            formats.ranges(tap.dead),
            causes(tap),
        ),
        constant=Channels(constant, "", formats.ranges(tap.constant)),
        bars=bars(tap.histogram, tap.zeros, tap.count),
        numbers=(
            *moments(tap, places),
            share("zero_fraction", tap.zero_fraction),
            share("near_zero_fraction", tap.near_zero_fraction),
            nonfinite(tap),
            _fires(tap),
        ),
        measures=_measures(tap),
        rank=Cell("effective_rank", formats.exact(tap.effective_rank), formats.number(tap.effective_rank)),
    )


def measures(taps: Sequence[TapRow]) -> MeasureTable:
    """Return the rows of the table of further measures: those with a number other than 0."""
    told = tuple(row for row in taps if row.told)
    rest = len(taps) - len(told)
    layers = formats.plural(rest, "layer")
    return MeasureTable(
        told, f"{layers} where every number is 0 or has no answer: left out here." if rest else ""
    )


def flagged(tap: Activation) -> bool:
    """Say whether a tap has what a reader looks for: dead or constant channels, values that are no numbers."""
    return bool(tap.dead or tap.constant or tap.nonfinite)


def causes(tap: Activation) -> str:
    """Return in a sentence why the dead channels are dead, and what their silence proves."""
    if not tap.deaths:
        return ""
    proved = Counter((death.cause, death.at) for death in tap.deaths if death.at is not None)
    parts = [f"{formats.integer(n)} by {cause} ({at})" for (cause, at), n in proved.items()]
    silent = sum(death.at is None for death in tap.deaths)
    if silent:
        bound = (
            ""
            if tap.firing_rate_bound is None
            else f" (fires on fewer than {formats.rate_bound(tap.images)})"
        )
        parts.append(f"{formats.integer(silent)} without a proof: not seen to fire on these images{bound}")
    return "; ".join(parts)


def _measures(tap: Activation) -> tuple[Channels, ...]:
    dormant = tap.dormant or {}
    rare = None if tap.rare is None else [found.channel for found in tap.rare]
    note = "; ".join(
        f"{found.channel}: {formats.integer(found.images)}, most on image {found.loudest_image}"
        for found in (tap.rare or [])
    )
    return (
        *(_some(f"dormant_{tau}", dormant.get(tau)) for tau in ("0", "0.025", "0.1")),
        _some("saturated", tap.saturated),
        _some("massive", tap.massive),
        _some("rare", rare, note),
    )


def _some(metric: str, found: Sequence[int] | None, note: str = "") -> Channels:
    """Return the cell of a list of channels; a dash where there is no answer."""
    if found is None:
        return Channels(Cell(metric, "", formats.NONE), "", "")
    listed = formats.ranges(found[:LISTED])
    if len(found) > LISTED:
        listed += f" and {formats.integer(len(found) - LISTED)} more, in the results"
    return Channels(Cell(metric, str(len(found)), formats.integer(len(found))), "", listed, note)


def of(indices: Sequence[int], whole: int) -> str:
    """Return "2 of 48" for indices of a whole; a dash for no whole."""
    return formats.part(len(indices), whole) if whole else formats.NONE


def moments(row: Activation | Weight | Buffer, places: Sequence[int]) -> tuple[Cell, ...]:
    """Return the cells of mean, std, min and max."""
    values = [(metric, getattr(row, metric)) for metric in MOMENTS]
    return tuple(
        Cell(metric, formats.exact(value), formats.fixed(value, place), places=place)
        for (metric, value), place in zip(values, places, strict=True)
    )


def places_of(rows: Sequence[Sequence[float | None]]) -> tuple[int, ...]:
    """Return one number of decimals for each column."""
    if not rows:
        return (0,) * len(MOMENTS)
    return tuple(formats.decimals(column) for column in zip(*rows, strict=True))


def nonfinite(row: Activation | Weight) -> Cell:
    """Return the cell of the non-finite values, each kind counted apart."""
    parts = ((row.nan, "NaN"), (row.posinf, "+Inf"), (row.neginf, f"{formats.MINUS}Inf"))
    detail = ", ".join(f"{formats.integer(amount)} {what}" for amount, what in parts if amount)
    text = f"{formats.integer(row.nonfinite)}{f' ({detail})' if detail else ''}"
    return Cell("nonfinite", str(row.nonfinite), text, heat=7 if row.nonfinite else 0)


def _fires(tap: Activation) -> Cell:
    """Return on how many images the channels fire: the lowest, the median and the highest count."""
    if not tap.fired_images:
        return Cell("fired_images_median", "", formats.NONE)
    order = sorted(tap.fired_images)
    middle = order[(len(order) - 1) // 2]
    if order[0] == order[-1]:
        text = f"all {middle}" if middle == tap.images else str(middle)
    else:
        text = f"{order[0]} · {middle} · {order[-1]}"
    return Cell("fired_images_median", str(middle), text)


def buffers(run: Run) -> tuple[BufferRow, ...]:
    """Return the rows of the buffers."""
    counted = {f"{norm.layer}.num_batches_tracked" for norm in run.norms if norm.counter is not None}
    shown = [buffer for buffer in run.buffers if buffer.name not in counted]
    places = places_of([[getattr(buffer, metric) for metric in MOMENTS] for buffer in shown])
    return tuple(
        BufferRow(
            name=name(buffer.name),
            module=buffer.module,
            shape=formats.shape(buffer.shape),
            dtype=buffer.dtype.removeprefix("torch."),
            numbers=(*moments(buffer, places), count("nonfinite", buffer.nonfinite)),
        )
        for buffer in shown
    )
