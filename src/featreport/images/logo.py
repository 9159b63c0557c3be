"""The logo of a page as a picture to embed."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from xml.parsers import expat

import numpy as np

from featreport.errors import ManifestError
from featreport.images.decode import ImageUnusable, decode_logo
from featreport.images.pictures import encode

HEIGHT, WIDTH = 96, 640  # pixels at most: twice what the page shows


def read_logo(path: Path) -> tuple[str, str]:
    """Return (key, data: URI) of a logo: an SVG as it is, any other picture upright, reduced, without its metadata.

    Raises:
        ManifestError: it cannot be read.
    """
    try:
        if path.suffix.lower() == ".svg":
            return _drawing(path)
        whole = decode_logo(path)
    except (OSError, ValueError, ImageUnusable, expat.ExpatError) as error:
        raise ManifestError(f"report.logo: {path.name}: not a picture that can be read ({error})") from error
    whole.thumbnail((WIDTH, HEIGHT))
    return encode(np.asarray(whole))


def _drawing(path: Path) -> tuple[str, str]:
    content = path.read_bytes()
    elements: list[str] = []

    def refuse(*_: object) -> None:
        raise ValueError(
            "an SVG with a document type; save it as plain SVG"
        )  # its entities could have no end

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = lambda name, _: elements.append(name)
    parser.Parse(content, True)
    if elements[0].rpartition(" ")[2] != "svg":
        raise ValueError("no SVG")
    key = hashlib.sha256(content).hexdigest()[:16]
    return key, f"data:image/svg+xml;base64,{base64.b64encode(content).decode('ascii')}"
