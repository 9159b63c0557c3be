"""The page says what the results say, once each, escaped, and the audit lets nothing else through."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import checked
import sample_results as samples
from featreport.errors import OutputError
from featreport.figures import cells
from featreport.judge import judge
from featreport.report import audits, formats, render
from featreport.report.anchors import Anchors
from featreport.report.audit import audit
from featreport.report.overview import side_by_side
from featreport.report.where import templates_folder
from featreport.results import codec
from featreport.results.schema import Compared, History, PageOptions, PastBuild, PastRun, Similarity

FINITE = st.floats(-1e300, 1e300)
SHARES = st.floats(0, 1)


class Rows(HTMLParser):
    """Every element with its attributes, every table row with its number cells, and all words outside scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.rows: list[tuple[dict[str, str], dict[str, str]]] = []
        self.words: list[str] = []
        self.script = ""
        self._inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        found = {key: value or "" for key, value in attrs}
        self.elements.append((tag, found))
        if tag == "tr":
            self.rows.append((found, {}))
        if "data-metric" in found:
            self.rows[-1][1][found["data-metric"]] = found["data-value"]
        if tag in {"script", "style"}:
            self._inside = found.get("id", tag)

    def handle_endtag(self, tag):
        if tag in {"script", "style"}:
            self._inside = ""

    def handle_data(self, data):
        if self._inside == "featreport-results":
            self.script += data
        elif not self._inside:
            self.words.append(data)


@pytest.fixture(scope="module")
def built():
    results = samples.sample()
    text = render(results)
    return results, text, Rows(text)


def test_every_tap_row_holds_the_numbers_of_the_results(built):
    results, _, page = built
    rows = {
        (row["data-run"], row["data-layer"], row["data-call"]): numbers
        for row, numbers in page.rows
        if "data-layer" in row
    }
    taps = [(run, tap) for run in results.runs for tap in run.activations]
    assert len(rows) == len(taps)
    for run, tap in taps:
        numbers = rows[run.id, tap.layer, str(tap.call)]
        for metric in (
            "mean",
            "std",
            "min",
            "max",
            "zero_fraction",
            "near_zero_fraction",
            "dead_fraction",
            "nonfinite",
        ):
            value = getattr(tap, metric)
            assert numbers[metric] == ("" if value is None else repr(value))
        assert numbers["constant_channels"] == str(len(tap.constant))


def test_every_tensor_row_holds_the_numbers_of_the_results(built):
    results, _, page = built
    rows = {
        (row["data-run"], row["data-weight"]): numbers for row, numbers in page.rows if "data-weight" in row
    }
    tensors = [(run, tensor) for run in results.runs for tensor in run.weights]
    assert len(rows) == len(tensors)
    for run, tensor in tensors:
        assert rows[run.id, tensor.name]["std"] == ("" if tensor.std is None else repr(tensor.std))
        assert rows[run.id, tensor.name]["near_zero_fraction"] == repr(tensor.near_zero_fraction)


def test_every_run_has_one_section_with_its_status(built):
    results, _, page = built
    sections = [
        (found["data-run"], found["data-status"])
        for tag, found in page.elements
        if tag == "section" and "data-run" in found
    ]
    assert sections == [(run.id, run.status) for run in results.runs]


def test_a_failed_run_says_what_happened_and_what_to_do(built):
    results, _, page = built
    words = " ".join(page.words)
    error = results.runs[-1].error
    assert error.message in words
    assert error.hint in words
    assert "1 run failed" in words


def test_every_picture_is_embedded_once_with_its_whole_source(built):
    results, text, page = built
    sources = [e["href"] for tag, e in page.elements if tag == "image"]
    assert sorted(sources) == sorted(results.pictures.values())
    assert codec.decode(text, "page").pictures == results.pictures
    assert all(text.count(source) == 1 for source in results.pictures.values())


def test_pictures_shared_by_runs_or_shown_nowhere_are_embedded_once():
    pictures: dict[str, str] = {}
    first = samples.run("net/a", pictures, {}, layers=1, seed=5)
    second = first.model_copy(update={"id": "net/b", "checkpoint": "b"})
    pictures["spare"] = next(iter(pictures.values())) + "AA=="
    text = render(samples.results([first, second], pictures))
    sources = [e["href"] for tag, e in Rows(text).elements if tag == "image"]
    assert sorted(sources) == sorted(pictures.values())
    assert codec.decode(text, "page").pictures == pictures


