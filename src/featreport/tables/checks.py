"""The table of checks: every rule on every run, and every number that breaks one."""

from __future__ import annotations

from collections.abc import Callable

from featreport.results.schema import CheckItem, CheckOutcome, Results
from featreport.tables.table import Field, Kind, Table, Value, indices, tabulate

Line = tuple[CheckOutcome, CheckItem | None]


def checks(results: Results) -> Table:
    """Return one row per check, run and number it has something to say about; one without, where it has nothing."""
    fields: list[Field[Line]] = [
        Field("place", "In the manifest", "text", lambda row: row[0].place),
        Field("run", "Run", "text", lambda row: row[0].run or None),
        Field("metric", "Metric", "text", lambda row: row[0].metric),
        Field("layers", "Layers", "text", lambda row: row[0].layers),
        Field(
            "limits", "Limits", "text", lambda row: "; ".join(f"{k} {v!r}" for k, v in row[0].limits.items())
        ),
        Field("level", "Level", "text", lambda row: row[0].level),
        Field("verdict", "Verdict", "text", lambda row: row[0].verdict),
        Field("reason", "Reason", "text", lambda row: row[0].reason or None),
        Field("examined", "Numbers examined", "integer", lambda row: row[0].examined),
        Field("compared_with", "Compared with", "text", lambda row: row[0].baseline),
        _of_item("layer", "Layer", "text", lambda item: item.layer or None),
        _of_item("call", "Call", "integer", lambda item: item.call),
        _of_item("output", "Output", "text", lambda item: item.output),
        _of_item("item_verdict", "Of this number", "text", lambda item: item.verdict),
        _of_item("observed", "Observed", "number", lambda item: item.observed),
        _of_item("bound", "Bound", "text", lambda item: item.bound),
        _of_item("limit", "Limit", "number", lambda item: item.limit),
        _of_item("baseline", "Baseline", "number", lambda item: item.baseline),
        _of_item("channels", "Channels", "indices", lambda item: indices(item.channels)),
    ]
    rows: list[Line] = []
    for outcome in results.checks:
        rows += [(outcome, item) for item in outcome.items] or [(outcome, None)]
    return tabulate("checks", "Checks", fields, rows)


def _of_item(key: str, label: str, kind: Kind, read: Callable[[CheckItem], Value]) -> Field[Line]:
    return Field(key, label, kind, lambda row: None if row[1] is None else read(row[1]))
