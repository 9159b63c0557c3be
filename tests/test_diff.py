"""Promises of `featreport diff`: nothing where nothing changed, the mirror from the other side, every change named."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import html5lib
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from typer.testing import CliRunner

import featreport
import sample_results as samples
from comparisons import canonical, mirrored, near, results
from featreport import terminal
from featreport.cli import app
from featreport.differences import diff, exit_code
from featreport.errors import ManifestError, OutputError, ResultsError
from featreport.judge.compare import Comparison, compare, worst
from featreport.judge.compare.drift import drift
from featreport.judge.compare.shift import shift
from featreport.report import render
from featreport.report.differences import render as in_html
from featreport.report.markdown import markdown
from featreport.results.codec import encode
from featreport.results.schema import Histogram, ImageFile, Images, Results, Run, Thresholds

ROOT = Path(__file__).parent.parent
SAMPLES = {
    "sample": samples.sample,
    "few": samples.few,
    "measured": samples.measured,
    "empty": samples.empty,
    "no runs": lambda: samples.results([]),
}
GENERATED = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def changed(results: Results, place: int = 0, **update: object) -> Results:
    runs = list(results.runs)
    runs[place] = runs[place].model_copy(update=update)
    return results.model_copy(update={"runs": runs})


def with_tap(run: Run, layer: str, **update: object) -> Run:
    taps = [tap.model_copy(update=update) if tap.layer == layer else tap for tap in run.activations]
    return run.model_copy(update={"activations": taps, "summary": samples.summary(taps, run.weights)})


def one(**update: object) -> Results:
    return samples.results([with_tap(samples.few().runs[0], "features.2", **update)])


def written(tmp_path: Path, name: str, found: Results) -> Path:
    path = tmp_path / name
    path.write_text(encode(found) if name.endswith("json") else render(found), encoding="utf-8")
    return path


def finite(value: object) -> bool:
    if isinstance(value, dict):
        return all(map(finite, value.values()))
    if isinstance(value, (list, tuple)):
        return all(map(finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def outputs(found: Comparison) -> tuple[str, str, str]:
    """Every way of showing a comparison, so that each is tried on every kind of results."""
    import io

    stream = io.StringIO()
    terminal.show(found, stream)
    return stream.getvalue(), markdown(found), in_html(found)


# Nothing from nothing


@pytest.mark.parametrize("name", SAMPLES)
def test_a_result_compared_with_itself_differs_in_nothing(name: str) -> None:
    found = compare(SAMPLES[name](), SAMPLES[name]())
    assert not found.differs
    assert found.comparable
    assert worst(found) == []
    assert exit_code(found) == 0
    for row in (row for run in found.runs for row in run.layers):
        assert all(number.before == number.after for number in row.numbers)
        assert row.shift.distance in {0.0, None}
    outputs(found)


@GENERATED
@given(results())
def test_any_result_compared_with_itself_differs_in_nothing(found: Results) -> None:
    same = compare(found, found)
    assert not same.differs
    assert not any(run.load or run.obstacles or run.layers_added or run.weights_removed for run in same.runs)


@GENERATED
@given(results(), results())
def test_from_the_other_side_everything_is_mirrored(before: Results, after: Results) -> None:
    try:
        found = compare(before, after, force=True)
    except ManifestError:
        with pytest.raises(ManifestError):
            compare(after, before, force=True)
        return
    back = compare(after, before, names=("B", "A"), force=True)
    assert near(canonical(mirrored(found)), canonical(back))
    assert finite(found.model_dump())
    assert Comparison.model_validate_json(found.model_dump_json()) == found
    outputs(found)


@pytest.mark.parametrize("order", [1, -1])
def test_a_tensor_with_values_that_are_no_numbers_has_no_drift_whichever_side_it_is_on(order: int) -> None:
    """Also where both have one digest, which a damaged file may claim."""
    sound = samples.weight("conv.weight", [4, 3], 1).model_copy(update={"digest": "0" * 16, "nonfinite": 0})
    sides = [sound, sound.model_copy(update={"nonfinite": 1})][::order]
    found = drift(*sides)
    assert (found.distance, found.relative, found.reason) == (
        None,
        None,
        "there are values that are no numbers",
    )


def test_the_samples_are_mirrored_too() -> None:
    before, after = samples.sample(), samples.results([*samples.sample().runs[:2], samples.few().runs[0]])
    found = compare(before, after)
    assert found.runs_added == ["net/early"]
    assert near(canonical(mirrored(found)), canonical(compare(after, before, names=("B", "A"))))


# What changed, by name and by index


def test_newly_dead_and_revived_channels_are_named_by_index() -> None:
    before, after = one(dead=[1, 2, 3]), one(dead=[2, 5, 15])
    found = compare(before, after)
    row = next(row for row in found.runs[0].layers if row.differs)
    assert row.after.layer == "features.2"
    assert (row.channels.newly_dead, row.channels.revived) == ([5, 15], [1, 3])
    assert found.verdict == (
        "B differs from A in 1 of 5 layers and 0 of 4 tensors: 2 channels newly dead, all at features.2; 2 revived."
    )
    screen, text, page = outputs(found)
    assert screen.splitlines()[0].startswith("B differs from A in 1 of 5 layers")
    assert "+2 −2" in screen
    assert "newly dead 5, 15; revived 1, 3" in text
    cells = {
        cell.get("data-metric"): cell for cell in html5lib.parse(page, namespaceHTMLElements=False).iter("td")
    }
    assert "5, 15" in "".join(cells["newly_dead"].itertext())


def test_constant_channels_and_fields_that_a_plug_in_added_count_as_differences() -> None:
    row = next(row for row in compare(one(), one(constant=[4])).runs[0].layers if row.differs)
    assert row.channels.newly_constant == [4]
    row = next(row for row in compare(one(), one(sharpness=0.5)).runs[0].layers if row.differs)
    assert row.other == ["sharpness"]
    row = next(row for row in compare(one(), one(massive=[3])).runs[0].layers if row.differs)
    assert row.other == ["massive"]


def test_a_changed_buffer_is_a_difference() -> None:
    run = samples.few().runs[0]
    buffers = [run.buffers[0].model_copy(update={"mean": 0.5}), *run.buffers[1:]]
    found = compare(samples.results([run]), changed(samples.results([run]), buffers=buffers))
    assert found.differs
    assert found.runs[0].other == [f"buffers: {run.buffers[0].name}"]
    assert run.buffers[0].name in in_html(found).replace("<wbr>", "")


def test_other_numbers_of_channels_leave_indices_without_an_answer() -> None:
    run = samples.few().runs[0]
    wide = samples.activation("features.2", 20, 1, dead=[0, 19])
    taps = [wide if tap.layer == "features.2" else tap for tap in run.activations]
    found = compare(samples.results([run]), changed(samples.results([run]), activations=taps))
    row = next(row for row in found.runs[0].layers if row.after.layer == "features.2")
    assert row.channels is None
    assert row.counts == (16, 20)
    assert next(one for one in row.numbers if one.metric == "dead_fraction").after == 0.1
    assert "of 16 → 2 of 20" in in_html(found)


def test_renamed_layers_are_matched_by_position_and_shape_and_that_is_said() -> None:
    run = samples.few().runs[0]
    taps = [tap.model_copy(update={"layer": f"module.{tap.layer}"}) for tap in run.activations]
    weights = [tensor.model_copy(update={"name": f"module.{tensor.name}"}) for tensor in run.weights]
    renamed = changed(samples.results([run]), activations=taps, weights=weights)
    found = compare(samples.results([run]), renamed)
    assert {row.match for row in (*found.runs[0].layers, *found.runs[0].weights)} == {"position"}
    assert [row.after.layer for row in found.runs[0].layers] == [
        f"module.{row.before.layer}" for row in found.runs[0].layers
    ]
    assert not any(row.differs for row in (*found.runs[0].layers, *found.runs[0].weights))
    assert not found.runs[0].layers_added
    said = "5 layers of other names were matched by position and shape: features.0 is module.features.0"
    assert found.runs[0].notes[0].startswith(said)
    assert all(said[:60] in " ".join(text.split()) for text in outputs(found))


def test_a_layer_that_nothing_matches_is_added_or_removed_never_guessed() -> None:
    run = samples.few().runs[0]
    extra = [samples.activation(f"new.{place}", 16, place, shape=[16, 7, 7]) for place in range(2)]
    gone = samples.activation("old", 16, 5, shape=[16, 7, 7])
    before = changed(samples.results([run]), activations=[*run.activations, gone])
    after = changed(samples.results([run]), activations=[*run.activations, *extra])
    found = compare(before, after).runs[0]
    assert [place.layer for place in found.layers_added] == ["new.0", "new.1"]
    assert [place.layer for place in found.layers_removed] == ["old"]
    assert "2 layers added; 1 layer removed" in compare(before, after).verdict


# Runs


def test_single_runs_match_whatever_their_ids_and_that_is_said() -> None:
    before, after = one(), changed(one(), id="other/late")
    found = compare(before, after)
    assert found.runs[0].match == "only"
    assert not found.differs
    assert "was taken for other/late" in found.notes[0]


def test_mapped_runs_match_and_a_wrong_map_says_what_there_is() -> None:
    before = samples.few()
    after = changed(changed(samples.few(), 0, id="x=y/new"), 1, id="net/other")
    found = compare(before, after, mapped=["net/early=x=y/new"])
    assert [(run.before, run.after, run.match) for run in found.runs] == [
        ("net/early", "x=y/new", "map"),
        ("net/broken", "net/broken", "id"),
    ]
    assert (found.runs_removed, found.runs_added) == (["net/late"], ["net/other"])
    for wrong in ("net/early", "net/early=nothing", "nothing=x=y/new"):
        with pytest.raises(ManifestError, match=r"--map: expected A_ID=B_ID.*A holds net/early"):
            compare(before, after, mapped=[wrong])
    with pytest.raises(ManifestError, match="mapped twice"):
        compare(before, before, mapped=["net/early=net/late", "net/early=net/early"])


def test_only_compares_the_runs_that_match() -> None:
    assert [run.after for run in compare(samples.sample(), samples.sample(), only="net/e*").runs] == [
        "net/epoch-10"
    ]
    with pytest.raises(ManifestError, match="no run id matches"):
        compare(samples.sample(), samples.sample(), only="nothing*")


def test_results_that_share_no_run_are_refused() -> None:
    with pytest.raises(ManifestError, match=r"no run of A is one of B .*--map"):
        compare(samples.results(samples.few().runs[:2]), samples.results(samples.sample().runs[:2]))
    assert compare(samples.results([]), samples.results([])).verdict == "Neither A nor B holds a run."


def test_failed_runs_have_no_numbers_and_their_fate_is_told() -> None:
    fine, broken = one(), samples.results([samples.failed(one().runs[0].id, samples.HOSTILE)])
    died, back, both = compare(fine, broken), compare(broken, fine), compare(broken, broken)
    assert "1 run failed in B: net/early" in died.verdict
    assert "1 run failed in A: net/early" in back.verdict
    assert "1 run failed in both: net/early" in both.verdict
    assert (died.differs, back.differs, both.differs) == (True, True, False)
    assert {run.status for found in (died, back, both) for run in found.runs} == {"failed"}
    assert all("checkpoint" in text for text in outputs(died))


# Comparable or not


def images(*sums: str) -> Images:
    files = [ImageFile(name=f"{one}.png", sha256=one * 64, width=1, height=1) for one in sums]
    return Images(count=len(files), files=files)


CONDITIONS = {
    "images": {"images": images("a", "b", "c")},
    "transform": {"transform": "none"},
    "precision": {"precision": "bfloat16"},
    "device class": {"device": "cuda (NVIDIA H100)"},
}


@pytest.mark.parametrize("what", CONDITIONS)
def test_other_conditions_are_not_comparable_by_name_unless_forced(what: str) -> None:
    before, after = one(images=images("a", "b")), changed(one(), images=images("a", "b"))
    before = changed(before, images=images("a", "b"))
    after = changed(after, **CONDITIONS[what])
    found = compare(before, after)
    assert [one.what for one in found.runs[0].obstacles] == [what]
    assert found.verdict.startswith(f"Not comparable: net/early differs in {what} (")
    assert not found.runs[0].layers
    assert exit_code(found) == 2
    assert all(what in text for text in outputs(found))
    forced = compare(before, after, force=True)
    assert exit_code(forced) == 0
    assert forced.runs[0].layers
    assert forced.verdict.startswith(f"Forced, not comparable: net/early differs in {what} (")
    outputs(forced)


@pytest.mark.parametrize("name", ["dead", "near_zero", "constant"])
def test_other_thresholds_are_not_comparable(name: str) -> None:
    thresholds = Thresholds(**{"dead": 0.0, "near_zero": 0.001, "constant": 0.0, name: 0.5})
    found = compare(one(), one().model_copy(update={"thresholds": thresholds}))
    assert found.runs[0].obstacles[0].what == f"{name.replace('_', '-')} threshold"


def test_images_in_another_order_or_with_other_bytes_are_told_apart() -> None:
    before = changed(one(), images=images("a", "b"))
    order = compare(before, changed(one(), images=images("b", "a"))).runs[0].obstacles[0]
    assert "another order" in order.after
    other = compare(before, changed(one(), images=images("a", "c"))).runs[0].obstacles[0]
    assert other.before.startswith("1 image of its own, the first b.png")
    assert (
        compare(before, changed(one(), images=images("a", "b", "c"))).runs[0].obstacles[0].before
        == "2 images"
    )


def test_other_versions_are_a_note() -> None:
    newer = one().provenance.model_copy(update={"versions": {**one().provenance.versions, "torch": "9.0"}})
    found = compare(one(), one().model_copy(update={"provenance": newer}))
    assert found.comparable
    assert found.notes == ["torch: 2.15.0 in A, 9.0 in B."]


def test_without_a_network_only_weights_are_compared() -> None:
    alone = changed(one(), source="none", activations=[], transform="none", images=Images(count=0))
    for before, after in ((one(), alone), (alone, one()), (alone, alone)):
        found = compare(before, after)
        assert found.comparable
        assert not found.runs[0].layers
        assert len(found.runs[0].weights) == len(one().runs[0].weights)
        assert "Only weights are compared" in found.runs[0].notes[0]
    assert not compare(alone, alone).differs


def test_older_results_without_sketches_have_no_drift_and_say_so() -> None:
    tensor = samples.few().runs[0].weights[0].model_copy(update={"mean": 0.25})
    after = changed(one(), weights=[tensor, *one().runs[0].weights[1:]])
    drift = compare(one(), after).runs[0].weights[0].drift
    assert drift.relative is None
    assert drift.reason == "no sketch in A and B, as in older results"


# Shift


def shifted(before: Histogram, after: Histogram, zeros: tuple[int, int] = (0, 0)) -> float | None:
    tap = samples.activation("a", 2, 1)
    sides = [
        tap.model_copy(update={"histogram": one, "zeros": count})
        for one, count in zip((before, after), zeros, strict=True)
    ]
    return shift(*sides).distance


def test_the_shift_is_the_jensen_shannon_distance() -> None:
    same = Histogram(edges=[0, 1, 2], counts=[3, 1])
    apart = Histogram(edges=[5, 6], counts=[7])
    half = Histogram(edges=[0, 1, 2], counts=[1, 3])
    assert shifted(same, same) == 0
    assert shifted(same, apart) == 1
    p, q = np.array([0.75, 0.25]), np.array([0.25, 0.75])
    m = (p + q) / 2
    assert shifted(same, half) == pytest.approx(
        math.sqrt((p * np.log2(p / m)).sum() / 2 + (q * np.log2(q / m)).sum() / 2)
    )


def test_a_finer_or_logarithmic_histogram_of_the_same_even_values_is_no_shift() -> None:
    linear = Histogram(edges=[0, 1, 2, 3, 4], counts=[10, 10, 10, 10])
    log = Histogram(edges=[0, 0.5, 1, 2, 4], counts=[5, 5, 10, 20], scale="log")
    assert shifted(linear, log) == pytest.approx(0, abs=1e-7)
    assert shifted(linear, Histogram(edges=[0, 4], counts=[4000])) == pytest.approx(0, abs=1e-7)


def test_exact_zeros_are_counted_apart() -> None:
    one, other = (Histogram(edges=[0, 1], counts=[10], zeros=zeros) for zeros in (0, 10))
    assert shifted(one, other) == 1
    assert shifted(Histogram(edges=[0, 1], counts=[10]), Histogram(edges=[0, 1], counts=[10]), (0, 10)) == 1
    assert shifted(Histogram(edges=[], counts=[]), other) is None


# Outputs


def hostile() -> tuple[Results, Results]:
    before, after = one(), one(dead=[4], module=samples.HOSTILE)
    sides = []
    for side in (before, after):
        run = side.runs[0]
        taps = [
            tap.model_copy(update={"layer": f"{samples.HOSTILE}\x1b[31m|{tap.layer}`"})
            for tap in run.activations
        ]
        weights = [
            tensor.model_copy(update={"name": f"{samples.HOSTILE}\ud800\n# {tensor.name}"})
            for tensor in run.weights
        ]
        sides.append(changed(side, id=f"{samples.HOSTILE}/x", activations=taps, weights=weights))
    return sides[0], changed(sides[1], transform=samples.HOSTILE)


def test_hostile_names_are_text_everywhere(tmp_path: Path) -> None:
    before, after = hostile()
    found = compare(before, after, names=(samples.HOSTILE, "b\x1b[0m.json"), force=True)
    screen, text, page = outputs(found)
    assert "\x1b" not in screen + text + page
    assert "\u202e" not in screen + text + page
    assert "<script" not in text.lower() + page.lower()
    assert all(line.count("|") == 7 for line in text.splitlines() if line.startswith("| ") and "Number" not in line
               and line.count("|") > 4)  # fmt: skip
    assert "\n# " not in text
    rows = [
        row for row in html5lib.parse(page, namespaceHTMLElements=False).iter("tr") if row.get("data-layer")
    ]
    assert rows[0].get("data-run").startswith("<script>alert")
    assert rows[0].get("data-call") == "0"
    written_files = diff(written(tmp_path, "a.json", before), written(tmp_path, "b.json", after), force=True,
                         json=tmp_path / "c.json", html=tmp_path / "c.html", markdown=tmp_path / "c.md")  # fmt: skip
    assert json.loads((tmp_path / "c.json").read_text(encoding="utf-8"))["verdict"] == written_files.verdict


def test_reports_and_their_results_are_the_same_thing(tmp_path: Path) -> None:
    before, after = samples.few(), changed(samples.few(), 0, parameters=7)
    a, b = written(tmp_path, "a.html", before), written(tmp_path, "b.html", after)
    c, d = written(tmp_path, "a.json", before), written(tmp_path, "b.json", after)
    assert diff(a, b).runs == diff(c, d).runs == diff(a, d).runs
    assert not diff(a, c).differs


def test_the_terminal_shows_at_most_thirty_rows_in_eighty_columns(tmp_path: Path) -> None:
    pictures: dict[str, str] = {}
    before = samples.results([samples.run("net/a", pictures, {}, layers=30)])
    after = samples.results([samples.run("net/a", pictures, {2: [1, 2]}, layers=30, seed=9)])
    screen, _, _ = outputs(compare(before, after))
    assert max(map(len, screen.splitlines())) <= 80
    assert re.search(r"^and \d+ more \(--json has all\)$", screen, re.MULTILINE)
    assert len(screen.splitlines()) < 45


def test_the_json_holds_everything_in_full_precision(tmp_path: Path) -> None:
    a, b = written(tmp_path, "a.json", one()), written(tmp_path, "b.json", one(mean=0.1 + 0.2))
    found = diff(a, b, json=tmp_path / "c.json")
    fields = json.loads((tmp_path / "c.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert (fields["format"], fields["version"]) == ("featreport/comparison", 1)
    assert Comparison.model_validate(fields) == found
    layer = next(row for row in fields["runs"][0]["layers"] if row["after"]["layer"] == "features.2")
    assert next(one for one in layer["numbers"] if one["metric"] == "mean")["after"] == 0.30000000000000004


def test_every_template_of_a_comparison_is_used() -> None:
    ours = {path.name for path in (ROOT / "templates").glob("difference*")}
    used = {
        "difference.html.jinja",
        "difference.md.jinja",
    }  # by the page and the Markdown, which outputs() makes
    text = (ROOT / "templates" / "difference.html.jinja").read_text(encoding="utf-8")
    assert ours == used | set(re.findall(r'include "(difference[^"]+)"', text))


# The command


def run_command(*arguments: object) -> tuple[int, str]:
    code = "import sys; sys.argv = ['featreport', *sys.argv[1:]]; from featreport.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, "diff", *map(str, arguments)], capture_output=True,
                          encoding="utf-8", check=False, cwd=ROOT)  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_the_command_says_the_verdict_first_and_ends_with_the_contracts_code(tmp_path: Path) -> None:
    a, b = written(tmp_path, "a.json", one()), written(tmp_path, "b.json", one(dead=[]))
    c = written(tmp_path, "c.json", changed(one(), transform="none"))
    status, said = run_command(a, b)
    assert (status, said.splitlines()[0][:24]) == (0, "B differs from A in 1 of")
    assert run_command(a, c)[0] == 2
    assert run_command(a, c, "--force")[0] == 0
    assert run_command(a, tmp_path / "none.json")[0] == 2
    status, said = run_command(a, b, "--json", a / "x.json")
    assert status == 5
    assert "--json" in said
    assert "Traceback" not in said
    status, said = run_command(a, b, "--html", a)
    assert (status, "neither A nor B" in said) == (2, True)
    assert a.read_text(encoding="utf-8") == encode(one())


def test_errors_of_reading_are_those_of_render(tmp_path: Path) -> None:
    (tmp_path / "x.html").write_text("<p>no report</p>", encoding="utf-8")
    (tmp_path / "y.json").write_text("{", encoding="utf-8")
    fine = written(tmp_path, "a.json", one())
    for wrong in ("x.html", "y.json", "nothing.json"):
        with pytest.raises(ResultsError, match=re.escape(wrong)):
            diff(fine, tmp_path / wrong)
    with pytest.raises(OutputError, match="--html"):
        diff(fine, fine, html=fine / "x.html")


def test_comparing_imports_no_torch_and_no_matplotlib(tmp_path: Path) -> None:
    a = written(tmp_path, "a.html", samples.few())
    code = (
        "import sys; from pathlib import Path; from featreport import terminal\n"
        "from featreport.differences import diff\n"
        f"p = Path({str(tmp_path)!r}); found = diff(p / 'a.html', p / 'a.html', json=p / 'c.json', "
        "markdown=p / 'c.md', html=p / 'c.html'); terminal.show(found, sys.stderr)\n"
        "print([n for n in ('torch', 'torchvision', 'matplotlib', 'PIL') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=a.parent
    )
    assert done.stdout.strip() == "[]"
    assert CliRunner().invoke(app, ["diff", "--help"]).exit_code == 0


@pytest.mark.browser
def test_the_page_asks_for_nothing_and_fits_a_phone(
    browser: object, opens: Callable[..., object], saved: object
) -> None:
    before, after = hostile()
    address = saved(in_html(compare(before, after, force=True)))
    for scheme in ("light", "dark"):
        page = opens(browser, address, viewport={"width": 390, "height": 800}, color_scheme=scheme)
        assert page.record.requests == [address]
        assert page.record.messages == page.record.dialogs == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


# A real pair

MANIFEST = """
version: 1
title: {name}
output: {name}.html
device: cpu
images: [{root}/examples/digits/images/]
transform: {{size: [28, 28], color: L, mean: 0.1307, std: 0.3081}}
models:
  - name: digits
    source: python:{root}/examples/digits/net.py:DigitNet
    checkpoints: [{{name: one, path: {root}/examples/digits/checkpoints/{name}.pt}}]
