"""The taps and the tensors of two runs, pair by pair."""

from __future__ import annotations

from collections.abc import Sequence

from featreport.judge.compare.drift import drift
from featreport.judge.compare.matching import Pairing, pair
from featreport.judge.compare.numbers import came_and_went, changed, changes, moved, others
from featreport.judge.compare.shift import shift
from featreport.judge.compare.types import Drift, LayerChange, Match, Place, WeightChange
from featreport.results.schema import Activation, Weight

OF_TAPS = (
    "dead_fraction",
    "zero_fraction",
    "near_zero_fraction",
    "dormant_fraction",
    "nonfinite",
    "mean",
    "std",
    "min",
    "max",
    "effective_rank",
)
OF_WEIGHTS = (
    "dead_fraction",
    "zero_fraction",
    "near_zero_fraction",
    "relative_near_zero_fraction",
    "redundant_fraction",
    "two_four_fraction",
    "nonfinite",
    "mean",
    "std",
    "min",
    "max",
    "median_norm",
    "spectral_norm",
    "stable_rank",
    "alpha",
)
# Fields that a change has in a place of its own, or that are parts of a fraction, or fingerprints of the numbers.
TAP_KNOWN = {*OF_TAPS, "layer", "call", "output", "dead", "constant"}
WEIGHT_KNOWN = {*OF_WEIGHTS, "name", "dead", "sketch", "digest"}


def match_taps(before: Sequence[Activation], after: Sequence[Activation]) -> Pairing[Activation]:
    """Match taps by layer, call and output, then by place, class and shape, then by place and shape alone."""
    return pair(
        before,
        after,
        lambda tap: (tap.layer, tap.call, tap.output),
        (
            lambda tap: (tap.module, tap.rectifier, tuple(tap.shape)),
            lambda tap: (tap.rectifier, tuple(tap.shape)),
        ),
    )


def match_weights(before: Sequence[Weight], after: Sequence[Weight]) -> Pairing[Weight]:
    """Match tensors by name, then by place, kind and shape."""
    return pair(before, after, lambda one: one.name, (lambda one: (one.kind, tuple(one.shape)),))


def place(tap: Activation) -> Place:
    """Return where a tap is."""
    return Place(layer=tap.layer, call=tap.call, output=tap.output)


def layer_change(before: Activation, after: Activation, match: Match) -> LayerChange:
    """Return what changed of one tap."""
    numbers = changes(before, after, OF_TAPS)
    channels = None
    if before.channels == after.channels:
        channels = came_and_went((before.dead, after.dead), (before.constant, after.constant))
    other = others(before, after, TAP_KNOWN, renamed=match == "position")
    return LayerChange(
        before=place(before),
        after=place(after),
        match=match,
        modules=(before.module, after.module),
        shapes=(before.shape, after.shape),
        counts=(before.channels, after.channels),
        dead=(len(before.dead), len(after.dead)),
        rectifier=before.rectifier and after.rectifier,
        numbers=numbers,
        channels=channels,
        shift=shift(before, after),
        other=other,
        differs=changed(numbers) or moved(channels) or bool(other),
    )


def weight_change(before: Weight, after: Weight, match: Match, exact: Drift | None = None) -> WeightChange:
    """Return what changed of one tensor; `exact` is its drift where both checkpoints were at hand."""
    numbers = changes(before, after, OF_WEIGHTS)
    filters = None
    if before.channels is not None and before.channels == after.channels:
        filters = came_and_went((before.dead, after.dead))
    other = others(before, after, WEIGHT_KNOWN, renamed=match == "position")
    found = exact or drift(before, after)
    return WeightChange(
        before=before.name,
        after=after.name,
        match=match,
        kinds=(before.kind, after.kind),
        shapes=(before.shape, after.shape),
        counts=(before.channels, after.channels),
        dead=(len(before.dead), len(after.dead)),
        numbers=numbers,
        filters=filters,
        drift=found,
        shift=shift(before, after),
        other=other,
        differs=changed(numbers) or moved(filters) or bool(other) or found.identical is False,
    )
