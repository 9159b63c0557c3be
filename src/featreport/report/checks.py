"""The outcomes of checks → their place on the page, on top of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from featreport.judge import Level, Target
from featreport.judge.checks.gate import severities, worst_first
from featreport.judge.checks.reading import parts
from featreport.judge.checks.words import headline, name_of, rule, said
from featreport.report import formats
from featreport.report.page import CheckLine, CheckRow, ChecksView
from featreport.report.rows import name
from featreport.results.schema import CheckItem, CheckOutcome, Results

SHOWN, MOST = 5, 100  # lines at once, and behind a click
MOST_ROWS = 200  # of the table
_WORDS = {"passed": "passed", "warned": "warning", "failed": "failed", "skipped": "skipped"}
_LEVELS: dict[str, Level] = {"error": "fail", "warn": "warn", "ok": "ok"}


def view(results: Results, places: Mapping[Target, str]) -> ChecksView | None:
    """Return the checks of the page; None: there are none.

    Args:
        results: with the outcomes.
        places: where on the page each run, tap and tensor stands.
    """
    outcomes = worst_first(results.checks)
    if not outcomes:
        return None
    lines = [line for outcome in outcomes if outcome.severity != "ok" for line in _lines(outcome, places)]
    rest = len(lines) - MOST
    rows, worst = _rows(outcomes, places), severities(outcomes)
    return ChecksView(
        level=_LEVELS["error" if worst["error"] else "warn"]
        if worst["error"] or worst["warn"]
        else _calm(outcomes),
        sentence=f"{headline(outcomes)}{_why_skipped(results)}",
        default=all(outcome.default for outcome in outcomes),
        first=tuple(lines[:SHOWN]),
        more=tuple(lines[SHOWN:MOST]),
        rest=f"{formats.integer(rest)} more in the results" if rest > 0 else "",
        rows=tuple(rows[:MOST_ROWS]),
        rows_left_out=f"{formats.integer(len(rows) - MOST_ROWS)} more" if len(rows) > MOST_ROWS else "",
    )


def _calm(outcomes: Sequence[CheckOutcome]) -> Level:
    """Return the level of checks of which none failed: what was skipped did not pass."""
    return "note" if any(outcome.verdict == "skipped" for outcome in outcomes) else "ok"


def _why_skipped(results: Results) -> str:
    """Say how much of what was skipped was so because its run failed."""
    failed = {run.id for run in results.runs if run.status == "failed"}
    skipped = [outcome.run in failed for outcome in results.checks if outcome.verdict == "skipped"]
    if not any(skipped):
        return ""
    count = sum(skipped)
    some = f"{formats.integer(count)} of these {'was' if count == 1 else 'were'}"
    which = f"{'They were' if all(skipped) else some} skipped"
    return f" {which} because a run failed."


def relinked(checks: ChecksView, moved: Mapping[str, str]) -> ChecksView:
    """Return the checks with links that lead to the run where the row is gone."""

    def kept(lines: tuple[CheckLine, ...]) -> tuple[CheckLine, ...]:
        return tuple(replace(line, href=moved.get(line.href, line.href)) for line in lines)

    return replace(checks, first=kept(checks.first), more=kept(checks.more))


def _lines(outcome: CheckOutcome, places: Mapping[Target, str]) -> list[CheckLine]:
    """Return a line for the outcome's reason and for each of its items."""
    level, run = _level(outcome), name(outcome.run or "no run")
    lines = []
    if outcome.reason:
        text = f"{rule(outcome)}: {name_of(outcome.reason)}"
        lines.append(CheckLine(level, _word(outcome), run, text, _href(outcome, None, places)))
    for item in outcome.items:
        mild = item.verdict != "failed"
        word = item.verdict if mild else _word(outcome)
        text = f"{rule(outcome)}: {said(outcome, item)}"
        shown: Level = level if not mild else "warn" if item.verdict == "missing" else "note"
        lines.append(CheckLine(shown, word, run, text, _href(outcome, item, places)))
    return lines


def _rows(outcomes: Sequence[CheckOutcome], places: Mapping[Target, str]) -> list[CheckRow]:
    """Return a row for each outcome; what passes of the default set takes one for all its runs."""
    rows, quiet = [], dict[str, list[CheckOutcome]]()
    for outcome in outcomes:
        if outcome.default and outcome.verdict == "passed":
            quiet.setdefault(outcome.place, []).append(outcome)
        else:
            rows.append(_row(outcome, places))
    for some in quiet.values():
        row = _row(some[0], places)
        if len(some) > 1:
            examined = formats.integer(sum(outcome.examined for outcome in some))
            row = replace(row, run=name(formats.plural(len(some), "run")), href="", examined=examined)
        rows.append(row)
    return rows


def _row(outcome: CheckOutcome, places: Mapping[Target, str]) -> CheckRow:
    return CheckRow(
        place=outcome.place,
        verdict=outcome.verdict,
        rule=rule(outcome),
        run=name(outcome.run or "no run"),
        href=_href(outcome, None, places),
        level=_level(outcome),
        word=_word(outcome),
        severity=outcome.level,
        examined=formats.integer(outcome.examined),
        reason=name_of(outcome.reason),
    )


def _level(outcome: CheckOutcome) -> Level:
    if outcome.verdict == "skipped" and outcome.severity == "ok":
        return "note"
    return _LEVELS[outcome.severity]


def _word(outcome: CheckOutcome) -> str:
    if outcome.verdict == "failed" and outcome.severity == "warn":
        return "warning"
    return _WORDS[outcome.verdict]


def _href(outcome: CheckOutcome, item: CheckItem | None, places: Mapping[Target, str]) -> str:
    """Return the link to the row that shows an item, or to the run's section; empty: neither is on the page."""
    group = parts(outcome.metric)[0]
    targets = [Target(outcome.run)]
    if item is not None and group == "activations":
        targets.insert(0, Target(outcome.run, "tap", (item.layer, item.call, item.output)))
    elif item is not None and group == "weights":
        targets.insert(0, Target(outcome.run, "weight", (item.layer,)))
    elif group in {"load", "images"}:
        targets.insert(0, Target(outcome.run, "load" if group == "load" else "images"))
    return next((f"#{places[target]}" for target in targets if target in places), "")
