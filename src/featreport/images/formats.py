"""Which image formats are read, told from a file's first bytes; what a file is when it is none of them.

Each format names its Pillow class. `Image.open` is not used: it prints a warning for a large image (we refuse
it ourselves, from the header), and it tries a plugin by the file's name first.
"""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Callable
from io import BytesIO

from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

Plugin = Callable[[BytesIO], ImageFile]


class ImageUnusable(Exception):  # noqa: N818  a statement about the image, and no FeatreportError: the run goes on
    """This one image cannot be used; the text is a one-line reason, e.g. "is empty"."""


FORMATS: tuple[tuple[str, re.Pattern[bytes], Plugin], ...] = (
    ("PNG", re.compile(rb"\x89PNG\r\n\x1a\n"), PngImageFile),
    ("JPEG", re.compile(rb"\xff\xd8\xff"), JpegImageFile),
    ("BMP", re.compile(rb"BM"), BmpImageFile),
    ("GIF", re.compile(rb"GIF8[79]a"), GifImageFile),
    ("TIFF", re.compile(rb"II[*+]\x00|MM\x00[*+]"), TiffImageFile),
    ("WEBP", re.compile(rb"RIFF....WEBP", re.DOTALL), WebPImageFile),
    ("PPM", re.compile(rb"P[1-6f]\s"), PpmImageFile),
)

_OTHERS: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"\Z"), "is empty"),
    (re.compile(rb"version https://git-lfs"), "is a git-LFS pointer, not the image (run: git lfs pull)"),
    (re.compile(rb"....ftyp(avif|avis|hei|mif1|msf1)", re.DOTALL), "is AVIF or HEIC, which is not read"),
    (re.compile(rb"\x00+\Z"), "holds nothing but zero bytes"),
)


def identify(content: bytes) -> tuple[str, Plugin]:
    """Return the name and the Pillow class of the format that the first bytes announce.

    Raises:
        ImageUnusable: they announce none of `FORMATS`.
    """
    for name, magic, plugin in FORMATS:
        if magic.match(content):
            return name, plugin
    for magic, reason in _OTHERS:
        if magic.match(content):
            raise ImageUnusable(reason)
    start = content[:16].decode("latin-1")
    shown = "".join(c if c.isascii() and c.isprintable() else "·" for c in start)
    raise ImageUnusable(f"is not an image of a format read here (starts with '{shown}')")


_QUIET = ("ignore", None, Warning, re.compile(r"PIL\."), 0)
_LOCK = threading.Lock()


def silence_pillow() -> None:
    """Keep Pillow's remarks on odd metadata off standard error, and from being raised under `-W error`.

    `warnings.catch_warnings` swaps the process's filters: not safe among threads. One filter for Pillow's
    own modules, put in place and left there, is; it is looked for each time: test runners remove it.
    """
    if _QUIET in warnings.filters:
        return
    with _LOCK:
        if _QUIET not in warnings.filters:
            warnings.filterwarnings("ignore", module=r"PIL\.")