def test_a_missing_picture_leaves_the_page_whole():
    assert "<image" not in render(samples.results(samples.sample().runs)).split("<script")[0]


def test_the_embedded_results_are_the_results_without_pictures(built):
    results, _, page = built
    found = codec.decode(f'<script id="featreport-results">{page.script}</script>', "page")
    assert found == results.model_copy(update={"pictures": {}})
    assert not set("<>&") & set(page.script)
    assert len(page.script) < len(codec.encode(results.model_copy(update={"pictures": {}}))) / 2


def test_the_same_results_give_the_same_bytes(built):
    results, text, _ = built
    assert render(type(results).model_validate_json(results.model_dump_json())) == text


def test_the_other_sections_do_not_depend_on_a_failed_run():
    def section(text: str) -> str:
        return re.search(r'<section class="run [a-z]+" id="run-net-a".*?</section>', text, re.DOTALL).group()

    pictures: dict[str, str] = {}
    good = samples.run("net/a", pictures, {0: [1]}, layers=2)
    alone = render(
        samples.results([good, samples.run("net/b", {}, {}, layers=2, maps=[], kernels=None)], pictures)
    )
    beside = render(samples.results([good, samples.failed("net/b")], pictures))
    assert section(alone) == section(beside)


def hostile():
    pictures: dict[str, str] = {}
    name = samples.HOSTILE
    taps = [
        samples.activation(name, 4, 1, dead=[0], module=name, output=name),
        samples.activation("plain", 4, 2, dead=[1]),
    ]
    tensors = [
        samples.weight(name, [4, 3, 3, 3], 1, module=name, tied=[name]),
        samples.weight("b", [4, 3], 2),
    ]
    run = samples.run(
        "x/y", pictures, {}, layers=1, id=name, model=name, checkpoint=name, source=name, transform=name, device=name,
        activations=taps, weights=tensors, summary=samples.summary(taps, tensors), notes=[name], precision=name,
        load=samples.load(path=name, key=name, prefix=name, missing=[name], unexpected=[name], alternatives=[name]),
        images=samples.Images(
            count=2, failed=[samples.FailedImage(path=name, reason=name)],
            files=[samples.ImageFile(name=name, sha256="0", width=3, height=2, note=name)],
        ),
        unmeasured=[samples.Unmeasured(layer=name, reason=name)],
    )  # fmt: skip
    second = run.model_copy(update={"id": name + "2", "checkpoint": name + "2", "maps": [], "kernels": None})
    broken = samples.failed("f", message=name)
    made = samples.results([run]).provenance.model_copy(
        update={"manifest_text": name, "code_run": [name], "device": name}
    )
    return samples.results([run, second, broken], pictures, title=name, provenance=made)


def test_hostile_names_are_text_everywhere():
    text = render(hostile())
    page = Rows(text)
    assert [tag for tag, _ in page.elements].count("script") == 2
    assert "\u202e" not in text
    assert not any(key.startswith("on") or key == "style" for _, found in page.elements for key in found)


def test_lone_surrogates_do_not_break_the_page():
    run = samples.failed("net/a").model_copy(update={"id": "net/\udcff", "transform": "\ud800"})
    assert render(samples.results([run])).encode("utf-8")


@pytest.mark.parametrize(
    "results", [samples.results([]), samples.empty()], ids=["no runs", "a run with nothing in it"]
)
def test_an_empty_page_is_whole_and_small(results):
    assert len(render(results).encode()) < 100_000


def test_all_null_numbers_and_no_histogram_are_shown_as_missing():
    nothing = dict.fromkeys(
        ("mean", "std", "min", "max", "zero_fraction", "near_zero_fraction", "dead_fraction")
    )
    more = {**nothing, "channels": 0, "shape": [], "dead": [], "fired_images": None, "count": 0}
    tap = samples.activation("a", 1, 1)
    tap = tap.model_copy(update={**more, "histogram": samples.Histogram(edges=[], counts=[])})
    one = samples.weight("s", [1], 1, "bias", channels=None, dead_fraction=None)
    run = samples.run(
        "a/b",
        {},
        {},
        layers=1,
        activations=[tap],
        weights=[one],
        maps=[],
        kernels=None,
        summary=None,
    )
    page = Rows(render(samples.results([run])))
    numbers = next(numbers for row, numbers in page.rows if "data-layer" in row)
    assert all(numbers[metric] == "" for metric in nothing)


