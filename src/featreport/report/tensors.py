"""Rows of the tables of parameter tensors and of norms."""

from __future__ import annotations

from collections.abc import Sequence

from featreport.report import formats
from featreport.report.anchors import Anchors
from featreport.report.cells import Cell, Channels, NormRow, WeightGroup, WeightRow
from featreport.report.histograms import bars
from featreport.report.rows import MOMENTS, moments, name, nonfinite, of, places_of, share
from featreport.results.schema import Norm, Run, Weight

SHOWN = 64  # dead filters whose evidence stands on the page
PRINTED = 16  # of them on paper
_GROUPS = (
    (
        "Weights",
        ("weight",),
        "Weights of convolutions and linear layers: the near-zero headline counts these.",
    ),
    ("Biases, norms, embeddings", ("bias", "norm", "embedding", "other"), "Parameters outside the headline."),
)


def weights(run: Run, anchor: str, anchors: Anchors) -> tuple[WeightGroup, ...]:
    """Return the tables of tensors: weights first, then what the headline leaves out."""
    groups = []
    for title, kinds, caption in _GROUPS:
        tensors = [tensor for tensor in run.weights if tensor.kind in kinds]
        places = places_of([[getattr(tensor, metric) for metric in MOMENTS] for tensor in tensors])
        rows = tuple(_weight(tensor, places, anchors.take(anchor, tensor.name)) for tensor in tensors)
        types = {row.dtype for row in rows}
        one = types.pop() if len(types) == 1 else ""
        if rows:
            words = f"{caption} All are {one}." if one else caption
            groups.append(
                WeightGroup(title, words, rows, "weight" in kinds, one, max(len(row.matrix) for row in rows))
            )
    return tuple(groups)


def _weight(tensor: Weight, places: Sequence[int], anchor: str) -> WeightRow:
    dead = None
    if tensor.channels is not None:
        fraction = tensor.dead_fraction
        text = of(tensor.dead, tensor.channels)
        cell = Cell("dead_fraction", formats.exact(fraction), text, formats.heat(fraction))
        portion = formats.percent(fraction) if tensor.dead else ""
        dead = Channels(cell, portion, formats.ranges(tensor.dead), *_evidence(tensor))
    return WeightRow(
        anchor=anchor,
        name=name(tensor.name),
        tied=tuple(name(other) for other in tensor.tied),
        module=tensor.module,
        shape=formats.shape(tensor.shape),
        dtype=tensor.dtype.removeprefix("torch."),
        flagged=bool((tensor.dead and tensor.kind == "weight") or tensor.nonfinite),
        dead=dead,
        bars=bars(tensor.histogram, tensor.zeros, tensor.count),
        numbers=(
            *moments(tensor, places),
            share("zero_fraction", tensor.zero_fraction),
            share("near_zero_fraction", tensor.near_zero_fraction),
            share("relative_near_zero_fraction", tensor.relative_near_zero_fraction),
            nonfinite(tensor),
        ),
        matrix=_matrix(tensor),
        untrained=_untrained(tensor),
    )


def _evidence(tensor: Weight) -> tuple[str, str]:
    """Return the median norm of the layer and the dead filters' max |w| and L2 norm: what is printed, and the rest."""
    if not tensor.dead_filters:
        return "", ""
    lines = [
        f"{found.channel}: max |w| {formats.number(found.peak)}, L2 {formats.number(found.norm)}"
        for found in tensor.dead_filters[:SHOWN]
    ]
    if len(tensor.dead_filters) > SHOWN:
        lines.append(f"and {formats.integer(len(tensor.dead_filters) - SHOWN)} more, in the results")
    first = f"Median L2 of the layer: {formats.number(tensor.median_norm)}. {'; '.join(lines[:PRINTED])}"
    return first, "; ".join(["", *lines[PRINTED:]])


