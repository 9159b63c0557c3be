"""Every table tells its numbers against the baseline, and says so where they cannot be compared."""

from __future__ import annotations

import re
from typing import Any

import pytest

import sample_results as samples
from checked import check
from featreport import gate
from featreport.plan.types import BaselineRef
from featreport.report import render
from featreport.report.assemble import assemble
from featreport.report.cells import Cell
from featreport.report.changes import _as_its_column
from featreport.report.formats import MINUS, NBSP
from featreport.results import codec
from featreport.results.schema import Images, Results, Run, Summary


class Planned:
    """What `gate.judged` needs of a plan."""

    def __init__(self, baseline: BaselineRef) -> None:
        self.baseline = baseline
        self.checks = (check(max=9, runs=("net/now",)),)


def run(name: str, dead: list[int], shift: float = 0.0, **more: Any) -> Run:
    taps = [samples.activation("relu", 8, 1, dead=dead, mean=0.5 + shift, constant=[7])]
    tensors = [samples.weight("fc.weight", [8, 4], 2, near_zero_fraction=0.25 + shift, std=0.125 + shift)]
    made = samples.run(name, {}, {}, layers=1, maps=[], kernels=None, activations=taps, weights=tensors)
    summary = Summary.model_validate(
        {
            **samples.summary(taps, tensors).model_dump(),
            "dead_fraction": len(dead) / 8,
            "near_zero_fraction": 0.25 + shift,
        }
    )
    return made.model_copy(update={"summary": summary, **more})


def told(now: Run, before: Run, *, inside: bool) -> Results:
    """The results of `now`, told against `before`, a run of the same build or of earlier results."""
    results = samples.results([before, now] if inside else [now])
    ref = (
        BaselineRef("net/before", "", run="net/before")
        if inside
        else BaselineRef("old.json", "", path="old.json")
    )
    earlier = None if inside else samples.results([before.model_copy(update={"id": "net/now"})])
    return gate.judged(Planned(ref), results, earlier)


def cells(page: str, row: str) -> dict[str, str]:
    """The words in each number cell of a row, by metric; the first of each."""
    line = re.search(rf"<tr [^>]*{row}.*?</tr>", page, re.DOTALL)[0].replace("\xa0", " ")
    found: dict[str, str] = {}
    for metric, text in re.findall(r'data-metric="(\w+)"[^>]*>(.*?)</td>', line, re.DOTALL):
        found.setdefault(metric, re.sub(r"<[^>]+>", " ", text))
    return found


@pytest.mark.parametrize("inside", [True, False])
def test_each_number_stands_over_its_change(inside: bool) -> None:
    results = told(run("net/now", [0, 3], 0.125), run("net/before", [3, 5, 6]), inside=inside)
    page = render(results, "r.json")
    tap = cells(page, 'data-run="net/now" data-layer="relu"')
    assert "Against the baseline newly dead: channel 0; revived: channels 5, 6." in tap["dead_fraction"]
    assert tap["dead_fraction"].split()[-1] == "−1"
    assert tap["mean"].split() == ["0.625", "+0.125"]
    tensor = cells(page, 'data-run="net/now" data-weight="fc.weight"')
    assert tensor["near_zero_fraction"].split() == ["37.5", "%", "+12.5", "pp"]
    assert tensor["std"].split()[-1] == "+0.125"
    first = cells(page, 'data-summary="net/now"')
    assert first["dead_fraction"].split()[-2:] == ["−12.5", "pp"]
    assert first["near_zero_fraction"].split()[-2:] == ["+12.5", "pp"]
    assert codec.decode(page, "page").compared == results.compared
    assert render(codec.decode(page, "page"), "r.json") == page


@pytest.mark.parametrize("inside", [True, False])
def test_what_did_not_change_says_nothing(inside: bool) -> None:
    page = render(told(run("net/now", [3]), run("net/before", [3]), inside=inside), "r.json")
    for row in ('data-run="net/now" data-layer="relu"', 'data-run="net/now" data-weight="fc.weight"'):
        assert not any("pp" in text or "+" in text for text in cells(page, row).values())


