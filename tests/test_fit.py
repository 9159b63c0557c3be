"""A report over its size leaves things out in a stated order and says so; finished work is never lost."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

import sample_results as samples
from featreport import load, pipeline
from featreport.errors import ManifestError, OutputError, ResultsError
from featreport.report import render
from featreport.results import codec
from featreport.results.schema import Results

WORDS = {
    "maps": "feature maps of ",
    "others": "histograms of biases, norms and embeddings",
    "weights": "histograms of weights without a finding",
    "pictured": "the CSV links of pictures",
    "layers": "histograms of layers without a finding",
    "data": "the CSV links of tables",
    "many": "beyond the 24 of each table",
    "few": "beyond the 6 of each table",
    "results": "the embedded results, which are in report.json alone",
    "pictures": "feature maps, kernels, thumbnails and charts",
    "barest": "all but 6 rows of each table",
}


@pytest.fixture(scope="module")
def results() -> Results:
    """One run with pictures, and one with many layers and tensors, a few of them flagged."""
    taps = [samples.activation(f"layer.{i}", 8, i % 7, dead=[1] * (i % 9 == 0)) for i in range(60)]
    tensors = [samples.weight(f"layer.{i}.weight", [8, 4], i % 5) for i in range(60)]
    run = samples.run(
        "net/many", {}, {}, layers=1, maps=[], kernels=None, activations=taps, weights=tensors,
        summary=samples.summary(taps, tensors),
    )  # fmt: skip
    sample = samples.sample()
    return sample.model_copy(update={"runs": [*sample.runs, run], "max_bytes": 10**9})


def squeezed(results: Results) -> list[str]:
    """The pages that come out as the limit falls to just below the page before."""
    pages = [render(results, "report.json")]
    while True:
        limit = len(pages[-1].encode()) - 1
        try:
            page = render(results.model_copy(update={"max_bytes": limit}), "report.json")
        except OutputError:
            return pages
        if what(page) == what(pages[-1]):  # smaller only by the digits of the limit
            pages.pop()
        pages.append(page)


@pytest.fixture(scope="module")
def pages(results: Results) -> list[str]:
    return squeezed(results)


def said(page: str) -> str:
    found = re.search(r'id="left-out">(.*?)</p>', page)
    return found[1] if found else ""


def what(page: str) -> str:
    return said(page).partition(": ")[2]


def test_less_and_less_is_shown_in_the_stated_order_and_the_page_says_what_is_left_out(
    pages: list[str],
) -> None:
    assert said(pages[0]) == ""
    order = [[key for key, words in WORDS.items() if words in said(page)] for page in pages[1:]]
    rest = ["others", "weights", "pictured", "layers", "data", "many", "few", "results", "pictures", "barest"]
    steps = [["maps", *rest[:count]] for count in range(len(rest) + 1)]
    steps[-2:] = [[word for word in step if word != "maps"] for step in steps[-2:]]  # all pictures are gone
    assert [step for step, _ in itertools.groupby(order)] == steps
    assert all("raise report.max_bytes" in said(page) for page in pages[1:])
    sizes = [len(page.encode()) for page in pages]
    assert sizes == sorted(sizes, reverse=True)


def test_findings_keep_their_rows_and_their_histograms_until_the_barest_page(pages: list[str]) -> None:
    flagged = [page.count('" data-flagged') for page in pages]
    assert len(set(flagged[:-1])) == 1
    assert flagged[-1] < flagged[0]
    last = max(number for number, page in enumerate(pages) if "histograms" not in said(page))
    sparks = [page.count("<details class=hist>") for page in pages]
    assert sparks[0] == sparks[last] > sparks[last + 1] > 0
    rows = [page.count('data-run="net/many" data-layer') for page in pages]
    assert rows == [60] * (last + 6) + [7 + 24] + [7 + 6] * 3 + [6]
    assert all("data:image/" in page for page in pages[:-2])
    assert "data:image/" not in pages[-2].split("</style>")[1]


def test_maps_of_layers_without_a_finding_go_one_by_one_rectifiers_last(pages: list[str]) -> None:
    shown = [len(re.findall("class=maps", page)) for page in pages if said(page).count(":") < 2]
    assert shown == sorted(shown, reverse=True)
    flagged = {
        figure for page in pages[:-2] for figure in re.findall('Feature maps of (features[.][0-9]+)"', page)
    }
    assert flagged
    gone = re.search(r"feature maps of (\d+) layers?", said(pages[1]))
    assert gone
    assert int(gone[1]) < 5


def test_what_is_embedded_reads_back_and_renders_the_same_bytes(
    results: Results, pages: list[str], tmp_path: Path
) -> None:
    for page in pages[1:-4]:
        path = tmp_path / "report.html"
        path.write_text(page, encoding="utf-8")
        found = load(str(path))
        assert found.runs == results.runs
        pipeline.render(path, tmp_path / "again.html")
        assert (tmp_path / "again.html").read_text(encoding="utf-8") == page
    for page in pages[-3:]:
        path.write_text(page, encoding="utf-8")
        with pytest.raises(ResultsError, match=r"left out of the page.* they are in report\.json"):
            pipeline.render(path)
        assert path.read_text(encoding="utf-8") == page


@pytest.mark.parametrize("level", range(-9, 1))
def test_what_a_build_writes_is_what_render_makes_of_its_json(
    results: Results, pages: list[str], level: int, tmp_path: Path
) -> None:
    limit = len(pages[level].encode())
    pipeline.write(results.model_copy(update={"max_bytes": limit}), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_bytes()
    assert len(page) <= limit
    pipeline.render(tmp_path / "report.json", tmp_path / "again.html")
    assert (tmp_path / "again.html").read_bytes() == page
    pipeline.render(tmp_path / "report.json", max_bytes="900MB")
    assert 'id="left-out"' not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_when_even_the_barest_page_is_too_large_the_json_is_kept_and_the_printed_command_works(
    results: Results, tmp_path: Path
) -> None:
    (tmp_path / "report.html").write_text("an older report")
    with pytest.raises(OutputError, match=r"more than report\.max_bytes") as caught:
        pipeline.write(results.model_copy(update={"max_bytes": 5000}), tmp_path / "report.html")
    found = re.search(r"were kept: featreport render (\S+) --max-bytes (\S+)$", str(caught.value))
    assert found
    assert load(tmp_path / "report.json").runs == results.runs
    assert (tmp_path / "report.html").read_text() == "an older report"
    pipeline.render(found[1], max_bytes=found[2])
    assert 'id="left-out"' not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_report_is_never_robbed_of_the_only_copy_of_its_results(
    results: Results, pages: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "alone.html"
    path.write_text(pages[0], encoding="utf-8")
    with pytest.raises(OutputError, match="or render its results JSON"):
        pipeline.render(path, max_bytes=len(pages[-3].encode()))
    assert load(path).runs == results.runs


def test_a_limit_that_is_no_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="--max-bytes: expected a size"):
        pipeline.render(tmp_path / "x.json", max_bytes="much")


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "no such file"), (b"\xff\xfe\x00", "not text"), (b"<html>", "neither"), (b"<![x[", "neither")],
)
def test_what_is_no_report_is_said(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "file.html"
    if content is not None:
        path.write_bytes(content)
    for call in (pipeline.render, load, codec.load):
        with pytest.raises(ResultsError, match=says):
            call(str(path))


@pytest.mark.parametrize("name", [".", "/", "..", "", "a\0b", "x" * 5000])
def test_a_folder_or_an_impossible_name_is_said(name: str) -> None:
    with pytest.raises(ResultsError, match=r"is a folder|not a usable file name|cannot be read"):
        pipeline.render(name)