"""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, Results, Path]:
    folder = tmp_path_factory.mktemp("pair")
    built = []
    for name in ("early", "lr-too-high"):
        (folder / f"{name}.yaml").write_text(MANIFEST.format(name=name, root=ROOT), encoding="utf-8")
        built.append(featreport.build(folder / f"{name}.yaml"))
    return built[0], built[1], folder


def test_of_a_real_pair_the_dead_channels_are_those_of_the_two_results(
    pair: tuple[Results, Results, Path],
) -> None:
    before, after, folder = pair
    found = diff(folder / "early.html", folder / "lr-too-high.json")
    assert found.comparable
    died = 0
    for row, one, other in zip(
        found.runs[0].layers, before.runs[0].activations, after.runs[0].activations, strict=True
    ):
        assert (row.before.layer, row.after.layer) == (one.layer, other.layer)
        assert row.channels.newly_dead == sorted(set(other.dead) - set(one.dead))
        assert row.channels.revived == sorted(set(one.dead) - set(other.dead))
        died += len(row.channels.newly_dead) if row.rectifier else 0
    assert died > 0
    assert f"{died} channels newly dead" in found.verdict


def test_of_a_real_pair_the_drift_is_the_exact_one_within_its_error(
    pair: tuple[Results, Results, Path],
) -> None:
    states = [
        torch.load(ROOT / f"examples/digits/checkpoints/{name}.pt", weights_only=True)
        for name in ("early", "lr-too-high")
    ]
    seen = 0
    for row in compare(*pair[:2]).runs[0].weights:
        one, other = (state[row.before].double() for state in states)
        drift = row.drift
        assert drift.norm_before == pytest.approx(float(one.norm()), rel=1e-9)
        exact = float((one - other).norm() / one.norm())
        assert abs(drift.relative - exact) <= 3 * drift.relative_error + 1e-6 * exact
        cosine = float((one * other).sum() / (one.norm() * other.norm()))
        assert abs(drift.cosine - cosine) <= 3 * drift.cosine_error + 1e-6
        assert drift.identical is False
        seen += 1
    assert seen >= 4
