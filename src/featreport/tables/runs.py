"""Tables over all runs: the overview, what was loaded, which images were seen, what has no numbers."""

from __future__ import annotations

from collections.abc import Callable

from featreport.results.schema import Definition, Load, Results, Run, Summary, Unmeasured
from featreport.tables.table import Column, Field, Kind, Table, Value, length, tabulate


def overview(results: Results) -> Table:
    """Return one row per run: what it is, its headline with its parts, what was loaded."""
    fields: list[Field[Run]] = [
        Field("run", "Run", "text", lambda run: run.id),
        Field("model", "Model", "text", lambda run: run.model),
        Field("checkpoint", "Checkpoint", "text", lambda run: run.checkpoint),
        Field("status", "Status", "text", lambda run: run.status),
        Field("failed_stage", "Failed at", "text", lambda run: run.error.stage if run.error else None),
        Field("source", "Source", "text", lambda run: run.source),
        Field("parameters", "Parameters", "integer", lambda run: run.parameters),
        Field("images", "Images", "integer", lambda run: run.images.count if run.status == "ok" else None),
        Field("images_failed", "Images not usable", "integer", lambda run: len(run.images.failed)),
        _of_summary("rectifiers", "Rectifiers", "integer", lambda found: found.rectifiers),
        _of_summary("channels", "Rectifier channels", "integer", lambda found: found.channels),
        _of_summary("dead_channels", "Dead", "integer", lambda found: found.dead_channels),
        _of_summary("dead_fraction", "Dead share", "share", lambda found: found.dead_fraction),
        _of_summary(
            "dead_fraction_macro", "Mean over layers", "share", lambda found: found.dead_fraction_macro
        ),
        _of_summary("constant_channels", "Constant", "integer", lambda found: found.constant_channels),
        _of_summary("weights", "Weights", "integer", lambda found: found.weights),
        _of_summary(
            "near_zero_weights", "Near-zero weights", "integer", lambda found: found.near_zero_weights
        ),
        _of_summary("near_zero_fraction", "Near-zero share", "share", lambda found: found.near_zero_fraction),
        _of_summary("zero_weights", "Zero weights", "integer", lambda found: found.zero_weights),
        _of_summary("zero_fraction", "Zero share", "share", lambda found: found.zero_fraction),
        _of_summary("dead_filters", "Dead filters", "integer", lambda found: found.dead_filters),
        _of_summary("nonfinite", "Non-finite", "integer", lambda found: found.nonfinite),
        *(_of_load(field) for field in _LOAD[:6]),
        Field("transform", "Transform", "text", lambda run: run.transform),
        Field("device", "Device", "text", lambda run: run.device),
        Field("precision", "Precision", "text", lambda run: run.precision),
        Field("batch_size", "Batch size", "integer", lambda run: run.batch_size),
    ]
    return tabulate("overview", "All runs", fields, results.runs)


def loads(results: Results) -> Table:
    """Return the load audit: one row per run that opened a file or drew seeded weights."""
    fields: list[Field[Run]] = [
        Field("run", "Run", "text", lambda run: run.id),
        *(_of_load(field) for field in _LOAD),
    ]
    return tabulate("loads", "Load audit", fields, [run for run in results.runs if run.load is not None])


def images(results: Results) -> Table:
    """Return one row per run and image, the ones that could not be used after those that were."""
    columns = (
        Column("run", "Run", "text"),
        Column("image", "Image", "text"),
        Column("used", "Used", "flag"),
        Column("sha256", "SHA-256", "text"),
        Column("width", "Width", "integer"),
        Column("height", "Height", "integer"),
        Column("note", "Note", "text"),
    )
    rows: list[tuple[Value, ...]] = []
    for run in results.runs:
        rows += [
            (run.id, file.name, True, file.sha256, file.width, file.height, file.note)
            for file in run.images.files
        ]
        rows += [(run.id, lost.path, False, None, None, None, lost.reason) for lost in run.images.failed]
    return Table("images", "Images", columns, tuple(rows))


def definitions(results: Results) -> Table:
    """Return what each statistic means, with the thresholds used, in the words of the page."""
    fields: list[Field[Definition]] = [
        Field("metric", "Metric", "text", lambda entry: entry.metric),
        Field("label", "Label", "text", lambda entry: entry.label),
        Field("definition", "Definition", "text", lambda entry: entry.sentence),
    ]
    return tabulate("definitions", "Definitions", fields, results.definitions)


def unmeasured(results: Results) -> Table:
    """Return one row per layer or output without numbers, and why."""
    fields: list[Field[tuple[Run, Unmeasured]]] = [
        Field("run", "Run", "text", lambda row: row[0].id),
        Field("layer", "Layer", "text", lambda row: row[1].layer),
        Field("reason", "Reason", "text", lambda row: row[1].reason),
    ]
    rows = [(run, entry) for run in results.runs for entry in run.unmeasured]
    return tabulate("unmeasured", "Not measured", fields, rows)


def _of_summary(key: str, label: str, kind: Kind, read: Callable[[Summary], Value]) -> Field[Run]:
    return Field(key, label, kind, lambda run: None if run.summary is None else read(run.summary))


def _of_load(field: Field[Load]) -> Field[Run]:
    key = f"load_{field.key}"
    return Field(key, field.label, field.kind, lambda run: None if run.load is None else field.read(run.load))


_LOAD: tuple[Field[Load], ...] = (
    Field("format", "Format", "text", lambda load: load.format),
    Field("matched", "Matched", "integer", lambda load: load.matched),
    Field("missing", "Missing", "integer", lambda load: length(load.missing)),
    Field("unexpected", "Unexpected", "integer", lambda load: length(load.unexpected)),
    Field("mismatched", "Of another shape", "integer", lambda load: length(load.mismatched)),
    Field("untrained", "Looks untrained", "flag", lambda load: load.untrained),
    Field("path", "File", "text", lambda load: load.path),
    Field("sha256", "SHA-256", "text", lambda load: load.sha256),
    Field("bytes", "Bytes", "integer", lambda load: load.bytes),
    Field("producer", "Written by", "text", lambda load: load.producer),
    Field("strict", "Strict", "flag", lambda load: load.strict),
    Field("key", "Key", "text", lambda load: load.key),
    Field("prefix", "Prefix removed", "text", lambda load: load.prefix),
    Field("suffix", "Suffix removed", "text", lambda load: load.suffix),
    Field("missing_names", "Missing tensors", "text", lambda load: "; ".join(load.missing)),
    Field("unexpected_names", "Unexpected tensors", "text", lambda load: "; ".join(load.unexpected)),
    Field(
        "mismatched_names",
        "Tensors of another shape",
        "text",
        lambda load: "; ".join(m.name for m in load.mismatched),
    ),
    Field("applied", "Done to the tensors", "text", lambda load: "; ".join(load.applied)),
)
