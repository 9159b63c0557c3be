"""Tables about other builds and other runs: the headline over builds, and how alike the layers of two runs are."""

from __future__ import annotations

from featreport.results.schema import PastRun, Results
from featreport.tables.table import Field, Table, tabulate

Row = tuple[str, PastRun]
Pair = tuple[str, str, str, str, float | None]


def builds(results: Results) -> Table:
    """Return one row per build and run of a history that has a run of this build, this build last."""
    fields: list[Field[Row]] = [
        Field("build", "Build", "text", lambda row: row[0]),
        Field("run", "Run", "text", lambda row: row[1].id),
        Field("status", "Status", "text", lambda row: row[1].status),
        Field("passed", "Checks passed", "flag", lambda row: row[1].passed),
        Field("dead_channels", "Dead", "integer", lambda row: row[1].dead_channels),
        Field("channels", "Of", "integer", lambda row: row[1].channels),
        Field("dead_fraction", "Dead share", "share", lambda row: row[1].dead_fraction),
        Field("near_zero_fraction", "Near zero", "share", lambda row: row[1].near_zero_fraction),
        Field("zero_fraction", "Zero", "share", lambda row: row[1].zero_fraction),
        Field("nonfinite", "Non-finite", "integer", lambda row: row[1].nonfinite),
    ]
    earlier = results.history.builds if results.history else []
    rows = [(str(build.number), run) for build in earlier for run in build.runs]
    rows += [("this build", PastRun.of(run)) for run in results.runs] if earlier else []
    return tabulate("builds", "Builds", fields, rows)


def similarities(results: Results) -> Table:
    """Return one row per pair of layers of the runs that are compared by what they make of the images."""
    fields: list[Field[Pair]] = [
        Field("run", "Run", "text", lambda row: row[0]),
        Field("layer", "Layer", "text", lambda row: row[1]),
        Field("other_run", "Other run", "text", lambda row: row[2]),
        Field("other_layer", "Its layer", "text", lambda row: row[3]),
        Field("cka", "CKA", "number", lambda row: row[4]),
    ]
    rows = [
        (one.run, layer, one.other, other, value)
        for one in results.similarities
        for layer, values in zip(one.layers, one.values, strict=True)
        for other, value in zip(one.other_layers, values, strict=True)
    ]
    return tabulate("similarities", "Similarity of layers", fields, rows)
