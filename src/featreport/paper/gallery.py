"""Which figures a run has, the telling ones first, and how many of them the kit takes."""

from __future__ import annotations

from collections.abc import Mapping

from featreport.paper import filters, histograms, mosaic, profiles, strips
from featreport.paper.drawing import Drawing
from featreport.results.schema import Activation, FeatureMaps, Run

Key = tuple[str, int, str | None]


def of_run(run: Run, pictures: Mapping[str, str]) -> list[Drawing]:
    """Return every figure of a run: profiles, filters, histograms, then feature maps, flagged layers first."""
    return [
        *profiles.of_run(run),
        *filters.of_run(run, pictures),
        *histograms.of_activations(run),
        *histograms.of_weights(run),
        *_maps(run, pictures),
    ]


def without_picture(run: Run, pictures: Mapping[str, str]) -> int:
    """Return how many feature maps cannot be drawn, because the report was made without their pictures."""
    return sum(shown.picture not in pictures for shown in run.maps)


def _maps(run: Run, pictures: Mapping[str, str]) -> list[Drawing]:
    """Return the feature maps: of layers with findings, then of rectifiers, then all others."""
    taps: dict[Key, Activation] = {(tap.layer, tap.call, tap.output): tap for tap in run.activations}
    found = [(shown, taps.get((shown.layer, shown.call, shown.output))) for shown in run.maps]
    drawn = [
        (shown, tap)
        for shown, tap in found
        if shown.picture in pictures and shown.images and shown.channels and min(shown.tile) > 0
    ]
    drawn.sort(key=lambda pair: _rank(pair[1]))  # stable: the order of the model within each part
    return [_of_tap(run, shown, tap, pictures) for shown, tap in drawn]


def _rank(tap: Activation | None) -> int:
    if tap is None:
        return 3
    return 0 if histograms.flagged(tap) else 1 if tap.rectifier else 2


def _of_tap(run: Run, shown: FeatureMaps, tap: Activation | None, pictures: Mapping[str, str]) -> Drawing:
    of_tap = strips.of_tap if shown.kind == "units" else mosaic.of_tap
    return of_tap(run, shown, tap, pictures)
