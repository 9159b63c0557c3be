"""The page says what it says in few bytes: no quotes where none are needed."""

from __future__ import annotations

import re
from statistics import median

import pytest

import sample_results as samples
from featreport.report import render
from featreport.results.schema import Results

ROW, FIGURE = 1_240, 1_100  # bytes of a layer with its numbers and histogram, and of its maps beside pictures
TAG = re.compile(r"<[a-z][^>]*>")
UNQUOTED = re.compile(r"""\s([a-zA-Z-]+)=([^\s"'>]+)""")
QUOTED = re.compile(r'"[^"]*"')


def hostile() -> Results:
    """Some results in which a run, its layers and its tensors have hostile names."""
    name = samples.HOSTILE
    run = samples.sample().runs[0]
    rows = {
        "activations": [
            tap.model_copy(update={"layer": f"{name}{i}"}) for i, tap in enumerate(run.activations)
        ],
        "weights": [tensor.model_copy(update={"name": f"{name}{i}"}) for i, tensor in enumerate(run.weights)],
    }
    return samples.results([run.model_copy(update={"id": name, "maps": [], "kernels": None, **rows})])


def markup(page: str) -> str:
    """Return a page without its style, its scripts and what is embedded in it."""
    page = re.sub(r"<(style|script)[^>]*>.*?</\1>", "", page, flags=re.DOTALL)
    return re.sub(r'data:[a-z]+/[^"]*', "", page)


@pytest.mark.parametrize("results", [samples.sample(), hostile()], ids=["plain", "hostile"])
def test_only_numbers_ids_and_words_of_ours_stand_without_quotes(results: Results) -> None:
    found = {
        (key, value)
        for tag in TAG.findall(markup(render(results)))
        for key, value in UNQUOTED.findall(QUOTED.sub('""', tag))
    }
    assert found
    assert all(re.fullmatch(r"#?[\w.+-]+", value) for _, value in found)
    assert {key for key, _ in found} <= {
        "aria-hidden", "aria-label", "class", "height", "href", "id",
        "preserveAspectRatio", "role", "scope", "tabindex", "width", "x", "y",
    }  # fmt: skip


def test_a_layer_and_its_maps_take_no_more_bytes_than_they_should() -> None:
    page = markup(render(samples.sample()))
    rows = re.findall(r'<tr [^>]*data-layer="[^"]*".*?</tr>', page, re.DOTALL)
    figures = re.findall(r"<figure class=maps.*?</figure>", page, re.DOTALL)
    assert 0 < median(len(row.encode()) for row in rows) <= ROW
    assert 0 < median(len(figure.encode()) for figure in figures) <= FIGURE