def test_four_thousand_dead_channels_are_one_range():
    tap = samples.activation("a", 4096, 1).model_copy(
        update={"dead": list(range(4096)), "dead_fraction": 1.0}
    )
    run = samples.run(
        "a/b", {}, {}, layers=1, activations=[tap], maps=[], kernels=None, summary=samples.summary([tap], [])
    )
    text = render(samples.results([run]))
    assert "0–4095" in text
    assert "100\u00a0%" in text


def test_six_hundred_taps_and_forty_runs_render_in_seconds():
    taps = [samples.activation(f"block.{i}.relu", 8, i % 9, dead=[i % 8]) for i in range(600)]
    big = samples.run(
        "net/big",
        {},
        {},
        layers=1,
        activations=taps,
        maps=[],
        kernels=None,
        summary=samples.summary(taps, []),
    )
    render(samples.empty())
    start = time.process_time()
    render(samples.results([big]))
    assert time.process_time() - start < 4
    small = [samples.run(f"net/e{i}", {}, {0: [0]}, layers=2, maps=[], kernels=None) for i in range(40)]
    assert render(samples.results(small)).count("<section class=") == 40


def test_one_image_claims_no_more_than_one_image():
    run = samples.run("a/b", {}, {0: [1]}, layers=2, maps=[], kernels=None, images=samples.Images(count=1))
    verdict = judge(samples.results([run]))
    assert "silent on this image" in verdict.certainty
    assert all("confidence" not in finding.text for finding in verdict.findings)


def test_the_verdict_names_the_worst_run_and_its_findings_come_worst_first(built):
    results, _, _ = built
    verdict = judge(results)
    assert verdict.sentence.startswith(
        "4 runs over 14 to 16 images. All 3 that finished have silent channels; the worst, net/lr-10, "
        "loses 77 of 352"
    )
    assert "fires on fewer than 17\u00a0% of images" in verdict.certainty
    order = ["fail", "warn", "note"]
    assert [order.index(finding.level) for finding in verdict.findings] == sorted(
        order.index(f.level) for f in verdict.findings
    )
    assert verdict.findings[0].target.run == "net/broken"


PLANTED = {
    "policy": ('<meta charset="utf-8">', None, "policy is not first"),
    "style": ("<style>:root", "<style>/* */:root", "by its hash"),
    "script": ('<script>"use strict"', '<script>;"use strict"', "by its hash"),
    "outside picture": ("</main>", '<img alt="" src="https://example.org/x.png"></main>', "refers outside"),
    "outside link": ("</main>", '<a href="//example.org">x</a></main>', "refers outside"),
    "outside paint": (
        "</main>",
        '<svg aria-hidden="true"><rect fill="url(http://x)"/></svg></main>',
        "refers outside",
    ),
    "double id": ("</main>", '<p id="main"></p></main>', "stands twice"),
    "dead link": ("</main>", '<a href="#nowhere">x</a></main>', "nowhere on the page"),
    "no alt": ("</main>", '<img src="data:image/png;base64,AA"></main>', "without alt"),
    "inline style": ("</main>", '<p style="color:red"></p></main>', "not allowed"),
    "handler": ("</main>", '<p onclick="x()"></p></main>', "not allowed"),
    "frame": ("</main>", "<iframe></iframe></main>", "not allowed"),
    "wide policy": ("default-src 'none'", "default-src 'self'", "too wide"),
}


@pytest.mark.parametrize("case", PLANTED)
def test_the_audit_finds_what_is_planted(case):
    text = render(samples.empty())
    audit(text, 10**6)
    old, new, message = PLANTED[case]
    assert old in text
    planted = text.replace("<head>\n", "<head>\n" + old) if new is None else text.replace(old, new, 1)
    with pytest.raises(OutputError, match=message):
        audit(planted, 10**6)


def test_a_page_over_its_size_says_so():
    with pytest.raises(OutputError, match=r"more than report\.max_bytes"):
        render(samples.empty().model_copy(update={"max_bytes": 1000}))


