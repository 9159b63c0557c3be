"""Feature maps laid over what the network was given."""

from __future__ import annotations

from featreport.report import formats
from featreport.report.drawn import Overlay, Placed
from featreport.report.shelf import Shelf
from featreport.results.schema import FeatureMaps, Run

INPUT = 112.0  # height of a map over the network's input, in CSS pixels
SPACE = 8.0


def overlay(
    run: Run, shown: FeatureMaps, shelf: Shelf, size: tuple[float, float], tile: tuple[float, float]
) -> Overlay | None:
    """Lay the maps of the first image shown over what the network was given for it, if that was kept.

    Args:
        run: the run.
        shown: its maps.
        shelf: where pictures are.
        size: width and height of the sprite as it stands on the page.
        tile: height and width of one of its tiles there.
    """
    file = run.images.files[shown.images[0]] if shown.images[0] < len(run.images.files) else None
    sprite = shelf.show(shown.picture, *size)
    if file is None or file.input is None or sprite is None or sprite.source is not None:
        return None
    high, wide = shown.tile
    width = round(INPUT * min(2.0, wide / high), 1)
    under = shelf.show(file.input, width, INPUT)
    step = tile[1] * (1 + shown.gap / wide)
    tiles = tuple(
        (
            round(place * (width + SPACE), 1),
            f"{place * step:.2f} 0 {tile[1]:.2f} {tile[0]:.2f}",
            Placed(0, 0, width, INPUT, under),
        )
        for place in range(len(shown.channels))
    )
    text = f"{file.name}, as the network was given it, under each of these maps in its own contrast."
    return Overlay(
        width=round(len(tiles) * (width + SPACE) - SPACE, 1),
        height=INPUT,
        side=(width, INPUT),
        sprite=sprite,
        tiles=tiles,
        caption=text,
        alt=f"Channels {formats.ranges(shown.channels)} of {shown.layer} over {file.name}",
    )
