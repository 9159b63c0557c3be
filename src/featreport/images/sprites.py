"""Feature maps, units and kernels as sprites: many tiles in one small grey or RGB picture.

Maps stand in it each in its own contrast; a veil, a picture with one pixel of grey and opacity for each tile, laid over
it brings them all to one scale. So one picture serves both, and a faint map keeps its detail.

Tile (row, column) begins at pixel (row · (h + gap), column · (w + gap)); there is no gap around the outside.
A value is one pixel: the page scales tiles up, pixelated.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]

LEVELS = 32
OWN_LEVELS = 16  # of a map in its own contrast: the bytes of 32 levels on one scale, measured on photos
GAP_GREY = 132  # the 16th of 32 levels: a gap adds no grey of its own to the picture
MID_GREY = 128  # weight 0 in a kernel sprite
FILTERS = 64
COLUMNS = 16
FILTER_AXES = 4  # [out, in, kh, kw]


class KernelSprite(NamedTuple):
    """The first filters of a layer; `limit` is max |w|: black −limit, mid grey 0, white +limit."""

    sprite: Pixels
    tile: list[int]  # [height, width]
    columns: int
    limit: float
    shown: int


class MapSprite(NamedTuple):
    """A row per image, a tile per channel, each in its own contrast; `veil` [images, channels, 2] (grey, opacity).

    On one scale, a pixel `own` of a tile under a veil (g, a) is `own · (1 − a) + g · a`, all from 0 to 1.
    """

    sprite: Pixels
    tile: list[int]  # [height, width]
    veil: Pixels


def sprite_of_maps(
    maps: NDArray[np.floating],
    low: float,
    high: float,
    *,
    gap: int = 1,
    max_tile: int = 48,
    levels: int = OWN_LEVELS,
) -> MapSprite:
    """Return the sprite of `maps` [images, channels, h, w]: on the one scale `low` is black, `high` white.

    Maps larger than `max_tile` are averaged over areas.
    """
    images, channels, height, width = maps.shape
    unit = _to_unit_range(maps, low, high)
    scale = min(1.0, max_tile / max(height, width))
    tile = [max(1, round(height * scale)), max(1, round(width * scale))]
    if tile != [height, width]:
        flat = [_average(one, tile) for one in unit.reshape(-1, height, width)]
        unit = np.stack(flat).reshape(images, channels, *tile)
    own, veil = _stretched(unit)
    return MapSprite(_lay_out(_to_grey(own, levels), gap, GAP_GREY), tile, veil)


def _stretched(unit: NDArray[np.float32]) -> tuple[NDArray[np.float32], Pixels]:
    """Stretch each tile of `unit` [n, c, h, w] to 0 … 1, and return with it the veil that undoes this.

    A tile of one value stays as it is, under a veil that hides nothing.
    """
    low = unit.min((2, 3), keepdims=True)
    span = unit.max((2, 3), keepdims=True) - low
    flat = span == 0
    own = np.where(flat, unit, (unit - low) / np.where(flat, 1, span))
    opacity = np.where(flat, 0, 1 - span)
    grey = np.where(opacity > 0, low / np.where(opacity > 0, opacity, 1), 0)
    veil = np.concatenate([grey, opacity], -1)[:, :, 0]
    return own.astype(np.float32), np.rint(255 * np.clip(veil, 0, 1)).astype(np.uint8)


def strip_of_units(
    values: NDArray[np.floating], low: float, high: float, columns: int, *, gap: int = 1, levels: int = LEVELS
) -> tuple[Pixels, list[int]]:
    """Return (sprite, tile [h, w]) of `values` [images, units]: a row per image, its one tile all its units.

    Units stand in order, line by line. A unit is one pixel; a tile is `columns` wide; the cells after the
    last unit have the gap's grey.
    """
    images, units = values.shape
    rows = -(-units // columns)
    grey = np.full((images, rows * columns), GAP_GREY, np.uint8)
    grey[:, :units] = _to_grey(_to_unit_range(values, low, high), levels)
    return _lay_out(grey.reshape(images, 1, rows, columns), gap, GAP_GREY), [rows, columns]


def kernel_sprite(weight: NDArray[np.floating], gap: int = 1) -> KernelSprite:
    """Return the sprite of a first layer's `weight` [out, in, kh, kw]: RGB where in is 3, grey where it is 1.

    Pixels run from 1 to 255; 0 is left to weights that are NaN.

    Raises:
        ValueError: the shape is not that of filters over RGB or grey.
    """
    if weight.ndim != FILTER_AXES or weight.shape[1] not in {1, 3} or 0 in weight.shape:
        raise ValueError(f"expected filters [out, 1 or 3, kh, kw], got {list(weight.shape)}")
    exact = weight[:FILTERS].astype(np.float64)
    finite = np.abs(exact[np.isfinite(exact)])
    limit = float(finite.max()) if finite.size else 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        share = np.clip(exact / limit if limit > 0 else np.sign(exact), -1.0, 1.0)
    pixels = np.where(np.isnan(exact), 0.0, MID_GREY + np.rint(127.0 * np.nan_to_num(share))).astype(np.uint8)
    shown, inputs, height, width = pixels.shape
    columns = min(COLUMNS, shown)
    rows = -(-shown // columns)
    grid = np.full((rows * columns, inputs, height, width), MID_GREY, np.uint8)
    grid[:shown] = pixels
    planes = [
        _lay_out(grid[:, i].reshape(rows, columns, height, width), gap, MID_GREY) for i in range(inputs)
    ]
    sprite = planes[0] if inputs == 1 else np.stack(planes, axis=-1)
    return KernelSprite(sprite, [height, width], columns, limit, shown)


def matrix_picture(norms: NDArray[np.floating], largest: int = 256) -> tuple[Pixels, list[int], float]:
    """Return (picture, [height, width], value of white) of `norms` [outputs, inputs] ≥ 0; black is 0.

    A side longer than `largest` is averaged over areas.
    """
    finite = norms[np.isfinite(norms)]
    size = [min(side, largest) for side in norms.shape]
    small = np.nan_to_num(norms.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    if size != list(norms.shape):
        small = _average(small, size)
    high = float(small.max()) if finite.size else 0.0
    return _to_grey(_to_unit_range(small, 0.0, high), LEVELS), size, high


def _to_unit_range(values: NDArray[np.floating], low: float, high: float) -> NDArray[np.float32]:
    """Map low … high to 0 … 1, clipped; NaN and −inf to 0, +inf to 1.

    Where low equals high there is no scale: a tap that is 0 throughout is black, any other constant mid grey.
    """
    exact = values.astype(np.float64)
    if high > low:
        with np.errstate(invalid="ignore", over="ignore"):
            unit = np.clip((exact / 2 - low / 2) / (high / 2 - low / 2), 0.0, 1.0)  # halves: no overflow
    else:
        unit = np.full(exact.shape, 0.0 if low == 0 else 0.5)
        unit[exact > high] = 1.0
        unit[exact < low] = 0.0
    unit[np.isnan(exact)] = 0.0
    return unit.astype(np.float32)


def _to_grey(unit: NDArray[np.float32], levels: int) -> Pixels:
    """Round 0 … 1 to evenly spaced greys; black means exactly 0: small values get the level above it."""
    steps = levels - 1
    index = np.rint(unit * steps)
    index = np.where(unit > 0, np.maximum(index, 1), 0)
    return np.rint(index * (255.0 / steps)).astype(np.uint8)


def _average(values: NDArray[np.float32], tile: list[int]) -> NDArray[np.float32]:
    """Reduce one map [h, w] to `tile`, each pixel the mean of the area it covers."""
    small = Image.fromarray(values).resize((tile[1], tile[0]), Image.Resampling.BOX)
    return np.array(small, dtype=np.float32)


def _lay_out(tiles: Pixels, gap: int, fill: int) -> Pixels:
    """Lay `tiles` [rows, columns, h, w] out as one picture with `gap` pixels between them."""
    rows, columns, height, width = tiles.shape
    padded = np.full((rows, height + gap, columns, width + gap), fill, np.uint8)
    padded[:, :height, :, :width] = tiles.transpose(0, 2, 1, 3)
    sheet = padded.reshape(rows * (height + gap), columns * (width + gap))
    return np.ascontiguousarray(sheet[: sheet.shape[0] - gap, : sheet.shape[1] - gap])
