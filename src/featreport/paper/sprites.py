"""Pixels → pictures of a kit: tiles without their gaps, the part of a photo that the network saw."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


def joined(cut: Pixels, columns: int | None = None) -> Pixels:
    """Return tiles `[rows, columns, h, w]`, or `[n, h, w, 3]` laid `columns` a row, as one picture without gaps."""
    if columns is not None:
        rows = -(-len(cut) // columns)
        grid = np.zeros((rows * columns, *cut.shape[1:]), np.uint8)
        grid[: len(cut)] = cut
        cut = grid.reshape(rows, columns, *cut.shape[1:])
    rows, columns, height, width = cut.shape[:4]
    return cut.swapaxes(1, 2).reshape(rows * height, columns * width, *cut.shape[4:])


def part(picture: Pixels, seen: Sequence[float] | None, stretched: float | None) -> Pixels:
    """Return the part `[h, w, 3]` of a photo that the network saw, in the proportions in which it saw it.

    Args:
        picture: `[h, w, 3]`, the whole photo.
        seen: left, top, width and height of the part as shares of it; None: all of it.
        stretched: width by height that the part was brought to; None: its own.
    """
    if seen is not None:
        left, top, width, height = seen
        rows, columns = (
            _span(*some) for some in ((top, height, len(picture)), (left, width, picture.shape[1]))
        )
        picture = picture[rows, columns]
    if stretched is None:
        return picture
    longest = max(picture.shape[:2])
    wide, tall = longest * min(1.0, stretched), longest * min(1.0, 1 / stretched)
    return np.asarray(Image.fromarray(picture).resize((max(1, round(wide)), max(1, round(tall)))))


def _span(start: float, share: float, side: int) -> slice:
    first = min(side - 1, round(start * side))
    return slice(first, max(first + 1, round((start + share) * side)))


def encode(picture: Pixels) -> bytes:
    """Return a picture as PNG, without a resolution or a date."""
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(stream, "PNG")
    return stream.getvalue()
