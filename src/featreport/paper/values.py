"""The numbers behind pictures of maps, units, kernels and norms, as far as a picture tells them."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featreport.figures import embedded
from featreport.figures.embedded import Pixels
from featreport.results.schema import FeatureMaps, KernelNorms, Kernels, Run

Numbers = NDArray[np.float64]
_DIGITS = 5  # a pixel tells two or three
_ZERO, _STEPS = 128, 127  # the grey of weight 0 in a picture of kernels, and how many follow it
_PLANES = {1: ("grey",), 3: ("red", "green", "blue")}


@dataclass(frozen=True, eq=False)
class Values:
    """Rows of numbers, each with its place; all that it holds can be pickled."""

    keys: tuple[str, ...]  # of a place
    places: tuple[tuple[str | int, ...], ...]
    columns: tuple[str, ...]
    numbers: Numbers  # [rows, columns]

    def packed(self) -> bytes:
        """Return them as CSV, packed by gzip: the same bytes for the same numbers."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([*self.keys, *self.columns])
        for place, row in zip(self.places, self.numbers.tolist(), strict=True):
            writer.writerow([*place, *(_text(number) for number in row)])
        return gzip.compress(stream.getvalue().encode("utf-8", "replace"), 9, mtime=0)


def of_maps(run: Run, shown: FeatureMaps, pictures: Mapping[str, str]) -> Values | None:
    """Return a tap's maps, a row for each line of each map, or its units, a row for each.

    Returns:
        None where the picture is missing or cannot be read.
    """
    shares = embedded.shares(shown, pictures)
    if shares is None:
        return None
    numbers = shown.low * (1 - shares) + shown.high * shares
    images = [_image(run, place) for place in shown.images]
    if shown.kind == "units":
        units = shown.channels
        places = tuple((image, unit) for image in images for unit in units)
        return Values(
            ("image", "unit"),
            places,
            ("value",),
            numbers.reshape(len(images), -1)[:, : len(units)].reshape(-1, 1),
        )
    height, width = shown.tile
    lines = tuple(
        (image, channel, y) for image in images for channel in shown.channels for y in range(height)
    )
    return Values(("image", "channel", "y"), lines, _across(width), numbers.reshape(-1, width))


def of_kernels(shown: Kernels, filters: Pixels, inputs: int) -> Values:
    """Return the weights of `filters` `[filters, h, w, 3]`, a row for each line of each of the `inputs` planes."""
    height, width = shown.tile
    names = _PLANES.get(inputs, _PLANES[3])
    planes = filters[..., : len(names)].astype(np.float64)
    numbers = np.where(planes > 0, (planes - _ZERO) / _STEPS * shown.limit, np.nan)  # 0 stands for NaN
    lines = tuple((one, name, y) for one in range(len(filters)) for name in names for y in range(height))
    return Values(
        ("filter", "input", "y"), lines, _across(width), numbers.transpose(0, 3, 1, 2).reshape(-1, width)
    )


def of_norms(shown: KernelNorms, matrix: Pixels) -> Values:
    """Return the norms of a weight's kernels `[outputs, inputs]`, or what they were averaged to."""
    height, width = matrix.shape
    return Values(("y",), tuple((y,) for y in range(height)), _across(width), matrix / 255 * shown.high)


def _text(number: float) -> str:
    return "" if np.isnan(number) else f"{number:.{_DIGITS}g}"


def _across(width: int) -> tuple[str, ...]:
    return tuple(f"x{x}" for x in range(width))


def _image(run: Run, place: int) -> str:
    files = run.images.files
    return files[place].name if 0 <= place < len(files) else str(place)