def _matrix(tensor: Weight) -> tuple[Channels, ...]:
    """Return what is told of a tensor as a matrix: its spectrum, its redundancy, its 2:4 groups; () for the others."""
    if tensor.matrix is None and tensor.channels is None:
        return ()
    why = tensor.reasons
    cells = [
        _told(
            Cell("spectral_norm", formats.exact(tensor.spectral_norm), formats.number(tensor.spectral_norm)),
            why,
        ),
        _told(Cell("stable_rank", formats.exact(tensor.stable_rank), formats.number(tensor.stable_rank)), {}),
    ]
    redundant = Cell(
        "redundant_fraction",
        formats.exact(tensor.redundant_fraction),
        formats.NONE
        if tensor.pairs is None or tensor.redundant_pairs is None
        else formats.part(tensor.redundant_pairs, tensor.pairs),
    )
    cells.append(_told(redundant, why, _closest(tensor), formats.percent(tensor.redundant_fraction)))
    two_four = Cell(
        "two_four_fraction",
        formats.exact(tensor.two_four_fraction),
        formats.percent(tensor.two_four_fraction),
    )
    cells.append(_told(two_four, why, _chance(tensor)))
    if tensor.alpha is not None or "alpha" in why:
        cells.append(
            _told(
                Cell("alpha", formats.exact(tensor.alpha), formats.number(tensor.alpha)), why, _tail(tensor)
            )
        )
    return tuple(cells)


def _told(cell: Cell, reasons: dict[str, str], detail: str = "", portion: str = "") -> Channels:
    """Return a cell with what stands behind it: where it has no value, why."""
    return Channels(
        cell, portion if cell.value else "", detail if cell.value else reasons.get(cell.metric, "")
    )


def _closest(tensor: Weight) -> str:
    parts = [f"{pair.one} and {pair.other}: cos {formats.fixed(pair.cosine, 4)}" for pair in tensor.closest]
    if tensor.zero_filters:
        parts.append(f"{formats.plural(tensor.zero_filters, 'all-zero filter')} left out")
    return "; ".join(parts)


def _chance(tensor: Weight) -> str:
    if tensor.two_four is None or tensor.two_four_groups is None:
        return ""
    return (
        f"{formats.part(tensor.two_four, tensor.two_four_groups)} groups; by chance "
        f"{formats.percent(tensor.two_four_chance)} at this share of zeros, 68.75{formats.NBSP}% at half"
    )


def _tail(tensor: Weight) -> str:
    if tensor.alpha_tail is None:
        return ""
    return (
        f"{formats.plural(tensor.alpha_tail, 'eigenvalue')} from {formats.number(tensor.alpha_start)}; "
        f"distance {formats.number(tensor.alpha_distance)}"
    )


def _untrained(tensor: Weight) -> Cell | None:
    if tensor.looks_untrained is None:
        return None
    words = f"looks untrained: {tensor.initialisation}" if tensor.looks_untrained else ""
    return Cell("looks_untrained", str(tensor.looks_untrained).lower(), words)


def norms(run: Run) -> tuple[NormRow, ...]:
    """Return the rows of the norms."""
    return tuple(_norm(norm) for norm in run.norms)


def _norm(norm: Norm) -> NormRow:
    effective = [
        (part, getattr(norm, part)) for part in ("effective_min", "effective_median", "effective_max")
    ]
    return NormRow(
        layer=name(norm.layer),
        module=norm.module,
        channels=formats.integer(norm.channels),
        flagged=bool(norm.small_scale or norm.still or norm.untouched),
        small=_some("small_scale", norm.small_scale, norm.channels, _closed(norm)),
        numbers=tuple(Cell(part, formats.exact(value), formats.number(value)) for part, value in effective),
        still=_some("still", norm.still, norm.channels, ""),
        untouched=Cell(
            "untouched",
            "" if norm.untouched is None else str(norm.untouched).lower(),
            {None: formats.NONE, True: "untouched", False: "no"}[norm.untouched],
        ),
        counter=Cell("counter", formats.exact(norm.counter), formats.integer(norm.counter)),
    )


def _some(metric: str, indices: list[int] | None, channels: int, note: str) -> Channels:
    if indices is None:
        return Channels(Cell(metric, "", formats.NONE), "", "")
    fraction = len(indices) / channels if channels else None
    cell = Cell(metric, str(len(indices)), of(indices, channels), formats.heat(fraction))
    return Channels(cell, "", formats.ranges(indices), note)


def _closed(norm: Norm) -> str:
    return f"shift ≤ 0: {formats.ranges(norm.closed)}" if norm.closed else ""
