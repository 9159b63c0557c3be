"""Which figures a run has, the telling ones first."""

from __future__ import annotations

from collections.abc import Mapping

from featreport.paper import exhibit, filters, histograms, mosaic, overlays, profiles, strips
from featreport.paper.drawing import Drawing
from featreport.results.schema import Activation, Run

Key = tuple[str, int, str | None]


def of_run(run: Run, pictures: Mapping[str, str]) -> tuple[list[Drawing], int]:
    """Return every figure of a run, and how many more it would have were their pictures here.

    Profiles, filters and histograms come first, then feature maps: of layers with findings, of rectifiers, all others.
    """
    weights, without_filters = filters.of_run(run, pictures)
    maps, without_maps = _maps(run, pictures)
    drawings = [
        *profiles.of_run(run),
        *weights,
        *histograms.of_activations(run),
        *histograms.of_weights(run),
        *maps,
    ]
    return drawings, without_filters + without_maps


def _maps(run: Run, pictures: Mapping[str, str]) -> tuple[list[Drawing], int]:
    taps: dict[Key, Activation] = {(tap.layer, tap.call, tap.output): tap for tap in run.activations}
    ranked: list[tuple[int, Drawing]] = []
    drawn = 0
    for shown in run.maps:
        tap = taps.get((shown.layer, shown.call, shown.output))
        pixels = exhibit.of_tap(run, shown, tap, pictures)
        if pixels is not None:
            of_tap = strips.of_tap if shown.kind == "units" else mosaic.of_tap
            ranked.append((_rank(tap), of_tap(run, shown, tap, pixels)))
            drawn += 1
        over = overlays.of_tap(run, shown, tap, pictures)
        ranked += [] if over is None else [(_rank(tap), over)]
    ranked.sort(key=lambda pair: pair[0])  # stable: the order of the model within each part
    return [drawing for _, drawing in ranked], len(run.maps) - drawn


def _rank(tap: Activation | None) -> int:
    if tap is None:
        return 3
    return 0 if histograms.flagged(tap) else 1 if tap.rectifier else 2