def test_every_template_file_is_used(monkeypatch):
    from featreport.report import environment

    opened: set[str] = set()
    environment._ours.cache_clear()
    loader = environment.environment(None).loader
    original = loader.get_source
    monkeypatch.setattr(loader, "get_source", lambda env, name: opened.add(name) or original(env, name))
    asset = environment.asset
    monkeypatch.setattr(
        "featreport.report.rendering.asset", lambda name, *own: opened.add(name) or asset(name, *own)
    )
    results = samples.sample()
    render(results.model_copy(update={"page": PageOptions(sections=["a-plug-in-not-installed"])}))
    render(checked.with_outcomes([checked.check(max=0)], checked.run("net/now", checked.tap("a"))))
    environment._ours.cache_clear()

    def wanted(name: str) -> bool:  # what `diff` writes with is opened by its own tests
        return name != "README.md" and not name.startswith("difference")

    assert opened == {path.name for path in templates_folder().iterdir() if wanted(path.name)}


def test_no_template_switches_escaping_off():
    for path in Path(templates_folder()).glob("*.*[!d]"):
        assert not re.search(r"\|\s*safe|autoescape", path.read_text()), path
    assert (templates_folder() / "page.js").stat().st_size < 20_000


@given(SHARES)
def test_a_percentage_is_never_an_inexact_0_or_100(share):
    text = formats.percent(share)
    assert (text == "0\u00a0%") == (share == 0)
    assert (text == "100\u00a0%") == (share == 1)
    assert not text.startswith(("0.0", "100.0"))


