"""Feature maps as small multiples: the picture first, its maps beside it, dead ones hatched, one scale for all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from featreport.figures import canvas
from featreport.paper import exhibit, letters, scale, sheet
from featreport.paper.drawing import Drawing
from featreport.paper.exhibit import Exhibit
from featreport.report import formats
from featreport.results.schema import Activation, FeatureMaps, Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GAP, _HEAD, _LABEL, _BELOW = 0.6, 1.4, 3.8, 1.0
_LEAST, _MOST = 5.2, 20.0  # of a tile's width
_ASPECT = 1.5  # the widest a thumbnail may be
_PLANE = 3  # axes of an output with maps: channel, height, width


def of_tap(run: Run, shown: FeatureMaps, tap: Activation | None, pixels: Exhibit) -> Drawing:
    """Return the drawing of one tap's maps."""
    title, module = exhibit.tap_title(shown), f", {tap.module}" if tap else ""
    loudest = ""
    if tap and any(thumb is not None for thumb in pixels.loudest):
        loudest = (
            f" Below each channel: of all {formats.integer(tap.images)} images, the one that fires it most."
        )
    caption = (
        f"Feature maps of {formats.shorten(title)} ({formats.shorten(run.id)}{module}): {_channels(shown, tap)}, "
        f"{exhibit.of_images(shown, tap)}; {exhibit.shown_range(shown)}{_averaged(shown, tap)}."
        f"{exhibit.struck('Hatched', pixels, tap, 'channel')}{loudest}"
    )
    return Drawing(("maps", title), title, caption, Mosaic(pixels).draw, pixels.values, pixels.numbers)


def _channels(shown: FeatureMaps, tap: Activation | None) -> str:
    """Return "the first 12 of 32 channels", or by which rule they were chosen."""
    some = len(shown.channels)
    if tap is None:
        return formats.plural(some, "channel")
    if some == tap.channels and shown.chosen == "first":
        return f"all {formats.plural(some, 'channel')}"
    few = f"{formats.part(some, tap.channels)} channels"
    return {
        "first": f"the first {few}",
        "strongest": f"{few}, those of the greatest mean |a| first",
        "rarest": f"{few}, those that fire on the fewest images first",
        "dead": f"{few}, dead ones first",
    }[shown.chosen]


def _averaged(shown: FeatureMaps, tap: Activation | None) -> str:
    if tap is None or len(tap.shape) != _PLANE or tap.channel_axis or tap.shape[1:] == shown.tile:
        return ""
    return f"; maps of {formats.shape(tap.shape[1:])} averaged to {formats.shape(shown.tile)}"


@dataclass(frozen=True)
class _Place:
    """The measures of a mosaic at one width, in millimetres."""

    tiling: sheet.Tiling
    left: float
    columns: int  # of one block
    blocks: int
    rows: int  # images drawn
    loudest: float  # height of the row below them

    @property
    def block(self) -> float:
        """The height of a block with its labels."""
        return _LABEL + self.rows * self.tiling.down + self.loudest + _BELOW


@dataclass(frozen=True, eq=False)
class Mosaic:
    """The tiles of one tap: a row for each image, a column for each channel."""

    pixels: Exhibit

    def draw(self, width: float) -> Figure:
        """Return the figure; channels that find no room beside one another go on in a block below."""
        title = letters.lines(self.pixels.title, width, 2)
        top = scale.head(title)
        place = self._place(width, sheet.TALLEST - top - scale.HEIGHT)
        made = sheet.Sheet(width, top + place.blocks * place.block + scale.HEIGHT)
        scale.write_title(made, title)
        for block in range(place.blocks):
            self._block(made, place, block, top + block * place.block)
        images = len(self.pixels.tiles)
        note = f"first {formats.part(place.rows, images)} images" if place.rows < images else ""
        foot = top + place.blocks * place.block
        if self.pixels.unscaled:
            made.text(0, foot + 4, self.pixels.unscaled, color=canvas.MUTED)
        else:
            scale.write(made, self.pixels.low, self.pixels.high, foot, note)
        return made.figure

    def _place(self, width: float, room: float) -> _Place:
        images, channels, height, breadth = self.pixels.tiles.shape[:4]
        ratio = min(2.0, max(0.2, height / breadth))
        found = [thumb for thumb in self.pixels.thumbs if thumb is not None]
        aspect = min(_ASPECT, max((thumb.shape[1] / thumb.shape[0] for thumb in found), default=0.0))
        least = max(_LEAST, max(letters.width(str(channel)) for channel in self.pixels.channels) + 0.6)
        columns = channels
        while columns > 1 and _tile(width, columns, aspect * ratio) < least:
            columns -= 1
        blocks = -(-channels // columns)
        columns = -(-channels // blocks)  # blocks of like size
        wide = min(_MOST, _tile(width, columns, aspect * ratio))
        tall = wide * ratio
        below = tall + _BELOW if any(thumb is not None for thumb in self.pixels.loudest) else 0.0
        rows = int((room - blocks * (_LABEL + below + _BELOW)) // (blocks * (tall + _GAP)))
        left = tall * aspect + _HEAD if aspect else 0.0
        tiling = sheet.Tiling((height, breadth), wide, tall, _GAP)
        return _Place(tiling, left, columns, blocks, max(1, min(images, rows)), below)

    def _block(self, made: sheet.Sheet, place: _Place, block: int, top: float) -> None:
        y, tiling = top + _LABEL, place.tiling
        first = block * place.columns
        channels = range(first, min(first + place.columns, len(self.pixels.channels)))
        made.tiles(self.pixels.tiles[: place.rows, first : channels.stop], place.left, y, tiling)
        for channel in channels:
            self._channel(made, place, channel, place.left + (channel - first) * tiling.across, y)
        for row, thumb in enumerate(self.pixels.thumbs[: place.rows]):
            if thumb is not None:
                made.fitted(thumb, 0, y + row * tiling.down, place.left - _HEAD, tiling.height)

    def _channel(self, made: sheet.Sheet, place: _Place, channel: int, x: float, y: float) -> None:
        """Draw what stands around a column: the channel's number, hatching, the image that fires it most."""
        tiling, number = place.tiling, str(self.pixels.channels[channel])
        middle = x + tiling.width / 2
        made.text(middle, y - 0.9, number, ha="center")
        if channel in self.pixels.silent:
            half = letters.width(number) / 2 + 0.3
            made.lines([[(middle - half, y - 1.9), (middle + half, y - 1.9)]], canvas.INK, 0.7)
            for row in range(place.rows):
                scale.hatch(made, x, y + row * tiling.down, tiling.width, tiling.height)
        loudest = self.pixels.loudest[channel] if self.pixels.loudest else None
        if loudest is not None:
            below = y + place.rows * tiling.down + _BELOW
            made.fitted(loudest, x, below, tiling.width, tiling.height, centre=True)


def _tile(width: float, columns: int, thumb: float) -> float:
    """Return how wide a tile is beside others and a thumbnail `thumb` times as wide."""
    return (width - (_HEAD if thumb else 0) - (columns - 1) * _GAP) / (columns + thumb)
