"""The table of checks: every rule on every run, and every number that breaks one."""

from __future__ import annotations

from featreport.results.schema import CheckItem, CheckOutcome, Results
from featreport.tables.table import Field, Table, indices, tabulate

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
        Field("layer", "Layer", "text", lambda row: row[1].layer or None if row[1] else None),
        Field("call", "Call", "integer", lambda row: row[1].call if row[1] else None),
        Field("output", "Output", "text", lambda row: row[1].output if row[1] else None),
        Field("item_verdict", "Of this number", "text", lambda row: row[1].verdict if row[1] else None),
        Field("observed", "Observed", "number", lambda row: row[1].observed if row[1] else None),
        Field("bound", "Bound", "text", lambda row: row[1].bound if row[1] else None),
        Field("limit", "Limit", "number", lambda row: row[1].limit if row[1] else None),
        Field("baseline", "Baseline", "number", lambda row: row[1].baseline if row[1] else None),
        Field("channels", "Channels", "indices", lambda row: indices(row[1].channels) if row[1] else None),
    ]
    rows = [(outcome, item) for outcome in results.checks for item in (outcome.items or [None])]
    return tabulate("checks", "Checks", fields, rows)
