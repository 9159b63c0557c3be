"""The results inside a page: small, exact, and refused in words where they are damaged."""

from __future__ import annotations

import base64
import json
import lzma
from typing import Any

import numpy as np
import pytest

import sample_results as samples
from featreport.errors import ResultsError
from featreport.report import render
from featreport.results import codec
from featreport.results.schema import Histogram, Results


def page_of(**fields: Any) -> str:
    head = {"format": "featreport/results", "version": 1} | fields
    return f'<script type="application/json" id="featreport-results">{json.dumps(head)}</script>'


def packed(value: object) -> str:
    return base64.b64encode(lzma.compress(json.dumps(value).encode())).decode()


def with_edges(edges: list[float]) -> Results:
    results = samples.sample()
    run = results.runs[0]
    histogram = Histogram(edges=edges, counts=[1] * (len(edges) - 1))
    rows = [run.activations[0].model_copy(update={"histogram": histogram}), *run.activations[1:]]
    return results.model_copy(update={"runs": [run.model_copy(update={"activations": rows})]})


@pytest.mark.parametrize(
    "edges",
    [
        [],
        [0.0, 1.0],
        np.linspace(-0.1234567, 7.654321, 51).tolist(),
        np.nextafter(np.linspace(-0.1, 0.7, 51), 9).tolist(),  # nearly equal bins: kept as they are
        [-4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0],
        np.linspace(1.0, 1.0 + 2**-50, 8).tolist(),
    ],
)
def test_what_a_page_carries_reads_back_to_the_last_bit(edges: list[float]) -> None:
    results = with_edges(edges)
    assert codec.decode(render(results), "page").runs == results.runs


def test_an_older_page_with_plain_results_still_reads() -> None:
    results = samples.sample()
    fields = results.model_dump(mode="json", exclude={"pictures"})
    assert codec.decode(page_of(**fields), "page").runs == results.runs


def with_histogram(**fields: Any) -> object:
    return {"runs": [{"activations": [{"histogram": fields}], "weights": []}]}


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ("!", "damaged"),
        (5, "damaged"),
        ("aGVsbG8gaGVsbG8gaGVsbG8gaGVsbG8=", "damaged"),
        (packed({"runs": []})[:-12], "(damaged|cut off)"),
        (packed([]), "expected a JSON object"),
        (packed({}), "damaged"),
        (packed(with_histogram(edges={"linspace": [0, 1]}, counts=[1])), "damaged"),
        (packed(with_histogram(edges={"linspace": [0, 1, 9]}, counts=[1])), "damaged"),
        (packed({"runs": [], "format": "other"}), "expected format"),
    ],
)  # fmt: skip
def test_damaged_results_in_a_page_are_refused_in_a_line(payload: object, words: str) -> None:
    with pytest.raises(ResultsError, match=words):
        codec.decode(page_of(xz=payload), "report.html")


def test_a_page_that_would_unpack_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "LEAST", 10_000)
    monkeypatch.setattr(codec, "TIMES", 2)
    with pytest.raises(ResultsError, match="larger than"):
        codec.decode(page_of(xz=packed({"runs": [], "title": "x" * 100_000})), "report.html")
