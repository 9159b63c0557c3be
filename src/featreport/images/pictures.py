"""Arrays become small pictures for the page: data: URIs, the same bytes for the same pixels, no metadata."""

from __future__ import annotations

import base64
import hashlib
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featreport.images.sprites import (
    KernelSprite,
    MapSprite,
    Pixels,
    kernel_sprite,
    sprite_of_maps,
    strip_of_units,
)

__all__ = [
    "KernelSprite",
    "MapSprite",
    "Pixels",
    "encode",
    "encode_input",
    "encode_photo",
    "kernel_sprite",
    "sprite_of_maps",
    "strip_of_units",
    "thumbnail",
]

WEBP_LARGEST = 16383  # pixels along one side; the format's own limit
SMALL = 4096  # pixels
COLOURS = (1, 3)  # channels of a picture that is shown as it is
PALETTE_LARGEST = 16  # greys that fit in 4 bits


def encode(pixels: Pixels) -> tuple[str, str]:
    """Return (key, data: URI) of `pixels` [H, W], [H, W, 2] (grey, opacity) or [H, W, 3]: lossless WebP or PNG.

    The key is the start of the sha256 of the picture's bytes: the same picture has the same key everywhere. PNG is
    tried for small pictures only: on sprites of 32 greys WebP was smaller by a tenth, and PNG took twice the time.
    """
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if max(image.size) > WEBP_LARGEST:
        return _name("png", _png(image))
    webp = _save(image, "WEBP", lossless=True, quality=20, method=4, exact=True)
    if image.width * image.height > SMALL:
        return _name("webp", webp)
    kind, content = min(("webp", webp), ("png", _png(image)), key=lambda candidate: len(candidate[1]))
    return _name(kind, content)


def encode_photo(image: Image.Image, height: int = 72, max_width: int = 144) -> tuple[str, str]:
    """Return (key, data: URI) of a thumbnail of a photo, lossy WebP of quality 80."""
    small = Image.fromarray(thumbnail(image, height, max_width))
    return _name("webp", _save(small, "WEBP", quality=80, method=6))


def encode_input(values: NDArray[np.floating], side: int = 224) -> tuple[str, str]:
    """Return (key, data: URI) of what a network was given, `values` [channels, h, w], from its least to its greatest.

    Three channels are colours; of any other number the mean is shown in grey. Lossy WebP of quality 70.
    """
    planes = values if values.shape[0] in COLOURS else values.mean(0, keepdims=True)
    finite = np.nan_to_num(planes.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(finite.min()), float(finite.max())
    unit = (finite - low) / (high - low) if high > low else np.zeros_like(finite)
    pixels = np.rint(255 * unit).astype(np.uint8)
    image = Image.fromarray(
        pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0))
    )
    image.thumbnail((side, side))
    return _name("webp", _save(image, "WEBP", quality=70, method=6))


def thumbnail(image: Image.Image, height: int = 72, max_width: int = 144) -> Pixels:
    """Return `image` reduced to fit `max_width` × `height`, as uint8 [h, w] or [h, w, 3]; never enlarged."""
    scale = min(height / image.height, max_width / image.width, 1.0)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    small = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0) if size != image.size else image
    return np.array(small, dtype=np.uint8)


def _png(image: Image.Image) -> bytes:
    """Return `image` as PNG; up to 16 greys become a palette of 4 bits or fewer a pixel."""
    plain = _save(image, "PNG", optimize=True)
    if image.mode != "L":
        return plain
    greys, indices = np.unique(np.asarray(image), return_inverse=True)
    if len(greys) > PALETTE_LARGEST:
        return plain
    indexed = Image.fromarray(indices.reshape(image.height, image.width).astype(np.uint8))
    indexed.putpalette(np.repeat(greys, 3).tobytes())
    bits = next(bits for bits in (1, 2, 4) if len(greys) <= 2**bits)
    return min(plain, _save(indexed, "PNG", optimize=False, bits=bits, compress_level=9), key=len)


def _save(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _name(kind: str, content: bytes) -> tuple[str, str]:
    key = hashlib.sha256(content).hexdigest()[:16]
    return key, f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
