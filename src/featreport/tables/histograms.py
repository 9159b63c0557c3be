"""Tables of histograms: in long form one row per bin, in short form one row per layer."""

from __future__ import annotations

from collections.abc import Iterator

from featreport.results.schema import Activation, Histogram, Run, Weight
from featreport.tables.table import Field, Table, tabulate

Bin = tuple[float, float, int]
Placed = Activation | Weight


def activation_histograms(run: Run) -> Table:
    """Return one row per tap and bin; `zeros_counted` of the tap's values are exact zeros, all in one bin."""
    fields: list[Field[tuple[Activation, Bin]]] = [
        Field("layer", "Layer", "text", lambda row: row[0].layer),
        Field("call", "Call", "integer", lambda row: row[0].call),
        Field("output", "Output", "text", lambda row: row[0].output),
        Field("bin_low", "From", "number", lambda row: row[1][0]),
        Field("bin_high", "To", "number", lambda row: row[1][1]),
        Field("count", "Count", "integer", lambda row: row[1][2]),
        Field("scale", "Scale", "text", lambda row: row[0].histogram.scale),
        Field("zeros_counted", "Zeros among them", "integer", lambda row: zeros_counted(row[0])),
    ]
    rows = ((tap, found) for tap in run.activations for found in _bins(tap.histogram))
    return tabulate("histograms", "Histograms of activations", fields, rows)


def weight_histograms(run: Run) -> Table:
    """Return one row per parameter tensor and bin."""
    fields: list[Field[tuple[Weight, Bin]]] = [
        Field("name", "Tensor", "text", lambda row: row[0].name),
        Field("bin_low", "From", "number", lambda row: row[1][0]),
        Field("bin_high", "To", "number", lambda row: row[1][1]),
        Field("count", "Count", "integer", lambda row: row[1][2]),
        Field("scale", "Scale", "text", lambda row: row[0].histogram.scale),
        Field("zeros_counted", "Zeros among them", "integer", lambda row: zeros_counted(row[0])),
    ]
    rows = ((tensor, found) for tensor in run.weights for found in _bins(tensor.histogram))
    return tabulate("weight-histograms", "Histograms of parameters", fields, rows)


def histograms(run: Run) -> Table:
    """Return one row per tap and parameter tensor with the whole histogram in it."""
    fields: list[Field[Placed]] = [
        Field(
            "kind", "Kind", "text", lambda row: "activation" if isinstance(row, Activation) else "parameter"
        ),
        Field("name", "Name", "text", lambda row: row.layer if isinstance(row, Activation) else row.name),
        Field("call", "Call", "integer", lambda row: row.call if isinstance(row, Activation) else None),
        Field("output", "Output", "text", lambda row: row.output if isinstance(row, Activation) else None),
        Field("scale", "Scale", "text", lambda row: row.histogram.scale),
        Field("zeros_counted", "Zeros among them", "integer", zeros_counted),
        Field("low", "From", "number", lambda row: row.histogram.edges[0]),
        Field("high", "To", "number", lambda row: row.histogram.edges[-1]),
        Field("edges", "Edges", "text", lambda row: _edges(row.histogram)),
        Field("counts", "Counts", "text", lambda row: " ".join(map(str, row.histogram.counts))),
    ]
    rows: list[Placed] = [*run.activations, *run.weights]
    rows = [row for row in rows if row.histogram.counts]
    return tabulate("histograms", "Histograms", fields, rows)


def _edges(histogram: Histogram) -> str | None:
    """Return the edges where `low` and `high` do not tell them: bins of equal width need no more."""
    return None if histogram.scale == "linear" else " ".join(f"{edge:.9g}" for edge in histogram.edges)


def zeros_counted(row: Activation | Weight) -> int:
    """Return how many of the values that a histogram counts are exact zeros."""
    return row.zeros if row.histogram.zeros is None else row.histogram.zeros


def _bins(histogram: Histogram) -> Iterator[Bin]:
    yield from zip(histogram.edges, histogram.edges[1:], histogram.counts, strict=False)
