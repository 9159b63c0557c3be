"""Results → JUnit XML: a suite for each run, a case for each check, what broke a limit in the case's words.

No time and no host, so the same results give the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal
from xml.etree import ElementTree as ET

from featreport.judge.checks.gate import fails
from featreport.judge.checks.words import name_of, rule, told
from featreport.report import formats
from featreport.results.schema import CheckOutcome, Results, Run

MOST = 200  # lines of a case
_NO_XML = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\u202a-\u202e\u2066-\u2069]"
)
_NO_RUN = "checks without a run"


def junit(results: Results, fail_on: Literal["error", "warn"] = "error") -> str:
    """Return the JUnit XML of a build.

    Args:
        results: with the outcomes of its checks.
        fail_on: whether a warning fails its case, as it does the build.
    """
    root = ET.Element("testsuites", name=_text(results.title) or "featreport")
    for run in results.runs:
        _suite(root, run.id, [one for one in results.checks if one.run == run.id], fail_on, run)
    loose = [one for one in results.checks if not one.run]
    if loose:
        _suite(root, _NO_RUN, loose, fail_on)
    _count(root, root)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _suite(
    root: ET.Element,
    name: str,
    outcomes: Sequence[CheckOutcome],
    fail_on: Literal["error", "warn"],
    run: Run | None = None,
) -> None:
    suite = ET.SubElement(root, "testsuite", name=_text(name) or "run")
    if run is not None:
        _measured(suite, run)
    for outcome in outcomes:
        _case(suite, name, outcome, fail_on)
    _count(suite, suite)


def _count(element: ET.Element, within: ET.Element) -> None:
    for key, path in (("tests", "testcase"), ("failures", "failure"), ("errors", "error")):
        element.set(key, str(sum(1 for _ in within.iter(path))))
    if element.tag == "testsuite":
        element.set("skipped", str(sum(1 for _ in within.iter("skipped"))))


def _measured(suite: ET.Element, run: Run) -> None:
    """Add the case that says whether the run could be measured: a failed one is an error, never silence."""
    case = ET.SubElement(suite, "testcase", classname=_text(run.id), name="measured")
    if run.status == "failed":
        stage, message, hint = ("unknown", "the run failed and left no reason", "")
        if run.error is not None:
            stage, message, hint = run.error.stage, run.error.message, run.error.hint
        error = ET.SubElement(case, "error", type=stage, message=_text(name_of(message)))
        error.text = _text("\n".join(part for part in (message, hint) if part))


def _case(suite: ET.Element, run: str, outcome: CheckOutcome, fail_on: Literal["error", "warn"]) -> None:
    name = _text(f"{outcome.place} {rule(outcome)}")
    case = ET.SubElement(suite, "testcase", classname=_text(run), name=name)
    words = list(told(outcome))
    text = _text("\n".join(words[:MOST] + ([f"and {len(words) - MOST} more"] if len(words) > MOST else [])))
    if fails(outcome, fail_on):
        kind = "not comparable" if outcome.verdict == "skipped" else outcome.level
        ET.SubElement(case, "failure", type=kind, message=_text(_short(outcome, words))).text = text
    elif outcome.verdict == "skipped":
        ET.SubElement(case, "skipped", message=text)
    elif text:
        word = "warning" if outcome.severity == "warn" else "note"
        ET.SubElement(case, "system-out").text = f"{word}: {text}"


def _short(outcome: CheckOutcome, words: Sequence[str]) -> str:
    """Return a failure in one line: how many numbers, and the worst of them."""
    failed = sum(item.verdict == "failed" for item in outcome.items)
    if len(words) == 1 or not failed:
        return words[0] if words else outcome.verdict
    count = formats.part(failed, outcome.examined)
    return f"{count} numbers out of limits; the worst: {words[1 if outcome.reason else 0]}"


def _text(text: str) -> str:
    """Return `text` without what XML 1.0 or a viewer may not hold: controls, half characters, turned directions."""
    return _NO_XML.sub("", text)
