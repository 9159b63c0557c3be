"""Embedded pictures → pixels: sprites cut into tiles on the layer's common scale, thumbnails, kernels."""

from __future__ import annotations

import base64
import binascii
import io
import warnings
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featreport.results.schema import FeatureMaps, Kernels

Pixels = NDArray[np.uint8]
Shares = NDArray[np.float64]
_FORMATS = ("PNG", "WEBP", "JPEG", "GIF")
_MOST_PIXELS = 40_000_000  # of one picture: a sprite of 4096 units or 64 channels stays far below


def tiles(shown: FeatureMaps, pictures: Mapping[str, str]) -> Pixels | None:
    """Return `shares` in grey, 0 standing for `low` and 255 for `high`."""
    found = shares(shown, pictures)
    return None if found is None else np.rint(255 * found).astype(np.uint8)


def shares(shown: FeatureMaps, pictures: Mapping[str, str]) -> Shares | None:
    """Return the tiles `[images, columns, h, w]` of a tap, 0 standing for `low` and 1 for `high`.

    Columns are channels, or one where all units share a tile. Where the tiles stand each in its own contrast, the veil
    brings them to the common scale (see `FeatureMaps`).

    Returns:
        None where the picture is missing, cannot be read, or is not as large as it says.
    """
    cut = own(shown, pictures)
    return None if cut is None else _unveiled(cut / 255, shown, pictures)


def told(shown: FeatureMaps, pictures: Mapping[str, str]) -> Shares | None:
    """Return the least, the mean and the greatest of each tile of `shares`, as `[images, columns, 3]`.

    A veil is the same over all of a tile, and turns nothing round: it may come last.
    """
    cut = own(shown, pictures)
    if cut is None:
        return None
    told = np.stack([cut.min((2, 3)), cut.mean((2, 3)), cut.max((2, 3))], -1) / 255
    found = _unveiled(told[..., None], shown, pictures)
    return None if found is None else found[..., 0]


def _unveiled(own: Shares, shown: FeatureMaps, pictures: Mapping[str, str]) -> Shares | None:
    """Bring tiles `[images, columns, …, …]` to the common scale; None where they need a veil and there is none."""
    if shown.contrast is None:
        return own
    veil = pixels(pictures.get(shown.contrast), "LA")
    if veil is None or veil.shape[:2] != own.shape[:2]:
        return None
    grey, alpha = veil[..., :1, None] / 255, veil[..., 1:, None] / 255
    found: Shares = own * (1 - alpha) + grey * alpha
    return found


def own(shown: FeatureMaps, pictures: Mapping[str, str]) -> Pixels | None:
    """Return the tiles `[images, columns, h, w]` as their sprite has them; None as for `tiles`."""
    sprite = pixels(pictures.get(shown.picture), "L")
    rows, columns = len(shown.images), len(shown.channels) if shown.kind == "maps" else 1
    height, width = shown.tile
    return None if sprite is None else _cut(sprite, rows, columns, height, width, shown.gap)


def kernels(shown: Kernels, pictures: Mapping[str, str]) -> Pixels | None:
    """Return the filters `[filters, h, w, 3]`; None where there is no such picture."""
    sprite = pixels(pictures.get(shown.picture), "RGB")
    if sprite is None or min(*shown.tile, shown.columns, shown.shown) < 1:
        return None
    rows = -(-shown.shown // shown.columns)
    height, width = shown.tile
    planes = [_cut(sprite[..., i], rows, shown.columns, height, width, shown.gap) for i in range(3)]
    kept = [plane for plane in planes if plane is not None]
    if len(kept) < len(planes):
        return None
    joined = np.stack(kept, axis=-1)
    return joined.reshape(-1, *joined.shape[2:])[: shown.shown]


def pixels(source: str | None, mode: str) -> Pixels | None:
    """Return an embedded picture in Pillow's `mode`, or None where it is missing or no picture that can be read."""
    if source is None or ";base64," not in source:
        return None
    try:
        content = base64.b64decode(source.split(";base64,", 1)[1], validate=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(content), formats=_FORMATS)
            if image.width * image.height > _MOST_PIXELS:
                return None
            return np.asarray(image.convert(mode))
    except (OSError, ValueError, SyntaxError, binascii.Error, Image.DecompressionBombError):
        return None


def _cut(sprite: Pixels, rows: int, columns: int, height: int, width: int, gap: int) -> Pixels | None:
    """Return `[rows, columns, height, width]`, or None where the sprite is not of that size."""
    if min(rows, columns, height, width) < 1 or gap < 0:
        return None
    if sprite.shape != (rows * (height + gap) - gap, columns * (width + gap) - gap):
        return None
    padded = np.zeros((rows * (height + gap), columns * (width + gap)), np.uint8)
    padded[: sprite.shape[0], : sprite.shape[1]] = sprite
    grid = padded.reshape(rows, height + gap, columns, width + gap)
    return np.ascontiguousarray(grid[:, :height, :, :width].transpose(0, 2, 1, 3))
