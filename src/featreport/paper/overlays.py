"""Feature maps laid over what the network was given, where the manifest asked for that."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image

from featreport.figures import embedded
from featreport.paper import exhibit
from featreport.paper.drawing import Drawing
from featreport.paper.exhibit import Exhibit
from featreport.paper.mosaic import Mosaic
from featreport.paper.sprites import Pixels
from featreport.report import formats
from featreport.results.schema import Activation, FeatureMaps, Run

_LIGHT = (255, 150, 40)  # the greatest value of a map
_DIM = 0.7  # of the input


def of_tap(
    run: Run, shown: FeatureMaps, tap: Activation | None, pictures: Mapping[str, str]
) -> Drawing | None:
    """Return the maps of the first image shown over the network's input; None where that was not kept."""
    maps = embedded.own(shown, pictures) if shown.kind == "maps" else None
    place = shown.images[0] if shown.images else -1
    file = run.images.files[place] if 0 <= place < len(run.images.files) else None
    under = embedded.pixels(pictures.get(file.input), "L") if file and file.input else None
    if maps is None or file is None or under is None:
        return None
    tiles = np.stack([_screened(under, one) for one in maps[0]])[None]
    title, module = exhibit.tap_title(shown), f", {tap.module}" if tap else ""
    pixels = Exhibit(
        title=title + module,
        tiles=tiles,
        channels=tuple(shown.channels),
        silent=(),
        thumbs=(),
        loudest=(),
        unscaled="each map in its own contrast",
    )
    caption = (
        f"Feature maps of {formats.shorten(title)} ({formats.shorten(run.id)}{module}), each in its own contrast, over "
        f"{formats.shorten(file.name)} as the network was given it: orange where the channel’s value is greatest."
    )
    return Drawing(("over-input", title), title, caption, Mosaic(pixels).draw)


def _screened(under: Pixels, tile: Pixels) -> Pixels:
    """Return a dimmed grey picture `[h, w, 3]` with a map in orange light on it."""
    height, width = under.shape
    large = Image.fromarray(tile).resize((width, height), Image.Resampling.NEAREST)
    light = np.asarray(large)[..., None] / 255 * np.array(_LIGHT) / 255
    dark = (1 - light) * (1 - _DIM * under[..., None] / 255)
    both: Pixels = np.rint(255 * (1 - dark)).astype(np.uint8)
    return both