def test_half_a_tenth_of_a_percent_goes_up_as_the_counts_say():
    for whole in (*range(1, 300), 50_176, 1_280_000):
        for count in range(0, whole, max(1, whole // 300)):
            tenths = (2000 * count + whole) // (2 * whole)
            assert formats.tenths(count / whole) == f"{tenths // 10}.{tenths % 10}", (count, whole)
    assert [formats.percent(share) for share in (51 / 80, 26 / 32, 1 / 16)] == [
        f"{text}\u00a0%" for text in ("63.8", "81.3", "6.3")
    ]
    assert formats.tenths(4 / 80 - 3 / 80) == "1.3"  # 5.0 % less 3.75 %
    assert formats.tenths(3 / 80 - 4 / 80) == f"{formats.MINUS}1.3"


@given(FINITE, st.integers(0, 4))
def test_a_number_never_reads_as_zero_unless_it_is(value, places):
    for text, unit in ((formats.number(value), 0.0), (formats.fixed(value, places), 10.0**-places)):
        assert (text == "0") == (value == 0)
        assert "-" not in text
        if value:  # half a unit of the last place, or three digits and an exponent
            read = float(text.replace(formats.MINUS, "-").replace(",", ""))
            assert abs(read - value) <= 0.5001 * unit + 0.05 * abs(value) + 1e-300


@given(FINITE)
def test_data_values_round_trip(value):
    assert float(formats.exact(value)) == value


@given(st.sets(st.integers(0, 300)))
def test_ranges_name_every_index_once(indices):
    read: list[int] = []
    for word in filter(None, formats.ranges(sorted(indices)).split(", ")):
        first, _, last = word.partition("–")
        read.extend(range(int(first), int(last or first) + 1))
    assert read == sorted(indices)


@given(st.text())
def test_names_break_without_losing_a_letter(text):
    assert "".join(formats.pieces(text)) == formats.clean(text)
    assert "".join(formats.breaks(text)) == formats.clean(text)
    assert formats.clean(text).encode("utf-8").decode("utf-8") == formats.clean(text)


def test_a_name_with_spaces_breaks_between_its_words():
    pieces = formats.breaks("the network with the larger batches, trained for longer than any")
    assert all(piece.endswith(" ") for piece in pieces[:-1])


@given(st.lists(st.text(max_size=8), max_size=20))
def test_anchors_are_never_given_out_twice(words):
    anchors = Anchors()
    taken = [anchors.take(word) for word in words]
    assert len(set(taken)) == len(taken)
    assert all(re.fullmatch(r"[a-z0-9.\-]+", anchor) for anchor in taken)


@pytest.mark.parametrize(
    ("images", "bound"), [(1, "95"), (8, "31"), (16, "17"), (32, "8.9"), (100, "3"), (300, "0.99")]
)
def test_the_bound_on_the_firing_rate(images, bound):
    assert formats.rate_bound(images) == f"{bound}\u00a0%"


def test_zeros_have_a_bar_of_their_own():
    histogram = samples.Histogram(edges=[0.0, 1.0, 2.0], counts=[90, 10])
    spark = cells.spark(histogram, zeros=90, count=100)
    assert spark.zero_x == 0
    assert spark.zero_height == pytest.approx(0.9 * cells.SPARK_HEIGHT, abs=0.1)
    assert spark.path == "M0 22h50V0h50v22"
    assert cells.spark(histogram, zeros=0, count=100).zero_x is None


def test_shades_run_from_exactly_none_to_exactly_all():
    assert [formats.heat(share) for share in (None, 0.0, 1e-9, 0.02, 0.07, 0.2, 0.3, 0.999, 1.0)] == [
        0,
        0,
        1,
        2,
        3,
        4,
        5,
        6,
        7,
    ]


def test_rendering_twice_through_the_package_works():
    from featreport import report

    assert report.render(samples.empty()) == report.render(samples.empty())


def test_a_failed_run_in_which_nothing_fitted_is_not_called_partly_loaded():
    load = samples.load(missing=["a", "b"], mismatched=[])
    assert audits.load_level(load, measured=False) == ("fail", "2 tensors without a match")
    assert audits.load_level(load) == ("warn", "partial: 2 not loaded")


def test_a_load_that_makes_every_number_doubtful_is_the_first_warning():
    load = samples.load(missing=["head.weight"], untrained=True, idle_norms=["bn1", "bn2"])
    results = samples.results([samples.run("net/partial", {}, {1: [3]}, seed=1, load=load)])
    texts = [finding.text for finding in judge(results).findings if finding.level == "warn"]
    assert texts[0].startswith("Only partly loaded")
    assert texts[1].startswith("Looks untrained")
    assert "silent" in texts[2]
    assert texts[-1] == (
        "2 BatchNorm layers with statistics that were never updated (mean 0, variance 1): the first is “bn1”."
    )


@pytest.mark.parametrize("lit", [0, 1])
def test_several_checkpoints_of_which_few_or_none_have_a_rectifier_are_compared_by_their_weights(
    lit: int,
) -> None:
    """A transformer's checkpoints, or files without a network: there is no step in silent channels to tell of."""
    runs = []
    for number in range(3):
        run = samples.run(f"net/{number}", {}, {}, seed=number)
        taps = [
            tap.model_copy(update={"rectifier": tap.rectifier and number < lit}) for tap in run.activations
        ]
        runs.append(run.model_copy(update={"activations": taps}))
    assert [table.title for table in side_by_side(samples.results(runs))] == ["near-zero weights"]
    assert render(samples.results(runs))


def test_the_page_says_between_which_checkpoints_most_channels_fall_silent() -> None:
    dead = [([], []), ([0], []), ([0, 1, 2], [3]), ([1, 2], [3]), ([0, 1, 2], [3, 4])]
    runs = []
    for number, lists in enumerate(dead):
        taps = [
            samples.activation(f"relu{i}", 8, i, dead=found, dead_fraction=len(found) / 8)
            for i, found in enumerate(lists)
        ]
        runs.append(samples.run(f"net/e{number}", {}, {}, layers=1, maps=[], kernels=None, activations=taps))
    steady = [run.model_copy(update={"activations": runs[0].activations}) for run in runs]
    page = render(samples.results(runs))
    assert "Most fall silent between e1 and e2: 3 channels, most at relu0: 2." in page
    assert "No channel that fires at one checkpoint is silent at the next." in render(samples.results(steady))


def test_the_call_of_a_layer_is_written_one_way():
    results = samples.few()
    run = results.runs[0]
    again = [tap.model_copy(update={"call": 1}) for tap in run.activations]
    maps = [shown.model_copy(update={"call": 1}) for shown in run.maps]
    page = render(
        results.model_copy(update={"runs": [run.model_copy(update={"activations": again, "maps": maps})]})
    )
    words = re.sub(r"<[^>]+>", "", re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL))
    assert words.count("(call 1)") > len(again) + len(maps)
    assert re.findall(r".{9}call 1\b.?", words) == re.findall(r".{8}\(call 1\)", words)


def test_most_is_a_count_and_the_highest_share_a_share():
    run = samples.run("net/one", {}, {0: list(range(8)), 4: list(range(20)), 5: [1]}, maps=[], kernels=None)
    constant = [
        tap.model_copy(update={"constant": [*range(10, 10 + place)]})
        for place, tap in enumerate(run.activations[:3])
    ]
    dead = [
        tensor.model_copy(update={"dead": [0, 1], "dead_fraction": 2 / tensor.channels})
        if tensor.kind == "weight"
        else tensor
        for tensor in run.weights
    ]
    run = run.model_copy(update={"activations": [*constant, *run.activations[3:]], "weights": dead})
    found = judge(samples.results([run]))
    texts = [finding.text for finding in found.findings]
    assert "most at features.14: 20." in found.sentence
    assert any("highest share at features.2: 8 of 16." in text for text in texts)
    assert any("3 channels constant but not zero, most at features.3: 2." in text for text in texts)
    assert any(
        "12 filters" in text and "highest share in features.0.weight: 2 of 16." in text for text in texts
    )


def test_the_method_defines_each_comparison_that_the_report_holds_and_no_other():
    def terms(results):
        method = render(results).partition('<h2 id="method">')[2]
        return set(re.findall(r"<dt>(.*?)</dt>", method)), method

    names = {
        "similarity of layers (CKA)",
        "change against the baseline",
        "over earlier builds",
        "over checkpoints",
    }
    runs = [
        samples.run(f"{name}", {}, {0: [1]}, layers=2, maps=[], kernels=None) for name in ("a/one", "b/two")
    ]
    alone = samples.results(runs)
    assert not names & terms(alone)[0]
    similar = Similarity(
        run="b/two", other="a/one", images=100, batches=2, layers=["x", "y"], other_layers=["x", "y"],
        values=[[1.0, 0.5], [0.5, 1.0]], reason=None,
    )  # fmt: skip
    past = PastBuild(number=1, runs=[PastRun.of(run) for run in runs])
    held = {
        "similarity of layers (CKA)": {"similarities": [similar]},
        "change against the baseline": {
            "compared": [Compared(run="b/two", baseline="a/one", within="a/one")]
        },
        "over earlier builds": {"history": History(count=1, builds=[past])},
        "over checkpoints": {"runs": [run.model_copy(update={"model": "a"}) for run in runs]},
    }
    unread = Compared(run="b/two", baseline="a/one", reason="it failed", weights_reason="it failed")
    assert not names & terms(alone.model_copy(update={"compared": [unread]}))[0]
    for name, what in held.items():
        found, method = terms(alone.model_copy(update=what))
        assert found & names == {name}
        assert ("arXiv:1905.00414" in method) == (name == "similarity of layers (CKA)")


def test_layers_without_numbers_for_one_reason_are_one_row_that_names_them_all():
    layers = [f"encoder.layer_{number}.attention" for number in range(12)]
    unread = [
        *(
            samples.Unmeasured(layer=f"{one}.out_proj", reason=f"not called: see output 0 of {one}")
            for one in layers
        ),
        *(samples.Unmeasured(layer=f"{one}.drop", reason="never called") for one in layers[:3]),
        samples.Unmeasured(layer="block.7.aux", reason="a part of block.7"),
    ]
    run = samples.run("net/one", {}, {}, layers=1, maps=[], kernels=None, unmeasured=unread)
    section = render(samples.results([run])).partition("What was not measured</h4>")[2].partition("</dl>")[0]
    section = section.replace("<wbr>", "")
    rows = section.split("<div>")[1:]
    assert len(rows) == 3
    assert [rows[0].count("out_proj"), rows[1].count(".drop"), rows[2].count(".aux")] == [12, 3, 1]
    assert "not called: see output 0 of encoder.layer_*.attention<details" in rows[0]
    assert "<summary>9 more, 12 in all</summary>" in rows[0]
    assert "a part of block.7<" in rows[2]
    assert all(entry.layer in section for entry in unread)


def test_a_reason_names_only_layers_that_exist_and_a_star_stands_for_what_differs():
    def reasons(*layers):
        unread = [
            samples.Unmeasured(layer=one, reason=f"10 heads: see output 0 of {one.rpartition('.')[0]}")
            for one in layers
        ]
        run = samples.run("net/one", {}, {}, layers=1, maps=[], kernels=None, unmeasured=unread)
        return [row.reason for row in audits.unmeasured(run, "a", Anchors())[1]]

    assert reasons("0.x", "1.x", "10.x") == ["10 heads: see output 0 of *"]
    assert reasons("block.7.a", "block.7.b") == ["10 heads: see output 0 of block.7"]
    assert reasons("net2.layer.3.a", "net2.layer.4.a") == ["10 heads: see output 0 of net2.layer.*"]
    assert reasons("0.x", "a.0.x") == ["10 heads: see output 0 of 0", "10 heads: see output 0 of a.0"]
