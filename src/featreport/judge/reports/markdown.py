"""Results → Markdown for a job summary or a pull request: GitHub's tables, every foreign text escaped."""

from __future__ import annotations

import re
from collections.abc import Iterator

from featreport.judge.checks.gate import worst_first
from featreport.judge.checks.words import headline, name_of, rule, told
from featreport.judge.verdict import judge
from featreport.report import formats
from featreport.results.schema import CheckOutcome, Results

MOST_ROWS, MOST_LINES = 100, 200  # of the table; of what did not pass: a job summary holds 1 MB
_MARKUP = re.compile(
    r"([\\`*_{}\[\]<>#!|~$&@]|:(?=\S)|(?<=www)\.)"
)  # within a line; no line begins with foreign text
_WORDS = {"passed": "passed", "warned": "⚠️ warning", "failed": "❌ failed", "skipped": "⏭️ SKIPPED"}


def markdown(results: Results) -> str:
    """Return a summary of a build: the verdict, what did not pass, a table of its checks."""
    parts = [f"## {escape(results.title)}", escape(judge(results).sentence)]
    lost = [(run.id, run.error.message) for run in results.runs if run.error is not None]
    if lost:
        lines = [f"- ❌ {escape(name_of(run))}: {escape(name_of(reason))}" for run, reason in lost]
        parts.append("\n".join(lines[:MOST_LINES]))
    if results.checks:
        parts.append(f"**{escape(headline(results.checks))}**")
        found = list(_found(results))
        if len(found) > MOST_LINES:
            found[MOST_LINES:] = [f"- and {formats.integer(len(found) - MOST_LINES)} more in the report"]
        if found:
            parts.append("\n".join(found))
        parts.append("\n".join(_table(results)))
    return "\n\n".join(parts) + "\n"


def _found(results: Results) -> Iterator[str]:
    """Yield a line for everything that did not pass, worst first."""
    for outcome in worst_first(results.checks):
        if outcome.severity == "ok":
            continue
        word = "❌" if outcome.severity == "error" else "⚠️"
        run = escape(name_of(outcome.run) or "no run")
        for text in told(outcome):
            yield f"- {word} {run}: {escape(outcome.metric)}: {escape(text)}"


def _table(results: Results) -> Iterator[str]:
    yield "| Check | Run | Level | Verdict | Numbers |"
    yield "| --- | --- | --- | --- | ---: |"
    shown = worst_first(results.checks)
    for outcome in shown[:MOST_ROWS]:
        run = escape(name_of(outcome.run) or "no run")
        yield f"| {escape(rule(outcome))} | {run} | {outcome.level} | {_verdict(outcome)} | {outcome.examined} |"
    if len(shown) > MOST_ROWS:
        yield f"| and {formats.integer(len(shown) - MOST_ROWS)} more in the report | | | | |"


def _verdict(outcome: CheckOutcome) -> str:
    word = _WORDS[outcome.verdict]
    if outcome.verdict == "failed" and outcome.severity == "warn":
        word = _WORDS["warned"]
    return f"{word}: {escape(name_of(outcome.reason))}" if outcome.verdict == "skipped" else word


def escape(text: str) -> str:
    """Return `text` so that it is read as these very letters: on one line, no markup, no link, no HTML."""
    flat = formats.clean(" ".join(text.split()))
    return _MARKUP.sub(r"\\\1", flat)
