"""What the page's script needs to turn the pixels of a picture back into values: words of an attribute."""

from __future__ import annotations

import json

from featreport.results.schema import FeatureMaps, KernelNorms, Kernels, Run


def of_maps(shown: FeatureMaps) -> str:
    """Return kind, values of black and white, tile, gap, the rows' images, and the channels or units."""
    places = f"{_list(shown.tile)} {shown.gap} {_list(shown.images)} {_list(shown.channels)}"
    return f"{shown.kind} {shown.low:.9g} {shown.high:.9g} {places}"


def of_kernels(shown: Kernels, planes: int) -> str:
    """Return kind, limit, tile, gap, tiles a row, filters, and planes of each."""
    return f"kernels {shown.limit:.9g} {_list(shown.tile)} {shown.gap} {shown.columns} {shown.shown} {planes}"


def planes_of(run: Run) -> int:
    """Return how many planes the kernels that are shown have: 1 or 3."""
    found = [one for one in run.weights if run.kernels is not None and one.name == run.kernels.name]
    return 1 if found and len(found[0].shape) > 1 and found[0].shape[1] == 1 else 3


def of_norms(shown: KernelNorms) -> str:
    """Return kind, the value of white, and the size."""
    return f"norms {shown.high:.9g} {_list(shown.size)}"


def files(run: Run) -> str:
    """Return the names of the images that maps are shown of, by their numbers, as JSON."""
    wanted = sorted({place for shown in run.maps for place in shown.images})
    known = {str(place): run.images.files[place].name for place in wanted if place < len(run.images.files)}
    return json.dumps(known, ensure_ascii=False, separators=(",", ":"))


def _list(numbers: list[int]) -> str:
    """Return numbers with commas; those from 0 on, without a gap, as how many there are: "#12"."""
    first = list(range(len(numbers)))
    return f"#{len(numbers)}" if numbers == first else ",".join(map(str, numbers))
