"""The numbers behind each picture as a file in a link: one row for each map, unit, filter or row of norms.

A picture tells two or three digits of a number. Every pixel would be ten times the bytes of the picture: the page's
script writes those out of the pixels themselves, and so does `featreport export`.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from featreport.figures import embedded
from featreport.figures.embedded import Shares
from featreport.report import data
from featreport.report.anchors import slug
from featreport.report.drawn import DataLink
from featreport.report.shelf import Shelf
from featreport.results.schema import Activation, FeatureMaps, KernelNorms, Kernels, Run
from featreport.tables import Column, Table
from featreport.tables.table import Value

DIGITS = 3
BRIEFLY = 512  # characters of a file that is not packed
_PLANES = {1: ("grey",), 3: ("red", "green", "blue")}
_ZERO, _STEPS = 128, 127  # the grey of weight 0 in a picture of kernels, and how many follow it
_TOLD = ("least", "mean", "greatest")


def of_maps(
    run: Run, shown: FeatureMaps, tap: Activation | None, shelf: Shelf, anchor: str
) -> DataLink | None:
    """Return least, mean and greatest of each map, or the value of each unit; None where no picture can be read."""
    shares = (embedded.shares if shown.kind == "units" else embedded.told)(shown, shelf.pictures)
    if shares is None:
        return None
    numbers = shown.low * (1 - shares) + shown.high * shares
    dead = set(tap.dead) if tap else set()
    silent = (
        {channel: channel in dead for channel in shown.channels} if tap else {}
    )  # of no tap it is not known
    images = [_image(run, place) for place in shown.images]
    parts: list[str | int] = [anchor, shown.layer]
    parts += [part for part in (shown.output, shown.call) if part]
    if shown.kind == "units":
        table = _table(
            ("image", "unit", "dead", "value"),
            (
                (image, unit, silent.get(unit), value)
                for image, values in zip(images, numbers.reshape(len(images), -1).tolist(), strict=True)
                for unit, value in zip(shown.channels, values, strict=False)
            ),
        )
        return _link("CSV", slug(*parts, "units"), table)
    loudest = [_image(run, place) for place in shown.loudest]
    where = loudest if len(loudest) == len(shown.channels) else []
    keys = ("image", "channel", "dead", *(["fires_most_on"] if where else []), *_TOLD)
    table = _table(
        keys,
        (
            (image, channel, silent.get(channel), *where[place : place + 1], *told)
            for image, row in zip(images, numbers.tolist(), strict=True)
            for place, (channel, told) in enumerate(zip(shown.channels, row, strict=True))
        ),
    )
    return _link("CSV per map", slug(*parts, "maps"), table)


def of_kernels(shown: Kernels, planes: int, shelf: Shelf, anchor: str) -> DataLink | None:
    """Return least, mean and greatest weight of each filter and input; nothing for those of NaN."""
    filters = embedded.kernels(shown, shelf.pictures)
    if filters is None:
        return None
    names = _PLANES[planes]
    pixels = filters[..., : len(names)].astype(np.float64).transpose(0, 3, 1, 2)  # [filters, inputs, h, w]
    weights = np.ma.masked_equal(pixels, 0)  # 0 stands for NaN
    weights = (weights - _ZERO) / _STEPS * shown.limit
    told = np.ma.stack([weights.min((2, 3)), weights.mean((2, 3)), weights.max((2, 3))], -1).tolist()
    rows = ((one, name, *told[one][place]) for one in range(len(filters)) for place, name in enumerate(names))
    return _link(
        "CSV per filter", slug(anchor, shown.name, "kernels"), _table(("filter", "input", *_TOLD), rows)
    )


def of_norms(shown: KernelNorms, shelf: Shelf, anchor: str) -> DataLink | None:
    """Return least, mean and greatest norm of each row of the picture."""
    grey = embedded.pixels(shelf.pictures.get(shown.picture), "L")
    if grey is None:
        return None
    norms: Shares = grey / 255 * shown.high
    told = np.stack([norms.min(1), norms.mean(1), norms.max(1)], -1).tolist()
    rows = ((y, *row) for y, row in enumerate(told))
    return _link("CSV per row", slug(anchor, shown.name, "norms"), _table(("y", *_TOLD), rows))


def _table(keys: tuple[str, ...], rows: Iterable[tuple[Value, ...]]) -> Table:
    return Table("", "", tuple(Column(key, key, "text") for key in keys), tuple(rows))


def _link(label: str, stem: str, table: Table) -> DataLink:
    return data.link(label, stem, table, DIGITS, BRIEFLY)


def _image(run: Run, place: int | None) -> str | None:
    files = run.images.files
    if place is None:
        return None
    return files[place].name if 0 <= place < len(files) else str(place)
