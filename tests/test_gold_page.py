"""The page says what the results say: every number, every sum re-added, every finding at its row, every word as agreed.

The words of a small page are kept in `gold/page.txt`. Where a change of words is meant:

    FEATREPORT_WRITE_GOLD=1 python -m pytest tests/test_gold_page.py
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

import html5lib
import pytest

import sample_results as samples
from featreport.judge import Finding, judge
from featreport.report import render
from featreport.results.schema import Activation, Norm, Results, Run, Weight

GOLD = Path(__file__).parent / "gold" / "page.txt"
PAGES = {
    "sample": samples.sample,
    "few": samples.few,
    "measured": samples.measured,
    "empty": samples.empty,
    "no runs": lambda: samples.results([]),
}
COUNTED = {"constant_channels": "constant", "saturated": "saturated", "massive": "massive", "rare": "rare"}
FRACTIONS = {  # a fraction and what it is of what
    "dead_fraction": (lambda row: len(row.dead), lambda row: row.channels),
    "zero_fraction": (lambda row: row.zeros, lambda row: row.count),
    "near_zero_fraction": (lambda row: row.near_zeros, lambda row: row.count),
    "redundant_fraction": (lambda row: row.redundant_pairs, lambda row: row.pairs),
    "two_four_fraction": (lambda row: row.two_four, lambda row: row.two_four_groups),
}


class PageTree:
    """A page as a browser would read it, with what tests look for."""

    def __init__(self, results: Results, text: str | None = None) -> None:
        self.results = results
        self.root: Element = html5lib.parse(text or render(results), namespaceHTMLElements=False)
        self.parents = {child: parent for parent in self.root.iter() for child in parent}
        self.ids = {element.get("id"): element for element in self.root.iter() if element.get("id")}

    def rows(self, key: str, run: str) -> list[Element]:
        """Return the rows of a run that say what they are about in the attribute `key`."""
        return [
            row for row in self.root.iter("tr") if row.get(key) is not None and row.get("data-run") == run
        ]

    def section_of(self, element: Element) -> Element | None:
        """Return the section of a run that an element stands in."""
        while element is not None and not (element.tag == "section" and element.get("data-run")):
            element = self.parents.get(element)
        return element


def words(element: Element) -> str:
    return re.sub(r"\s+", " ", "".join(element.itertext())).strip()


def cells(row: Element) -> Iterator[tuple[str, str, str]]:
    """Yield the metric, the value and the words of each number cell of a row."""
    for cell in row.iter("td"):
        if cell.get("data-metric") is not None:
            folded = cell.find("details/summary")
            yield cell.get("data-metric"), cell.get("data-value"), words(cell if folded is None else folded)


def expected(row: object, metric: str) -> float | bool | None:
    """Return what the results have for a metric of a row."""
    if metric == "fired_images_median":
        fired = sorted(row.fired_images or [])
        return fired[(len(fired) - 1) // 2] if fired else None
    if metric.startswith("dormant_") and metric != "dormant_fraction":
        found = (row.dormant or {}).get(metric.removeprefix("dormant_"))
        return None if found is None else len(found)
    value = getattr(row, COUNTED.get(metric, metric))  # a metric that the results do not know fails here
    return len(value) if isinstance(value, list) else value


def same(row: object, element: Element) -> int:
    """Hold every number cell of a row against the results; return how many there are."""
    count = 0
    for metric, value, text in cells(element):
        right = expected(row, metric)
        if right is None:
            assert value == "", metric
            assert not re.search(r"\d", text), (metric, text)
        elif isinstance(right, bool):
            assert value == str(right).lower(), metric
        else:
            assert value, metric
            assert float(value) == right, metric
            assert text not in {"", "–"}, metric
        count += 1
    return count


@pytest.fixture(scope="module", params=PAGES)
def page(request) -> PageTree:
    return PageTree(PAGES[request.param]())


def pairs(page: PageTree) -> Iterator[tuple[Run, object, Element]]:
    """Yield each thing measured with its row; there is one row for each, in the same order."""
    for run in page.results.runs:
        for key, own, things in (
            ("data-layer", lambda tap: (tap.layer, str(tap.call), tap.output), run.activations),
            (
                "data-weight",
                lambda tensor: (tensor.name,),
                sorted(run.weights, key=lambda one: one.kind != "weight"),
            ),
            ("data-norm", lambda norm: (norm.layer,), run.norms),
            ("data-buffer", lambda buffer: (buffer.name,), run.buffers),
        ):
            rows = page.rows(key, run.id)
            assert len(rows) == len(things), key
            for thing, row in zip(things, rows, strict=True):
                said = [row.get(key)] + (
                    [row.get("data-call"), row.get("data-output")] if key == "data-layer" else []
                )
                assert tuple(said) == own(thing)
                yield run, thing, row


def test_every_row_has_the_numbers_of_the_results(page):
    for _, thing, row in pairs(page):
        assert same(thing, row) >= 4


def test_more_measures_stand_in_a_second_row_that_leads_to_the_first(page):
    taps = {row.get("id"): tap for run, tap, row in pairs(page) if isinstance(tap, Activation)}
    shown = set()
    for table in page.root.iter("table"):
        if table.get("class") == "measures":
            for row in table.find("tbody").iter("tr"):
                target = row.find(".//a").get("href")[1:]
                assert same(taps[target], row) >= 7
                shown.add(target)
    for anchor, tap in taps.items():
        if tap.dormant or tap.saturated or tap.massive or tap.rare or tap.effective_rank is not None:
            assert anchor in shown


def test_fractions_are_their_parts_in_the_results_on_the_page_and_in_words(page):
    for _, thing, row in pairs(page):
        for metric, value, text in cells(row):
            if metric not in FRACTIONS or value == "":
                continue
            parts, whole = (of(thing) for of in FRACTIONS[metric])
            assert float(value) == pytest.approx(parts / whole, abs=1e-12), metric
            said = re.search(r"([\d,]+) of ([\d,]+)", text)
            if said:
                assert [int(number.replace(",", "")) for number in said.groups()] == [parts, whole]
            percent = re.search(r"([<>]?)\s*([\d.]+)\s*%", text)
            if percent and not percent[1]:
                assert abs(100 * parts / whole - float(percent[2])) <= 0.05 + 1e-9


def test_the_indices_of_a_row_are_as_many_as_it_counts(page):
    for _, _, row in pairs(page):
        for cell in row.iter("td"):
            listed = cell.find("details[@class='indices']/span")
            counted = re.match(r"([\d,]+)", words(cell if listed is None else cell.find("details/summary")))
            if listed is None or cell.get("data-metric") not in {
                "dead_fraction",
                "constant_channels",
                "small_scale",
                "still",
            }:
                continue
            unprinted = listed.find("span[@class='screen']")
            ranges = ((listed.text or "") + ("" if unprinted is None else unprinted.text)).split(", ")
            spans = [[int(end) for end in span.split("–")] for span in ranges]
            assert sum(span[-1] - span[0] + 1 for span in spans) == int(counted[1].replace(",", ""))


def test_the_first_table_is_the_sum_of_the_rows(page):
    for run in page.results.runs:
        line = next(row for row in page.root.iter("tr") if row.get("data-summary") == run.id)
        numbers = {metric: (value, text) for metric, value, text in cells(line)}
        if run.summary is None:
            assert all(
                value == ""
                for metric, (value, _) in numbers.items()
                if metric not in {"images", "parameters"}
            )
            continue
        mine = [
            (thing, {metric: (value, text) for metric, value, text in cells(row)})
            for own, thing, row in pairs(page)
            if own is run
        ]
        rectifiers = [found for thing, found in mine if isinstance(thing, Activation) and thing.rectifier]
        counted = [
            re.match(r"([\d,]+) of ([\d,]+)", found["dead_fraction"][1]).groups() for found in rectifiers
        ]
        dead, channels = (sum(int(count[i].replace(",", "")) for count in counted) for i in (0, 1))
        if channels:
            assert f"{dead:,} of {channels:,}" in numbers["dead_fraction"][1]
            assert float(numbers["dead_fraction"][0]) == pytest.approx(dead / channels, abs=1e-15)
        own = [
            (thing, found) for thing, found in mine if isinstance(thing, Weight) and thing.kind == "weight"
        ]
        whole = sum(thing.count for thing, _ in own)
        for metric in ("near_zero_fraction", "zero_fraction"):
            parts = sum(round(float(found[metric][0]) * thing.count) for thing, found in own)
            assert float(numbers[metric][0]) == pytest.approx(parts / whole, abs=1e-15)
        counted = [
            int(found["nonfinite"][0]) for thing, found in mine if isinstance(thing, Activation | Weight)
        ]
        assert int(numbers["nonfinite"][0]) == sum(counted)
        assert int(numbers["images"][0]) == run.images.count


def place(finding: Finding, target: Element, page: PageTree) -> None:
    """Hold a finding against the place it leads to."""
    run = next(run for run in page.results.runs if run.id == finding.target.run)
    kind, key = finding.target.kind, finding.target.key
    if kind == "run":
        assert target.get("data-run") == run.id
        assert target.get("data-status") == run.status
        return
    section = page.section_of(target)
    assert section.get("data-run") == run.id
    if kind == "tap":
        assert (target.get("data-layer"), int(target.get("data-call")), target.get("data-output")) == key
    if kind == "weight":
        assert (target.get("data-weight"),) == key
    if kind in {"tap", "weight"}:
        assert target.get("data-flagged") is not None
        name = target.get("data-layer") or target.get("data-weight")
        assert name in finding.text
        found = {metric: value for metric, value, _ in cells(target)}
        counted = re.search(r": ([\d,]+ of [\d,]+)\.$", finding.text)
        if counted:
            assert counted[1] in words(target)
        elif "non-finite" in finding.text:
            assert int(found["nonfinite"]) > 0
        elif "constant" in finding.text:
            assert int(found["constant_channels"]) > 0
        elif "entirely" in finding.text:
            assert float(found["dead_fraction"]) == 1
        else:
            assert float(found["dead_fraction"]) > 0
        return
    title = {"load": "Load audit", "images": "Images", "unmeasured": "What was not measured"}[kind]
    assert words(target) == title
    whole = words(section)
    if kind == "load":
        assert all(
            entry in whole for entry in (*run.load.missing, *run.load.unexpected, *run.load.idle_norms)
        )
    if kind == "images":
        assert all(file.path in whole and file.reason in whole for file in run.images.failed)
    if kind == "unmeasured":
        assert all(entry.layer in whole and entry.reason in whole for entry in run.unmeasured)


def test_every_finding_stands_on_the_page_and_leads_to_what_it_says(page):
    verdict = judge(page.results)
    links = [link for link in page.ids["verdict"].iter("a") if link.get("href")]
    assert len(links) == len(verdict.findings)
    for finding, link in zip(verdict.findings, links, strict=True):
        assert words(link).endswith(re.sub(r"\s+", " ", finding.text))
        if len(page.results.runs) > 1:
            assert words(link).startswith(finding.target.run)
        place(finding, page.ids[link.get("href")[1:]], page)


def test_every_flagged_row_belongs_to_a_finding_of_its_run(page):
    for run, thing, row in pairs(page):
        if row.get("data-flagged") is not None and not isinstance(thing, Norm):
            assert judge(page.results).findings
            assert any(finding.target.run == run.id for finding in judge(page.results).findings)


WRONG = {  # what is planted in the page of `few`, and the test that must find it
    "a number": (
        r'data-metric="mean" data-value="0',
        r'data-metric="mean" data-value="1',
        test_every_row_has_the_numbers_of_the_results,
    ),
    "no number": (
        r'data-metric="std" data-value="[^"]+"',
        r'data-metric="std" data-value=""',
        test_every_row_has_the_numbers_of_the_results,
    ),
    "a row": (
        r'<tr id=\S* data-run="net/early" data-layer="features.2"',
        r"<tr",
        test_every_row_has_the_numbers_of_the_results,
    ),
    "words": (r"4 of 16", r"5 of 16", test_fractions_are_their_parts_in_the_results_on_the_page_and_in_words),
    "a share": (
        r"25\.0\u00a0%",
        "26.0\u00a0%",
        test_fractions_are_their_parts_in_the_results_on_the_page_and_in_words,
    ),
    "indices": (r"1–3, 9", r"1–4, 9", test_the_indices_of_a_row_are_as_many_as_it_counts),
    "a sum": (r"26 of 160<", r"27 of 160<", test_the_first_table_is_the_sum_of_the_rows),
    "a link": (
        r'href="#run-net-early-[^"]*"',
        r'href="#run-net-late"',
        test_every_finding_stands_on_the_page_and_leads_to_what_it_says,
    ),
    "a finding": (
        r"Load audit: 1 tensor",
        r"Load audit: 2 tensors",
        test_every_finding_stands_on_the_page_and_leads_to_what_it_says,
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_on_the_page_is_found(case):
    pattern, wrong, check = WRONG[case]
    results = samples.few()
    text, count = re.subn(pattern, wrong, render(results))
    assert count
    with pytest.raises(AssertionError):
        check(PageTree(results, text))


BLOCKS = {"p", "h1", "h2", "h3", "h4", "h5", "li", "tr", "caption", "summary", "figcaption", "pre", "title"}
PARTS = {"td", "th", "dt", "dd"}


def lines(element: Element, raw: bool = False) -> Iterator[str]:
    """Yield pieces of text with a line break after each block and a bar between cells."""
    if element.tag in {"script", "style", "title"}:  # a title in an svg is a tooltip
        return
    raw = raw or element.tag == "pre"
    line = "\n" if element.tag in BLOCKS else ""
    yield line + spaced(element.text, raw)
    for child in element:
        yield from lines(child, raw)
        yield spaced(child.tail, raw)
    yield line or {"br": "\n", "svg": " ", "text": " ", "span": " "}.get(
        element.tag, " | " if element.tag in PARTS else ""
    )


def spaced(text: str | None, raw: bool) -> str:
    return (text or "") if raw else re.sub(r"\s+", " ", text or "")


def visible(results: Results) -> str:
    """Return the words of a page, line by line, with versions of packages scrubbed."""
    body = PageTree(results).root.find("body")
    found = (re.sub(r" +", " ", line).strip(" |") for line in "".join(lines(body)).split("\n"))
    text = "\n".join(line for line in found if line) + "\n"
    return re.sub(r"\b\d+\.\d+\.\d+\S*", "<version>", text)


def test_the_words_of_a_small_page_are_the_agreed_ones():
    pictures: dict[str, str] = {}
    run = samples.run(
        "net/small", pictures, {0: [1, 2, 9], 1: list(range(16))}, layers=2, seed=4,
        load=samples.load(unexpected=["fc.weight"], prefix="module."),
    )  # fmt: skip
    text = visible(samples.results([run, samples.failed()], pictures))
    if os.environ.get("FEATREPORT_WRITE_GOLD"):
        GOLD.parent.mkdir(exist_ok=True)
        GOLD.write_text(text, encoding="utf-8")
    gold = GOLD.read_text(encoding="utf-8") if GOLD.exists() else ""
    difference = "\n".join(
        difflib.unified_diff(gold.splitlines(), text.splitlines(), "agreed", "now", lineterm="", n=1)
    )
    assert text == gold, (
        f"the words changed; if that is meant, FEATREPORT_WRITE_GOLD=1 keeps them:\n{difference}"
    )
