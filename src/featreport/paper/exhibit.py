"""What is shown of one tap, as pixels: maps or units on one scale, the images they are of, what is dead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from featreport.figures import embedded
from featreport.paper import sprites, values
from featreport.paper.sprites import Pixels
from featreport.paper.values import Values
from featreport.report import formats
from featreport.results.schema import Activation, FeatureMaps, Run

_BOTH = 2


@dataclass(frozen=True, eq=False)
class Exhibit:
    """One tap's tiles with all that stands around them."""

    title: str
    tiles: Pixels  # [images, columns, h, w]: 0 stands for `low`, 255 for `high`; of units one column
    channels: tuple[int, ...]
    silent: tuple[int, ...]  # places among the channels
    thumbs: tuple[Pixels | None, ...]  # of each row
    loudest: tuple[Pixels | None, ...]  # of each column: the image that fires it most; empty: not known
    low: float = 0.0
    high: float = 0.0
    unscaled: str = ""  # what stands in the place of the scale
    numbers: Values | None = None  # what the tiles stand for

    @property
    def values(self) -> Pixels:
        """The grey levels of all tiles, a row for each image."""
        return sprites.joined(self.tiles)


def of_tap(
    run: Run, shown: FeatureMaps, tap: Activation | None, pictures: Mapping[str, str]
) -> Exhibit | None:
    """Return what is shown of a tap; None where its picture is missing or cannot be read."""
    tiles = embedded.tiles(shown, pictures)
    if tiles is None:
        return None
    dead = set(tap.dead) if tap else set()
    whole = bool(tap and tap.rectifier and tap.images > 1) and len(shown.loudest) == len(shown.channels)
    return Exhibit(
        title=f"{tap_title(shown)}, {tap.module}" if tap else tap_title(shown),
        tiles=tiles,
        channels=tuple(shown.channels),
        silent=tuple(place for place, channel in enumerate(shown.channels) if channel in dead),
        thumbs=tuple(thumbnail(run, place, pictures) for place in shown.images),
        loudest=tuple(thumbnail(run, place, pictures) for place in shown.loudest) if whole else (),
        low=shown.low,
        high=shown.high,
        numbers=values.of_maps(run, shown, pictures),
    )


def tap_title(shown: FeatureMaps) -> str:
    """Return how a figure names the tap it shows: its layer, its output, and its call if not the first."""
    title = shown.layer if shown.output is None else f"{shown.layer} [{shown.output}]"
    return f"{title} (call {shown.call})" if shown.call else title


def shown_range(shown: FeatureMaps) -> str:
    """Return the words for what black and white stand for."""
    if shown.high <= shown.low:
        return f"every value shown is {formats.number(shown.low)}"
    return f"one scale from {formats.number(shown.low)} (black) to {formats.number(shown.high)} (white)"


def struck(word: str, exhibit: Exhibit, tap: Activation | None, noun: str) -> str:
    """Return the sentence about what is hatched or struck through; the empty string where nothing is."""
    if not exhibit.silent or tap is None:
        return ""
    several = "on both images" if tap.images == _BOTH else f"on all {formats.integer(tap.images)} images"
    over = "on this image" if tap.images == 1 else several
    return f" {word}: silent {over} ({formats.plural(len(exhibit.silent), noun)} shown here)."


def of_images(shown: FeatureMaps, tap: Activation | None) -> str:
    """Return "for 2 of 16 images"."""
    some = len(shown.images)
    if tap is None or tap.images <= some:
        return f"for {formats.plural(some, 'image')}"
    return f"for {formats.part(some, tap.images)} images"


def thumbnail(run: Run, place: int | None, pictures: Mapping[str, str]) -> Pixels | None:
    """Return the picture `[h, w, 3]` of what the network saw of an image of the run; None where there is none of it."""
    files = run.images.files
    file = files[place] if place is not None and 0 <= place < len(files) else None
    whole = embedded.pixels(pictures.get(file.picture), "RGB") if file and file.picture else None
    return whole if file is None or whole is None else sprites.part(whole, file.seen, file.stretched)
