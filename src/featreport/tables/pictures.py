"""Tables of what pictures show: which maps, of which image, between which two values."""

from __future__ import annotations

from featreport.results.schema import Activation, FeatureMaps, KernelNorms, Kernels, Run
from featreport.tables.table import Field, Table, tabulate

Tile = tuple[
    FeatureMaps, int, int | None, Activation | None
]  # its image, its place among the channels, its tap


def maps(run: Run) -> Table:
    """Return one row per tap, image and channel shown: `low` is black, `high` white; units stand once per image."""
    taps = {(tap.layer, tap.call, tap.output): tap for tap in run.activations}
    fields: list[Field[Tile]] = [
        Field("layer", "Layer", "text", lambda row: row[0].layer),
        Field("call", "Call", "integer", lambda row: row[0].call),
        Field("output", "Output", "text", lambda row: row[0].output),
        Field("kind", "Kind", "text", lambda row: row[0].kind),
        Field("image", "Image", "text", lambda row: _image(run, row[1])),
        Field("channel", "Channel", "integer", _channel),
        Field("chosen", "Chosen", "text", lambda row: row[0].chosen),
        Field("height", "Height", "integer", lambda row: row[0].tile[0]),
        Field("width", "Width", "integer", lambda row: row[0].tile[1]),
        Field("low", "Black", "number", lambda row: row[0].low),
        Field("high", "White", "number", lambda row: row[0].high),
        Field("dead", "Dead", "flag", _dead),
        Field("loudest_image", "Fires most on", "text", lambda row: _image(run, _loudest(row))),
    ]
    rows = [
        (shown, image, place, taps.get((shown.layer, shown.call, shown.output)))
        for shown in run.maps
        for image in shown.images
        for place in (range(len(shown.channels)) if shown.kind == "maps" else (None,))
    ]
    return tabulate("maps", "Feature maps", fields, rows)


def kernels(run: Run) -> Table:
    """Return the row of the first layer's kernels as pictures: black stands for -`limit`, white for `limit`."""
    fields: list[Field[Kernels]] = [
        Field("name", "Tensor", "text", lambda one: one.name),
        Field("shown", "Shown", "integer", lambda one: one.shown),
        Field("total", "Of", "integer", lambda one: one.total),
        Field("height", "Height", "integer", lambda one: one.tile[0]),
        Field("width", "Width", "integer", lambda one: one.tile[1]),
        Field("limit", "Limit", "number", lambda one: one.limit),
    ]
    return tabulate("kernels", "Kernels", fields, [run.kernels] if run.kernels else [])


def kernel_norms(run: Run) -> Table:
    """Return one row per weight whose kernels' norms are shown: 0 is black, `high` white."""
    fields: list[Field[KernelNorms]] = [
        Field("name", "Tensor", "text", lambda one: one.name),
        Field("kernel", "Kernel", "text", lambda one: "x".join(map(str, one.kernel)) or None),
        Field("outputs", "Outputs", "integer", lambda one: one.outputs),
        Field("inputs", "Inputs", "integer", lambda one: one.inputs),
        Field("height", "Height", "integer", lambda one: one.size[0]),
        Field("width", "Width", "integer", lambda one: one.size[1]),
        Field("high", "White", "number", lambda one: one.high),
    ]
    return tabulate("kernel-norms", "Norms of kernels", fields, run.kernel_norms)


def _image(run: Run, index: int | None) -> str | None:
    known = index is not None and 0 <= index < len(run.images.files)
    return run.images.files[index].name if known and index is not None else None


def _channel(row: Tile) -> int | None:
    shown, _, place, _ = row
    return None if place is None else shown.channels[place]


def _loudest(row: Tile) -> int | None:
    shown, _, place, _ = row
    return None if place is None or place >= len(shown.loudest) else shown.loudest[place]


def _dead(row: Tile) -> bool | None:
    channel, tap = _channel(row), row[3]
    return None if tap is None or channel is None else channel in tap.dead
