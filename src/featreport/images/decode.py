"""An image file becomes pixels: upright, 8 bit, without alpha, or one line saying why it cannot be used."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal

from PIL import ExifTags, Image, ImageFile, ImageOps

from featreport.images.formats import ImageUnusable, identify, silence_pillow
from featreport.images.pixels import in_mode, to_eight_bit
from featreport.plan.types import ImageRef

MAX_PIXELS = 178_956_970  # where Pillow itself refuses: 512 MiB of three-byte pixels
MAX_BYTES = 512 * 1024 * 1024

__all__ = ["MAX_BYTES", "MAX_PIXELS", "Decoded", "ImageUnusable", "decode", "decode_logo"]


@dataclass(frozen=True)
class Decoded:
    """One image as the network's transform will get it; `width` and `height` are after EXIF orientation."""

    image: Image.Image  # mode RGB or L, no metadata
    width: int
    height: int
    sha256: str  # of the file's bytes
    note: str | None = None  # what was decided on the way, e.g. "animated: first frame of 24"


def decode(ref: ImageRef, color: Literal["RGB", "L"] = "RGB") -> Decoded:
    """Read the file once; return its pixels in mode `color`, upright, alpha laid on white.

    Raises:
        ImageUnusable: with a one-line reason that names no folder.
    """
    if ref.missing:
        raise ImageUnusable(ref.missing)
    content = _read(ref.path)
    digest = hashlib.sha256(content).hexdigest()
    notes: list[str] = []
    silence_pillow()
    try:
        image = _first_frame(content, notes)
        image = _upright(image, notes)
        image = in_mode(to_eight_bit(image, notes), color)
    except ImageUnusable:
        raise
    except MemoryError:
        raise ImageUnusable("needs more memory to decode than there is") from None
    except Exception as error:  # noqa: BLE001  a damaged file makes Pillow's plugins raise anything
        raise ImageUnusable(_reason(error)) from None
    image = image._new(image.im)  # noqa: SLF001 - the file's metadata stays behind, and no pixel is copied
    image.info.clear()
    return Decoded(image, image.width, image.height, digest, "; ".join(notes) or None)


def decode_logo(path: Path) -> Image.Image:
    """Return a picture upright in mode RGBA, 8 bit, its transparency kept.

    Raises:
        ImageUnusable: with a one-line reason that names no folder.
    """
    silence_pillow()
    try:
        image = _upright(_first_frame(_read(path), []), [])
        alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
        whole = in_mode(to_eight_bit(image, []), "RGB").convert("RGBA")
    except ImageUnusable:
        raise
    except Exception as error:  # noqa: BLE001  a damaged file makes Pillow's plugins raise anything
        raise ImageUnusable(_reason(error)) from None
    if alpha is not None:
        whole.putalpha(alpha)
    return whole


def _read(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise ImageUnusable("is a folder")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ImageUnusable("no such file") from None
    except PermissionError:
        raise ImageUnusable("may not be read (permission denied)") from None
    except (OSError, ValueError) as error:
        text = getattr(error, "strerror", None) or "not a usable file name"
        raise ImageUnusable(f"could not be read ({text})") from None
    if len(content) > MAX_BYTES:
        raise ImageUnusable(f"is larger than {MAX_BYTES // 2**20} MiB")
    return content


def _first_frame(content: bytes, notes: list[str]) -> Image.Image:
    """Return the loaded first frame, after refusing sizes over the limit from the header alone."""
    name, plugin = identify(content)
    image = plugin(BytesIO(content))
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImageUnusable(f"has {width} × {height} pixels, over the limit of {MAX_PIXELS:,}")
    if name == "PNG":  # its chunks carry checksums, which loading alone ignores for the pixels
        plugin(BytesIO(content)).verify()
    ImageFile.LOAD_TRUNCATED_IMAGES = False  # another library may have set it: half an image is not an image
    image.load()
    if getattr(image, "is_animated", False):
        word = "several pages: first page" if name == "TIFF" else "animated: first frame"
        notes.append(f"{word} of {getattr(image, 'n_frames', '?')}")
    return image


def _upright(image: Image.Image, notes: list[str]) -> Image.Image:
    try:
        if image.getexif().get(ExifTags.Base.Orientation, 1) == 1:
            return image  # `exif_transpose` would copy every pixel
        return ImageOps.exif_transpose(image)
    except Exception:  # noqa: BLE001  EXIF is metadata from anywhere; the pixels are sound without it
        notes.append("EXIF unreadable: taken as stored")
        image.info.pop("exif", None)
        return image


_CUT_OFF = re.compile(
    r"truncat|incomplete|not enough image data|unexpected end|EOF"
    r"|Missing dimensions|no more images|create decoder object",  # what the plugins say
    re.IGNORECASE,
)


def _reason(error: Exception) -> str:
    """Return one short line for what Pillow raised: no address, no path, no control characters."""
    text = re.sub(r"<[^>]* at 0x[0-9a-fA-F]+>", "", str(error)).strip()
    text = "".join(c for c in (text.splitlines() or [""])[0] if c.isprintable())[:100].strip()
    if _CUT_OFF.search(text) or isinstance(error, EOFError):
        return "is cut off or damaged: the pixels end early"
    return f"is damaged ({text or type(error).__name__})"
