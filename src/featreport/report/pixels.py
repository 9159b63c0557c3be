"""What the page's script needs to turn the pixels of a picture back into values: words of an attribute."""

from __future__ import annotations

import json

from featreport.results.schema import FeatureMaps, KernelNorms, Kernels, Run


def of_maps(shown: FeatureMaps) -> str:
    """Return kind, values of black and white, tile, gap, the rows' images, and the channels or how many units."""
    whole = shown.kind == "units"
    columns = str(len(shown.channels)) if whole else _list(shown.channels)
    return f"{shown.kind} {shown.low!r} {shown.high!r} {_list(shown.tile)} {shown.gap} {_list(shown.images)} {columns}"


def of_kernels(shown: Kernels) -> str:
    """Return kind, limit, tile, gap, tiles a row, and filters."""
    return f"kernels {shown.limit!r} {_list(shown.tile)} {shown.gap} {shown.columns} {shown.shown}"


def of_norms(shown: KernelNorms) -> str:
    """Return kind, the value of white, and the size."""
    return f"norms {shown.high!r} {_list(shown.size)}"


def files(run: Run) -> str:
    """Return the names of the images that maps are shown of, by their numbers, as JSON."""
    wanted = sorted({place for shown in run.maps for place in shown.images})
    known = {str(place): run.images.files[place].name for place in wanted if place < len(run.images.files)}
    return json.dumps(known, ensure_ascii=False, separators=(",", ":"))


def _list(numbers: list[int]) -> str:
    return ",".join(map(str, numbers))
