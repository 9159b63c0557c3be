"""What a run's status and the words on top of the page say of checks, failures and partial loads."""

from __future__ import annotations

from typing import Literal

import pytest

import sample_results as samples
from featreport.judge.verdict import judge
from featreport.report import formats
from featreport.report.assemble import assemble
from featreport.results.checks import CheckOutcome
from featreport.results.schema import Results


def outcome(run: str, verdict: str, severity: Literal["error", "warn", "ok"]) -> CheckOutcome:
    return CheckOutcome(
        place="checks[0]", run=run, metric="activations.dead", scope="layer", level="error", limits={"max": 0.0},
        verdict=verdict, severity=severity, examined=1,
    )  # fmt: skip


def with_checks(*outcomes: CheckOutcome) -> Results:
    return samples.few().model_copy(update={"checks": list(outcomes)})


def test_a_failed_check_is_a_problem_of_its_run_alone() -> None:
    results = with_checks(outcome("net/late", "failed", "error"), outcome("net/early", "warned", "warn"))
    before = {run.run: run.level for run in judge(samples.few()).runs}
    assert before["net/late"] != "fail"
    lines = {run.run: run for run in judge(results).runs}
    assert lines["net/late"].level == "fail"
    assert lines["net/late"].sentence.endswith("; 1 check failed.")
    assert lines["net/early"].level == before["net/early"]
    page = assemble(results)
    assert {row.id: row.status for row in page.overview}["net/late"] == "problem"
    assert {run.id: run.level for run in page.runs}["net/late"] == "fail"


def test_a_run_whose_only_fault_is_a_check_has_a_page() -> None:
    pictures: dict[str, str] = {}
    clean = samples.run("net/clean", pictures, {}, layers=1)
    clean = clean.model_copy(update={"activations": clean.activations[:2], "weights": [], "summary": None})
    results = samples.results(
        [clean, samples.failed()], pictures, checks=[outcome("net/clean", "failed", "error")]
    )
    assert judge(results).runs[0].findings == ()
    assert assemble(results).runs[0].open


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        (["net/broken"], "They were skipped because a run failed."),
        (["net/broken", "net/late"], "1 of these was skipped because a run failed."),
        (["net/late"], "skipped."),
    ],
)
def test_what_was_skipped_did_not_pass_and_the_page_says_why(runs: list[str], said: str) -> None:
    skipped = [outcome(run, "skipped", "ok") for run in runs]
    view = assemble(with_checks(outcome("net/early", "passed", "ok"), *skipped)).checks
    assert view is not None
    assert view.level == "note"
    assert view.sentence.endswith(said)


def test_checks_that_all_pass_are_passed() -> None:
    view = assemble(with_checks(outcome("net/early", "passed", "ok"))).checks
    assert view is not None
    assert view.level == "ok"


def test_a_long_reason_keeps_its_beginning() -> None:
    text = (
        "a.pt does not fit: fc.weight: the model has [1000, 512], the file has [10, 512] and " + "more " * 40
    )
    short = formats.opening(text, 80)
    assert len(short) <= 80
    assert text.startswith(short.removesuffix("…"))
    assert short.endswith("…")
    assert formats.opening("short", 80) == "short"


def test_only_a_run_that_was_measured_has_numbers_of_initial_values() -> None:
    lost = samples.load(missing=["fc.weight"])
    pictures: dict[str, str] = {}
    partial = samples.run("net/partial", pictures, {}, layers=1, load=lost)
    broken = samples.failed().model_copy(update={"load": lost})
    page = assemble(samples.results([partial, broken], pictures))
    said = [run.load.sentence for run in page.runs if run.load is not None]
    assert ["initial values" in sentence for sentence in said] == [True, False]
