"""The table of what pictures show: which maps, of which image, between which two values."""

from __future__ import annotations

from featreport.results.schema import Activation, FeatureMaps, Run
from featreport.tables.table import Field, Table, tabulate


def maps(run: Run) -> Table:
    """Return one row per tap, image and channel shown: `low` is black, `high` white; units stand once per image."""
    taps = {(tap.layer, tap.call, tap.output): tap for tap in run.activations}
    fields: list[Field[tuple[FeatureMaps, int, int | None, Activation | None]]] = [
        Field("layer", "Layer", "text", lambda row: row[0].layer),
        Field("call", "Call", "integer", lambda row: row[0].call),
        Field("output", "Output", "text", lambda row: row[0].output),
        Field("kind", "Kind", "text", lambda row: row[0].kind),
        Field("image", "Image", "text", lambda row: _image(run, row[1])),
        Field("channel", "Channel", "integer", lambda row: row[2]),
        Field("height", "Height", "integer", lambda row: row[0].tile[0]),
        Field("width", "Width", "integer", lambda row: row[0].tile[1]),
        Field("low", "Black", "number", lambda row: row[0].low),
        Field("high", "White", "number", lambda row: row[0].high),
        Field("dead", "Dead", "flag", lambda row: _dead(row[3], row[2])),
    ]
    rows = [
        (shown, image, channel, taps.get((shown.layer, shown.call, shown.output)))
        for shown in run.maps
        for image in shown.images
        for channel in (shown.channels if shown.kind == "maps" else (None,))
    ]
    return tabulate("maps", "Feature maps", fields, rows)


def _image(run: Run, index: int) -> str | None:
    return run.images.files[index].name if 0 <= index < len(run.images.files) else None


def _dead(tap: Activation | None, channel: int | None) -> bool | None:
    return None if tap is None or channel is None else channel in tap.dead
