"""Any Pillow mode becomes 8-bit RGB or L: 16 bit scaled, not clipped; alpha laid on white."""

from __future__ import annotations

import numpy as np
from PIL import Image

DEEP_MODES = frozenset({"I", "F", "I;16", "I;16L", "I;16B", "I;16N"})
SIXTEEN_BIT = 65535


def to_eight_bit(image: Image.Image, notes: list[str]) -> Image.Image:
    """Return `image` in mode RGB or L; append to `notes` what a reader must know about the scaling.

    Grey stays grey. Colour at 16 bits a channel never gets here: Pillow reads its upper byte.
    """
    if image.mode in DEEP_MODES:
        return _deep_to_grey(np.asarray(image), notes)
    if image.has_transparency_data or image.mode in {"RGBa", "La"}:
        return _on_white(image)
    return in_mode(image, "L" if image.mode in {"1", "L"} else "RGB")


def in_mode(image: Image.Image, mode: str) -> Image.Image:
    """Return `image` in `mode`: itself where it is in it, where `convert` copies every pixel."""
    return image if image.mode == mode else image.convert(mode)


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode == "La":
        image = image.convert("LA")
    colours = image.convert("RGBA")
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    grey = image.mode in {"1", "L", "LA", "La"}
    return Image.alpha_composite(white, colours).convert("L" if grey else "RGB")


def _deep_to_grey(values: np.ndarray, notes: list[str]) -> Image.Image:
    """Scale one channel of more than 8 bits, `values` [H, W], to grey.

    Integers within 0 … 65535 are 16-bit pixels: v / 257. Floats within 0 … 1 are shares of white. Nothing
    says what other ranges mean: they are stretched from their minimum to their maximum, and the note says so.
    """
    exact = values.astype(np.float64)
    finite = np.isfinite(exact)
    low, high = (float(exact[finite].min()), float(exact[finite].max())) if finite.any() else (0.0, 0.0)
    if not finite.all():
        notes.append(f"{int((~finite).sum())} pixels are not finite: taken as black")
    if values.dtype.kind == "f" and low >= 0 and high <= 1:
        notes.append("float pixels: 0 to 1 taken as black to white")
        scaled = exact * 255.0
    elif values.dtype.kind != "f" and low >= 0 and high <= SIXTEEN_BIT:
        scaled = exact / 257.0
    else:
        notes.append(f"pixels stretched from {low:g} … {high:g} to black … white")
        scaled = (exact - low) * (255.0 / (high - low) if high > low else 0.0)
    grey = np.rint(np.where(finite, scaled, 0.0)).astype(np.uint8)
    return Image.fromarray(grey)