def test_a_change_too_small_to_show_is_still_one() -> None:
    page = render(told(run("net/now", [], 1e-6), run("net/before", []), inside=True), "r.json")
    assert cells(page, 'data-run="net/now" data-weight="fc.weight"')["near_zero_fraction"].split()[-4:] == [
        "+", "&lt;", "0.1", "pp",
    ]  # fmt: skip


def test_a_change_has_the_decimals_of_its_column() -> None:
    def with_means(name: str, *means: float) -> Run:
        taps = [samples.activation(f"relu{i}", 8, 1, mean=mean, nonfinite=i) for i, mean in enumerate(means)]
        return run(name, []).model_copy(update={"activations": taps})

    now, before = with_means("net/now", 41.25, 52.5, 60.0), with_means("net/before", 40.0, 52.375, 60.0)
    now.activations[2] = now.activations[2].model_copy(update={"nonfinite": 9})
    page = render(told(now, before, inside=True), "r.json")
    first, second, third = (cells(page, f'data-run="net/now" data-layer="relu{i}"') for i in range(3))
    assert first["mean"].split() == ["41.2", "+1.2"]
    assert second["mean"].split() == ["52.5", "+0.1"]
    assert third["nonfinite"].split()[-1] == "+7"
    tiny = with_means("net/before", 41.2499, 52.5, 60.0)
    page = render(told(now, tiny, inside=True), "r.json")
    assert cells(page, 'data-run="net/now" data-layer="relu0"')["mean"].split() == [
        "41.2",
        "+",
        "&lt;",
        "0.1",
    ]


def test_a_change_of_half_the_last_decimal_is_less_than_one() -> None:
    for places, half, text in ((0, 0.5, "1"), (1, 0.05, "0.1"), (2, -0.005, "0.01")):
        cell = Cell("mean", repr(60 + half), "60", places=places)
        change = _as_its_column(cell, half).replace(NBSP, " ")
        assert change == f"{'+' if half > 0 else MINUS} < {text}"


def test_other_images_leave_the_weights_comparable_and_the_reason_is_said() -> None:
    other = run("net/now", [0], 0.125, images=Images(count=3))
    page = render(told(other, run("net/before", []), inside=True), "r.json").replace("\xa0", " ")
    assert "not comparable (images: 3 images, baseline 16 images); weights are" in page
    assert cells(page, 'data-run="net/now" data-layer="relu"')["mean"].split() == ["0.625"]
    assert cells(page, 'data-run="net/now" data-weight="fc.weight"')["near_zero_fraction"].endswith("pp ")


def test_a_layer_that_the_baseline_lacks_is_new() -> None:
    before = run("net/before", [])
    before = before.model_copy(
        update={"activations": [before.activations[0].model_copy(update={"layer": "other"})]}
    )
    page = render(told(run("net/now", []), before, inside=True), "r.json")
    assert cells(page, 'data-run="net/now" data-layer="relu"')["dead_fraction"].split()[-1] == "new"


def test_the_baseline_itself_and_a_baseline_that_failed_are_told_as_such() -> None:
    failed = samples.failed("net/before")
    page = render(told(run("net/now", []), failed, inside=True), "r.json")
    assert "none: the baseline net/before failed" in page
    assert "this run is the baseline" in render(
        told(run("net/now", []), run("net/before", []), inside=True), "r.json"
    )


def test_a_run_that_failed_is_told_against_nothing() -> None:
    page = render(told(samples.failed("net/now"), run("net/before", [3]), inside=True), "r.json")
    section = re.search(r'<section [^>]*data-run="net/now".*?</section>', page, re.DOTALL)[0]
    assert "aseline" not in section


def test_without_a_baseline_there_is_no_word_of_one() -> None:
    page = assemble(samples.sample())
    assert page.against == ""
    assert all(fact.term != "Baseline" for each in page.runs for fact in each.facts)


def test_of_a_baseline_outside_only_numbers_are_kept() -> None:
    results = told(run("net/now", []), samples.measured().runs[0], inside=False)
    (one,) = results.compared
    assert one.before is not None
    assert one.before.activations
    assert not any(tap.histogram.counts or tap.fired_images for tap in one.before.activations)
    assert not any(tensor.histogram.counts or tensor.sketch for tensor in one.before.weights)
    assert one.before.maps == []
    assert one.before.images.files == []
