"""A figure's bytes as PDF, SVG and PNG: the same for the same content."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from featreport.paper.sheet import DPI

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What a PDF needs of a font whose glyphs it names by number (ISO 32000-1, 9.9).
_TABLES = {"cvt ", "fpgm", "glyf", "head", "hhea", "hmtx", "loca", "maxp", "prep"}


def pdf(figure: Figure, title: str) -> bytes:
    """Return the figure as a PDF of one page, text as TrueType text, without dates."""
    from matplotlib.backends.backend_pdf import FigureCanvasPdf

    stream = io.BytesIO()
    made = {"Title": title, "Creator": "featreport", "Producer": None, "CreationDate": None}
    paper: Any = FigureCanvasPdf(figure)
    with _light_fonts():
        paper.print_pdf(stream, metadata=made)
    return stream.getvalue()


@contextmanager
def _light_fonts() -> Iterator[None]:
    """Let matplotlib embed of a font only the tables that a PDF needs.

    fontTools would otherwise parse and prune the rest (layout, names, character maps) anew for every figure, which took
    half the time of a kit.
    """
    subset: Any = import_module("fontTools.subset")
    load = subset.load_font

    def light(*place: Any, **how: Any) -> Any:
        font = load(*place, **how)
        for table in set(font.reader.keys()) - _TABLES:
            del font[table]
        return font

    subset.load_font = light
    try:
        yield
    finally:
        subset.load_font = load


def svg(figure: Figure) -> bytes:
    """Return the figure as an SVG, text as text, without dates."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    stream = io.StringIO()
    paper: Any = FigureCanvasSVG(figure)
    paper.print_svg(stream, metadata={"Date": None, "Creator": None})
    return stream.getvalue().encode("utf-8")


def png(figure: Figure) -> bytes:
    """Return the figure as an RGB PNG of 300 dots per inch that says so."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    before = figure.dpi
    figure.set_dpi(DPI)
    paper: Any = FigureCanvasAgg(figure)
    paper.draw()
    pixels = np.asarray(paper.buffer_rgba())[..., :3]
    figure.set_dpi(before)
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, "PNG", dpi=(DPI, DPI))
    return stream.getvalue()


def files(figure: Figure, title: str) -> dict[str, bytes]:
    """Return the figure's bytes by file suffix."""
    return {"pdf": pdf(figure, title), "svg": svg(figure), "png": png(figure)}
