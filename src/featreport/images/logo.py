"""The logo of a page as a picture to embed."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
from PIL import Image, UnidentifiedImageError

from featreport.errors import ManifestError
from featreport.images.pictures import encode

HEIGHT, WIDTH = 96, 640  # pixels at most: twice what the page shows


def read_logo(path: Path) -> tuple[str, str]:
    """Return (key, data: URI) of a logo: an SVG as it is, any other picture reduced and without its metadata.

    Raises:
        ManifestError: it cannot be read.
    """
    try:
        if path.suffix.lower() == ".svg":
            return _drawing(path)
        with Image.open(path) as image:
            image.load()
            whole = image.convert("RGBA")
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ManifestError(f"report.logo: {path.name}: not a picture that can be read ({error})") from error
    whole.thumbnail((WIDTH, HEIGHT))
    return encode(np.asarray(whole))


def _drawing(path: Path) -> tuple[str, str]:
    content = path.read_bytes()
    if b"<!" in content.replace(b"<!--", b""):  # a document type could make entities without end
        raise ValueError("an SVG with a document type; save it as plain SVG")
    if not ET.fromstring(content).tag.endswith("svg"):  # noqa: S314 - no entities are left in it
        raise ValueError("no SVG")
    key = hashlib.sha256(content).hexdigest()[:16]
    return key, f"data:image/svg+xml;base64,{base64.b64encode(content).decode('ascii')}"
