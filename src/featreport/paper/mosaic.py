"""Feature maps as small multiples: the picture first, its maps beside it, dead ones hatched, one scale for all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from featreport.figures import canvas
from featreport.paper import letters, scale, sheet, sprites
from featreport.paper.drawing import Drawing
from featreport.paper.sprites import Pixels
from featreport.report import formats
from featreport.results.schema import Activation, FeatureMaps, Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GAP, _HEAD, _TITLE, _LABEL = 0.6, 1.4, 4.4, 3.8
_LEAST, _MOST = 5.2, 14.0  # of a tile's width
_ASPECT = 1.5  # the widest a thumbnail may be


def of_tap(run: Run, shown: FeatureMaps, tap: Activation | None, pictures: Mapping[str, str]) -> Drawing:
    """Return the drawing of one tap's maps."""
    title = shown.layer if shown.output is None else f"{shown.layer} [{shown.output}]"
    title += f" (call {shown.call})" if shown.call else ""
    module = f", {tap.module}" if tap else ""
    whole = f" of {formats.integer(tap.channels)}" if tap else ""
    silent = [channel for channel in shown.channels if tap and channel in set(tap.dead)]
    caption = (
        f"Feature maps of {formats.shorten(title)} ({formats.shorten(run.id)}{module}): "
        f"{_channels(shown)}{whole} of {formats.plural(len(shown.images), 'image')}, one "
        f"scale from {formats.number(shown.low)} (black) to {formats.number(shown.high)} (white). "
        f"{scale.hatched(silent, tap)}"
    ).rstrip()
    drawn = _Mosaic(run, shown, tuple(silent), title + module, pictures)
    return Drawing("maps", title, caption, drawn.draw, drawn.values)


def _channels(shown: FeatureMaps) -> str:
    """Return "the first 12 channels", or how else they were chosen."""
    chosen = {"strongest": "the strongest ", "rarest": "the rarest ", "dead": "dead channels first, "}
    return chosen.get(getattr(shown, "chosen", "first"), "") + formats.plural(len(shown.channels), "channel")


@dataclass(frozen=True)
class _Place:
    """The measures of a mosaic at one width, in millimetres."""

    tile: tuple[float, float]  # height, width
    left: float
    columns: int  # of one block
    blocks: int
    rows: int  # images drawn

    @property
    def block(self) -> float:
        """The height of a block with its labels."""
        return _LABEL + self.rows * (self.tile[0] + _GAP) + 1.0


@dataclass(frozen=True)
class _Mosaic:
    """The maps of one tap."""

    run: Run
    shown: FeatureMaps
    silent: tuple[int, ...]
    title: str
    pictures: Mapping[str, str]

    def values(self) -> Pixels | None:
        """Return the grey levels of all tiles, a row per image."""
        cut = sprites.tiles(self.shown, self.pictures)
        return None if cut is None else sprites.joined(cut)

    def draw(self, width: float) -> Figure:
        """Return the figure; channels that find no room beside one another go on in a block below."""
        maps = sprites.tiles(self.shown, self.pictures)
        thumbs = scale.thumbnails(self.run, self.shown, self.pictures)
        place = self._place(width, thumbs)
        made = sheet.Sheet(width, _TITLE + place.blocks * place.block + scale.HEIGHT)
        made.text(0, 3, letters.fit(self.title, width, sheet.SIZE))
        if maps is None:
            made.text(0, _TITLE + 4, "the picture is not in this report", color=canvas.MUTED)
        else:
            for block in range(place.blocks):
                self._block(made, maps, thumbs, place, block)
        left_out = len(self.shown.images) - place.rows
        note = f"first {formats.part(place.rows, len(self.shown.images))} images" if left_out else ""
        scale.draw(made, self.shown, width, _TITLE + place.blocks * place.block, note)
        return made.figure

    def _place(self, width: float, thumbs: list[Pixels | None]) -> _Place:
        shown = self.shown
        ratio = min(2.0, max(0.2, shown.tile[0] / shown.tile[1]))
        aspect = min(_ASPECT, max((t.shape[1] / t.shape[0] for t in thumbs if t is not None), default=0.0))
        least = max(_LEAST, max(letters.width(str(c), sheet.SIZE) for c in shown.channels) + 0.6)
        columns = len(shown.channels)
        while columns > 1 and self._tile(width, columns, aspect * ratio) < least:
            columns -= 1
        blocks = -(-len(shown.channels) // columns)
        columns = -(-len(shown.channels) // blocks)  # blocks of like size
        wide = min(_MOST, self._tile(width, columns, aspect * ratio))
        tall = wide * ratio
        room = sheet.TALLEST - _TITLE - scale.HEIGHT - blocks * (_LABEL + 1)
        rows = max(1, min(len(shown.images), int(room // (blocks * (tall + _GAP)))))
        left = tall * aspect + _HEAD if aspect else 0.0
        return _Place((tall, wide), left, columns, blocks, rows)

    @staticmethod
    def _tile(width: float, columns: int, thumb: float) -> float:
        return (width - (_HEAD if thumb else 0) - (columns - 1) * _GAP) / (columns + thumb)

    def _block(
        self, made: sheet.Sheet, maps: Pixels, thumbs: list[Pixels | None], place: _Place, block: int
    ) -> None:
        first = block * place.columns
        channels = self.shown.channels[first : first + place.columns]
        tall, wide = place.tile
        top = _TITLE + block * place.block + _LABEL
        for column, channel in enumerate(channels):
            x = place.left + column * (wide + _GAP)
            dead = channel in self.silent
            made.text(x + wide / 2, top - 0.9, str(channel), ha="center")
            if dead:
                half = letters.width(str(channel), sheet.SIZE) / 2 + 0.3
                made.lines(
                    [[(x + wide / 2 - half, top - 1.9), (x + wide / 2 + half, top - 1.9)]], canvas.INK, 0.7
                )
            for row in range(place.rows):
                y = top + row * (tall + _GAP)
                made.image(maps[row, first + column], x, y, wide, tall)
                if dead:
                    scale.hatch(made, x, y, wide, tall)
        for row in range(place.rows):
            thumb = thumbs[row]
            if thumb is not None:
                y, long = top + row * (tall + _GAP), tall * thumb.shape[1] / thumb.shape[0]
                high = tall if long <= place.left - _HEAD else tall * (place.left - _HEAD) / long
                made.image(np.ascontiguousarray(thumb), 0, y, min(long, place.left - _HEAD), high)
