# ruff: noqa: E501  # a table of messages holds whole lines
"""What checks promise: each number on its own, exact limits, and a silence that can be trusted."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import html5lib
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sample_results as samples
from checked import EARLIER, HERE, against, check, judged, run, tap, with_outcomes
from featreport import gate, pipeline
from featreport.errors import ManifestError, OutputError
from featreport.judge import checks as words
from featreport.judge.checks.limits import breach, tolerance
from featreport.manifest.metrics import known
from featreport.report import render
from featreport.results import codec
from featreport.results.schema import ImageFile, Images, Thresholds

ROOT = Path(__file__).resolve().parents[1]
DIGITS = ROOT / "examples" / "digits"

# --- one rule after the other, just inside, at, and beyond the limit


@pytest.mark.parametrize(
    ("limits", "value", "baseline", "bound"),
    [
        ({"max": 0.05}, 0.0499, None, None),
        ({"max": 0.05}, 0.05, None, None),
        ({"max": 0.05}, 0.0501, None, "at most"),
        ({"min": 3}, 3.1, None, None),
        ({"min": 3}, 3.0, None, None),
        ({"min": 3}, 2.9, None, "at least"),
        ({"min": 1, "max": 2}, 0.9, None, "at least"),
        ({"min": 1, "max": 2}, 2.1, None, "at most"),
        ({"equals": 4}, 4.0, None, None),
        ({"equals": 4}, 4.0000001, None, "exactly"),
        ({"equals": 4}, 3.0, None, "exactly"),
        ({"below": 1.0}, 0.999, None, None),
        ({"below": 1.0}, 1.0, None, "below"),
        ({"max_increase": 2}, 6.0, 5.0, None),
        ({"max_increase": 2}, 7.0, 5.0, None),
        ({"max_increase": 2}, 8.0, 5.0, "at most"),
        ({"max_increase": 0}, 0.0, 5.0, None),  # less is no increase
        ({"max_increase": 0.1}, 0.8, 0.7, None),  # in binary 0.8 − 0.7 is more than 0.1
        ({"max_increase": 0.1}, 0.8000001, 0.7, "at most"),
        ({"max_relative_increase": 0.1}, 109.0, 100.0, None),
        ({"max_relative_increase": 0.1}, 110.0, 100.0, None),
        ({"max_relative_increase": 0.1}, 110.1, 100.0, "at most"),
        ({"max_relative_increase": 0.5}, -5.0, -10.0, None),  # of the baseline's size
        ({"max_relative_increase": 0.5}, -4.9, -10.0, "at most"),
        ({"max_relative_increase": 9}, 0.1, 0.0, "at most"),  # a share of nothing is nothing
        ({"max_increase": 5, "max_relative_increase": 0.1}, 25.0, 20.0, None),  # max(5, 2)
        ({"max_increase": 5, "max_relative_increase": 0.1}, 25.1, 20.0, "at most"),
        ({"max_increase": 5, "max_relative_increase": 0.1}, 110.0, 100.0, None),  # max(5, 10)
        ({"max_increase": 5, "max_relative_increase": 0.1}, 110.1, 100.0, "at most"),
        ({"max": 8, "max_increase": 5}, 9.0, 6.0, "at most"),  # both must hold
    ],
)
def test_a_limit_holds_to_the_last_digit(limits, value, baseline, bound):
    found = breach(check(**limits), value, baseline)
    assert (found.bound if found else None) == bound


NUMBER = st.floats(allow_nan=False, allow_infinity=False)
SHARE = st.floats(0, 1e6)


@given(NUMBER, NUMBER, SHARE | st.none(), SHARE | st.none())
def test_the_tolerance_is_the_larger_of_absolute_and_relative(value, baseline, absolute, relative):
    rule = check(max_increase=absolute, max_relative_increase=relative)
    if absolute is None and relative is None:
        assert breach(rule, value, baseline) is None
        return
    allowed = max(
        Fraction(repr(absolute or 0)), Fraction(repr(relative or 0)) * abs(Fraction(repr(baseline)))
    )
    assert tolerance(absolute, relative, baseline) == allowed
    grown = Fraction(repr(value)) - Fraction(repr(baseline))
    assert (breach(rule, value, baseline) is not None) == (grown > allowed)
    assert breach(rule, baseline, baseline) is None  # compared with itself, nothing differs


# --- what is looked at


def test_each_layer_is_held_against_the_limit_on_its_own_and_the_mean_hides_nothing():
    (found,) = judged(check(max=4), run("net/now", tap("a", [0]), tap("b", [0, 1, 2, 3, 4]), tap("c")))
    assert (found.verdict, found.severity, found.examined) == ("failed", "error", 3)
    assert [(item.layer, item.observed, item.limit, item.channels) for item in found.items] == [
        ("b", 5, 4, [0, 1, 2, 3, 4])
    ]


def test_the_worst_item_stands_first():
    taps = [tap("a", [0]), tap("b", list(range(6))), tap("c", [0, 1, 2])]
    (found,) = judged(check(max=0), run("net/now", *taps))
    assert [item.layer for item in found.items] == ["b", "c", "a"]


def test_scope_run_adds_counts_over_the_layers():
    now, before = (
        run("net/now", tap("a", [0, 1]), tap("b", [0])),
        run("net/before", tap("a", [0]), tap("b", [0])),
    )
    rule = check(scope="run", max_increase=0)
    found = against(rule, now, before)
    assert [(item.layer, item.observed, item.baseline, item.names) for item in found.items] == [
        ("", 3, 2, ["a"])
    ]
    assert against(replace(rule, max_increase=1), now, before).verdict == "passed"
    assert "in a" in words.said(found, found.items[0])


def test_layers_are_chosen_by_globs_also_of_the_layer_a_tensor_belongs_to():
    one = run("net/now", tap("block.a", [0]), tap("b", [0]))
    assert judged(check(max=0, layers="block.*"), one)[0].examined == 1
    weights = judged(check("weights.count", max=0, layers="features.0"), one)[0]
    assert [item.layer for item in weights.items] == ["features.0.weight", "features.0.bias"]


@pytest.mark.parametrize(
    "metric", [metric for metric in known().values() if not metric.keyed], ids=lambda m: m.path
)
def test_every_number_of_the_results_can_be_named(metric):
    full = samples.measured().runs[0]
    (found,) = judged(check(metric.path, (full.id,), max=-1e308, scope=metric.of), full)
    assert found.verdict in {"failed", "skipped"}
    if found.verdict == "skipped":
        assert found.reason


def test_a_key_reaches_into_a_table_of_lists():
    (found,) = judged(
        check("activations.dormant.0.025", ("swin_t/imagenet",), max=2), samples.measured().runs[0]
    )
    assert (found.items[0].observed, found.items[0].channels) == (3, [1, 2, 5])


def test_the_entries_of_a_list_are_named():
    now = run("net/now", tap("a"), load=samples.load(missing=["head.weight", "bn.num_batches_tracked"]))
    (found,) = judged(check("load.missing", scope="run", max=0), now)
    assert (found.items[0].observed, found.items[0].names) == (2, ["head.weight", "bn.num_batches_tracked"])


# --- the baseline


def test_newly_dead_channels_are_named_and_those_that_were_dead_before_are_not():
    found = against(
        check(max_increase=0), run("net/now", tap("a", [1, 2, 3])), run("net/before", tap("a", [1]))
    )
    assert found.items[0].channels == [2, 3]
    assert words.said(found, found.items[0]) == "a: 3, at most 1 (baseline 1); newly dead: channels 2, 3"


def test_the_baseline_is_not_checked_against_itself():
    rule = check(runs=("net/before", "net/now"), max_increase=0)
    before, now = judged(rule, run("net/before", tap("a", [1])), run("net/now", tap("a", [1])), baseline=HERE)
    assert (before.verdict, before.severity, before.reason) == ("skipped", "ok", "this run is the baseline")
    assert now.verdict == "passed"
    both = judged(replace(rule, max=0), run("net/before", tap("a", [1])), baseline=HERE)
    assert both[0].verdict == "failed"  # by the limit that needs no baseline


def test_a_missing_layer_warns_and_a_new_one_informs():
    found = against(
        check(max_increase=0),
        run("net/now", tap("a"), tap("new", [1])),
        run("net/before", tap("a"), tap("gone", [0])),
    )
    assert (found.verdict, found.severity) == ("warned", "warn")
    assert [(item.verdict, item.layer, item.observed, item.baseline) for item in found.items] == [
        ("missing", "gone", None, 1),
        ("new", "new", 1, None),
    ]
    only_new = against(check(max_increase=0), run("net/now", tap("a"), tap("b")), run("net/before", tap("a")))
    assert (only_new.verdict, only_new.severity) == ("passed", "ok")


@pytest.mark.parametrize("scope", ["layer", "run"])
def test_a_run_whose_layers_were_all_renamed_is_not_comparable_and_never_silent(scope):
    rule = check(runs=("net/before", "net/now"), max_increase=0, layers="relu*", scope=scope)
    before, now = judged(
        rule, run("net/before", tap("relu1")), run("net/now", tap("act1", [1])), baseline=HERE
    )
    assert before.severity == "ok"
    assert (now.verdict, now.severity) == ("skipped", "error")
    assert now.reason == "not comparable: no layer in common with net/before"


def test_calls_of_one_layer_are_compared_with_the_same_calls():
    now = run("net/now", tap("a", []), tap("a", [1], call=1))
    found = against(check(max_increase=0), now, run("net/before", tap("a", [1]), tap("a", [], call=1)))
    assert [(item.layer, item.call) for item in found.items] == [("a", 1)]


@pytest.mark.parametrize("level", ["error", "warn"])
@pytest.mark.parametrize(
    ("change", "words_"),
    [
        ({"transform": "resize 128"}, "transform: resize 128, baseline resize 256"),
        ({"precision": "float16"}, "precision: float16, baseline float32"),
        ({"device": "cuda (NVIDIA H100)"}, "device class: cuda, baseline cpu"),
        ({"images": Images(count=15)}, "images: 15 images, baseline 16 images"),
        (
            {"images": Images(count=16, files=[ImageFile(name="x.png", sha256="0", width=1, height=1)] * 4)},
            "images: 4 images of its own, the first x.png",
        ),
        ({"status": "failed"}, "the baseline net/before failed"),
    ],
)
def test_what_cannot_be_compared_is_named_and_keeps_its_level(change, words_, level):
    now, before = run("net/now", tap("a", [1])), run("net/before", tap("a"))
    if "status" in change:
        before = before.model_copy(update=change)
    else:
        now = now.model_copy(update=change)
    found = against(check(max_increase=0, level=level), now, before)
    assert (found.verdict, found.severity) == ("skipped", level)
    assert found.reason.startswith(f"not comparable: {words_}")
    assert words.failing([found], "error") == (level == "error")


def test_a_threshold_of_earlier_results_that_differs_is_named():
    now = run("net/now", tap("a"))
    old = samples.results([now], thresholds=Thresholds(dead=0.01, near_zero=0.001))
    (found,) = judged(check(max_increase=0), now, baseline=EARLIER, before=old)
    assert found.reason == "not comparable: dead threshold: 0.0, baseline 0.01"


def test_weights_are_compared_whatever_the_images():
    now = run("net/now", tap("a")).model_copy(update={"images": Images(count=1), "transform": "none"})
    assert (
        against(check("weights.dead", max_increase=0), now, run("net/before", tap("a"))).verdict == "passed"
    )


def test_earlier_results_are_matched_by_run_id_or_are_the_only_run():
    now, other = run("net/now", tap("a", [1])), run("net/other", tap("a"))
    same, two = samples.results([other, run("net/now", tap("a", [1]))]), samples.results([other, other])
    rule = check(max_increase=0)
    assert judged(rule, now, baseline=EARLIER, before=same)[0].verdict == "passed"
    assert judged(rule, now, baseline=EARLIER, before=samples.results([other]))[0].verdict == "failed"
    (found,) = judged(rule, now, baseline=EARLIER, before=two)
    assert (found.severity, found.reason) == ("error", "not comparable: old.json has no run net/now")


def test_an_increase_without_a_baseline_is_never_taken_for_a_pass():
    assert judged(check(max_increase=0), run("net/now", tap("a")))[0].severity == "error"
    (left_out,) = judged(check(max_increase=0), run("net/now", tap("a")), baseline=HERE)
    assert (left_out.verdict, left_out.severity) == ("skipped", "error")
    assert "not among the runs" in left_out.reason


# --- numbers of a comparison


def test_a_layer_where_as_many_channels_revive_as_die_does_not_pass_for_unchanged():
    now, before = run("net/now", tap("a", [2, 3, 5])), run("net/before", tap("a", [0, 1, 5]))
    assert against(check(max_increase=0), now, before).verdict == "passed"  # what a count cannot see
    died = against(check("newly_dead_channels", max=0), now, before)
    assert (died.verdict, died.severity, died.examined) == ("failed", "error", 1)
    assert [(item.layer, item.observed, item.limit, item.channels) for item in died.items] == [
        ("a", 2, 0, [2, 3])
    ]
    assert words.said(died, died.items[0]) == "a: 2, at most 0; newly dead: channels 2, 3"
    assert words.rule(died) == "newly_dead_channels since net/before at most 0"
    revived = against(check("revived_channels", max=1), now, before)
    assert words.said(revived, revived.items[0]) == "a: 2, at most 1; revived: channels 0, 1"
    assert against(check("newly_dead_channels", max=2), now, before).verdict == "passed"
    again = run("net/now", tap("a", [0, 1, 5]))
    assert against(check("newly_dead_channels", max=0), again, before).verdict == "passed"


def test_newly_dead_channels_are_summed_over_the_run_and_named_with_their_layers():
    now = run("net/now", tap("a", [2]), tap("b", [0, 1, 2, 7]), tap("c"), tap("a", [4], call=1))
    before = run("net/before", tap("a", [1]), tap("b", [7]), tap("c"), tap("a", call=1))
    rule = check("newly_dead_channels", scope="run", max=4)
    found = against(rule, now, before)
    assert (found.verdict, found.items[0].observed, found.examined) == ("failed", 5, 1)
    assert found.items[0].names == ["a (channel 2)", "b (channels 0–2)", "a (call 1) (channel 4)"]
    said = "5, at most 4; in a (channel 2), b (channels 0–2), a (call 1) (channel 4)"
    assert words.said(found, found.items[0]) == said
    assert against(replace(rule, max=5), now, before).verdict == "passed"
    assert against(replace(rule, layers="b", max=2), now, before).items[0].observed == 3


def test_newly_dead_filters_are_compared_whatever_the_images():
    def weights(run_id, dead, **more):
        weight = samples.weight("conv.weight", [4, 3, 3, 3], 1, dead=dead)
        bias = samples.weight("conv.bias", [4], 2, channels=None)
        return run(run_id, tap("a"), weights=[weight, bias], **more)

    now, before = weights("net/now", [1, 2], transform="none"), weights("net/before", [0, 1])
    found = against(check("newly_dead_filters", max=0), now, before)
    assert [(item.layer, item.channels) for item in found.items] == [("conv.weight", [2])]
    assert against(check("revived_filters", equals=1), now, before).verdict == "passed"
    assert against(check("newly_dead_channels", max=0), now, before).verdict == "skipped"


@pytest.mark.parametrize(
    ("metric", "limit"), [("newly_dead_filters", {"max": 0}), ("weights.dead", {"max_increase": 0})]
)
def test_of_weights_it_is_tensors_that_have_nothing_in_common(metric, limit):
    now = run("net/now", weights=[samples.weight("conv.weight", [4, 3, 3, 3], 1, dead=[1])])
    before = run("net/before", weights=[samples.weight("other.weight", [4, 3, 3, 3], 1, dead=[0])])
    reason = against(check(metric, **limit), now, before).reason
    assert reason == "not comparable: no tensor in common with net/before"


def test_a_layer_with_more_or_fewer_channels_is_not_compared_and_never_silent():
    now = run("net/now", tap("a", [9], 16), tap("b"), tap("new", [0]))
    before = run("net/before", tap("a", [], 8), tap("b"), tap("gone", [0]))
    found = against(check("newly_dead_channels", max=0), now, before)
    assert (found.verdict, found.severity, found.examined) == ("warned", "warn", 1)
    assert [words.said(found, item) for item in found.items] == [
        "a: missing, not compared: this run has no such layer with as many channels",
        "gone: missing, not compared: this run has no such layer with as many channels",
        "a: new, not compared: the baseline has no such layer with as many channels",
        "new: new, not compared: the baseline has no such layer with as many channels",
    ]
    alone = against(check("newly_dead_channels", max=0, layers="a"), now, before)
    assert (alone.verdict, alone.severity) == ("skipped", "error")
    assert alone.reason == "not comparable: no layer in common with net/before"


@pytest.mark.parametrize("scope", ["layer", "run"])
@pytest.mark.parametrize("level", ["error", "warn"])
def test_newly_dead_channels_without_a_baseline_are_skipped_and_shown(level, scope):
    rule = check("newly_dead_channels", ("net/before", "net/now"), max=0, level=level, scope=scope)
    now = run("net/now", tap("a", [1]))
    (_, found) = judged(rule, run("net/before", tap("a")), now)
    assert (found.verdict, found.severity, found.items, found.examined) == ("skipped", level, [], 0)
    assert found.reason == "not comparable: there is no baseline"
    itself, compared = judged(rule, run("net/before", tap("a")), now, baseline=HERE)
    assert (itself.verdict, itself.severity) == ("skipped", "ok")
    assert compared.verdict == "failed"
    failed = run("net/before", tap("a")).model_copy(update={"status": "failed"})
    _, found = judged(rule, failed, now, baseline=HERE)
    assert found.reason == "not comparable: the baseline net/before failed"


def test_newly_dead_channels_are_told_on_the_page_and_in_results():
    rule = check("newly_dead_channels", max=0)
    runs = [run("net/before", tap("a", [0])), run("net/now", tap("a", [1, 2, 3]))]
    results = with_outcomes([rule], *runs, baseline=HERE)
    page = html5lib.parse(render(results, "r.json"), namespaceHTMLElements=False)
    (line,) = [one for one in page.iterfind(".//li//a") if "newly_dead_channels" in "".join(one.itertext())]
    assert "a: 3, at most 0; newly dead: channels 1–3" in "".join(line.itertext())
    assert page.find(f".//*[@id='{line.get('href').removeprefix('#')}']").tag == "tr"
    (told,) = json.loads(codec.encode(results))["checks"]
    assert (told["metric"], told["items"][0]["channels"]) == ("newly_dead_channels", [1, 2, 3])


# --- what is not there


def test_layers_that_match_nothing_fail_at_level_error_and_say_so():
    (found,) = judged(check(max=0, layers="rleu1", level="warn"), run("net/now", tap("relu1")))
    assert (found.verdict, found.severity) == ("failed", "error")
    assert found.reason == "no layer matches 'rleu1'; did you mean 'relu1'?"


def test_layers_that_match_in_another_run_are_skipped_and_shown():
    rule = check(runs=("a/x", "b/x"), max=9, layers="conv")
    first, second = judged(rule, run("a/x", tap("conv")), run("b/x", tap("fc")))
    assert (first.verdict, second.verdict, second.severity) == ("passed", "skipped", "ok")
    assert second.reason == "this run has no layer that matches 'conv'"


def test_no_data_is_skipped_and_shown():
    (found,) = judged(check("activations.effective_rank", min=2), run("net/now", tap("a")))
    assert (found.verdict, found.reason) == ("skipped", "no activations.effective_rank was measured here")
    (found,) = judged(check(max=0), run("net/now"))
    assert (found.verdict, found.reason) == ("skipped", "this run has no activations")


def test_a_failed_run_and_one_left_out_are_skipped_with_the_reason():
    (found,) = judged(check(runs=("net/broken",), max=0), samples.failed())
    assert (found.verdict, found.reason) == ("skipped", "the run failed at the checkpoint stage")
    (found,) = judged(check(runs=("net/gone",), max=0), run("net/now", tap("a")))
    assert (found.run, found.verdict) == ("", "skipped")
    assert "--only" in found.reason


# --- the manifest


def project(folder: Path, more: str) -> Path:
    (folder / "p.png").touch()
    (folder / "sub").mkdir()
    path = folder / "c.yaml"
    path.write_text(
        "version: 1\nimages: [p.png]\nmodels:\n  - name: net\n    source: torchvision:alexnet\n"
        f"    checkpoints: [random:0, random:1]\n{more}"
    )
    return path


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            "checks: [{metric: activations.dead, max: 1, models: nett}]",
            "7:53 checks[0].models: no model or run matches 'nett' (did you mean 'net'?)",
        ),
        (
            "checks: [{metric: activations.dead, max: 1, models: zzz*}]",
            "7:53 checks[0].models: no model or run matches 'zzz*' (there are: net)",
        ),
        (
            "compare: {baseline: net/random-00}",
            "7:21 compare.baseline: neither a run of this manifest nor a file: 'net/random-00' (did you mean 'net/random-0'?)",
        ),
        (
            "compare: {baseline: sub}",
            "7:21 compare.baseline: expected a run id or a file of results, got the folder 'sub'",
        ),
    ],
)
def test_what_matches_nothing_is_an_error_at_its_place(tmp_path, more, said):
    with pytest.raises(ManifestError) as caught:
        pipeline.make_plan(project(tmp_path, more))
    (problem,) = [str(problem).removeprefix(f"{tmp_path}/c.yaml:") for problem in caught.value.problems]
    assert problem == said


def test_a_file_that_holds_no_results_is_refused_before_anything_is_run(tmp_path):
    config = project(tmp_path, "device: cpu\ncompare: {baseline: p.png}\nchecks: []")
    plan = pipeline.make_plan(config)
    with pytest.raises(
        ManifestError, match=r"c.yaml:8:21 compare.baseline: 'p.png': .*\n1 problem; nothing was run."
    ):
        pipeline.run_plan(plan)
    assert not (tmp_path / "reports").exists()


def test_runs_are_chosen_by_model_or_by_run_id(tmp_path):
    plan = pipeline.make_plan(
        project(
            tmp_path,
            "checks: [{metric: run.parameters, max: 1}, {metric: run.parameters, min: 1, models: '*-1'}]",
        )
    )
    assert [one.runs for one in plan.checks] == [("net/random-0", "net/random-1"), ("net/random-1",)]
    assert [one.scope for one in plan.checks] == ["run", "run"]
    only = pipeline.make_plan(tmp_path / "c.yaml", only="*-0")
    assert only.checks == plan.checks


def test_no_checks_is_the_default_set_and_an_empty_list_is_none(tmp_path):
    path = project(tmp_path, "")
    assert {one.level for one in pipeline.make_plan(path).checks} == {"warn"}
    path.write_text(path.read_text() + "checks: []\n")
    assert pipeline.make_plan(path).checks == ()


# --- the default set


def default(*runs) -> list:
    from featreport.plan.checks import default as defaults
    from featreport.plan.types import CheckpointRef, RunPlan, SourceRef, TransformSpec

    source, ref, none = (
        SourceRef("torchvision", "", "x"),
        CheckpointRef("random", "random:0"),
        TransformSpec("none"),
    )
    plans = [RunPlan(one.id, one.model, one.checkpoint, source, ref, (), (), (), none) for one in runs]
    return judged(list(defaults(plans)), *runs)


def test_the_default_set_is_silent_where_nothing_is_wrong():
    found = default(run("net/now", tap("a", [1]), load=samples.load(missing=["bn.num_batches_tracked"])))
    assert {one.verdict for one in found} == {"passed"}


@pytest.mark.parametrize(
    ("metric", "change"),
    [
        ("activations.nonfinite", {"activations": [tap("a", nonfinite=3, nan=3)]}),
        ("load.missing", {"load": samples.load(missing=["fc.weight"])}),
        ("load.unexpected", {"load": samples.load(unexpected=["fc.weight"])}),
        ("load.untrained", {"load": samples.load(untrained=True)}),
        ("activations.dead_fraction", {"activations": [tap("a", list(range(8)))]}),
    ],
)
def test_the_default_set_warns_and_never_fails_a_build(metric, change):
    found = default(run("net/now", tap("a")).model_copy(update=change))
    assert [one.metric for one in found if one.verdict != "passed"] == [metric]
    assert not words.failing(found)
    assert words.failing(found, "warn")


def test_a_dead_layer_that_is_no_rectifier_is_no_finding_of_the_default_set():
    found = default(run("net/now", tap("a"), tap("conv", list(range(8)), rectifier=False)))
    assert {one.verdict for one in found} == {"passed"}


def test_what_passes_of_the_default_set_takes_one_row_of_the_page_for_all_runs():
    runs = [run(f"net/{i}", tap("a")) for i in range(5)]
    page = render(samples.results(runs).model_copy(update={"checks": default(*runs)}))
    assert page.count('data-check="default[') == 7
    assert "All 35 checks passed." in page


# --- where it is shown


def failing_results():
    rules = [
        check(max=0),
        replace(check("activations.dead_fraction", level="warn", max=0.1), place="checks[1]"),
    ]
    return with_outcomes(rules, run("net/now", tap("a", [1, 2]), tap("b")), samples.failed("net/broken"))


def test_the_page_says_what_failed_above_everything_else_and_links_its_row():
    page = render(failing_results())
    top = page[page.index('id="checks"') : page.index('id="runs"')]
    assert "a: 2, at most 0; dead: channels 1, 2" in top
    assert 'data-check="checks[0]" data-verdict="failed"' in top
    href = top.partition('<li><span class="badge fail">')[2].partition('href="#')[2].partition('"')[0]
    assert f'id="{href}"' in page
    assert html5lib.HTMLParser(strict=True).parse(page) is not None


def test_results_keep_their_outcomes_so_that_render_shows_the_same():
    results = failing_results()
    again = codec.decode(codec.encode(results), "x")
    assert again.checks == results.checks
    page = render(results)
    assert render(again) == page
    assert codec.decode(page, "page").checks == results.checks


def test_results_from_before_there_were_checks_are_still_read():
    fields = json.loads(codec.encode(samples.few()))
    assert fields["checks"] == []
    assert codec.decode(json.dumps(fields), "x").checks == []
    assert 'id="checks"' not in render(samples.few())


def test_a_page_made_small_still_links_only_to_what_is_there():
    taps = [tap(f"layer{i}", [1]) for i in range(40)]
    results = with_outcomes([check(max=0)], run("net/now", *taps))
    whole = len(render(results).encode())
    small = render(results.model_copy(update={"max_bytes": int(whole * 0.55)}), "results.json")
    assert "rows without a finding" in small or "all but" in small  # the audit has proved every link


def test_hostile_names_are_text_on_the_page_and_one_line_on_the_terminal():
    results = with_outcomes([check(max=0)], run("net/now", tap(samples.HOSTILE + "\n\x1b[31m", [1])))
    assert "<script>alert" not in render(results).replace('<script type="application', "")
    (line,) = words.lines(results.checks)
    assert line.isprintable()


def test_the_terminal_says_the_worst_first_in_at_most_twenty_lines():
    results = failing_results()
    assert [line[:9] for line in words.lines(results.checks)] == ["  × error", "  ! warn "]
    many = with_outcomes([check(max=0)], run("net/now", *(tap(f"l{i}", [1]) for i in range(99))))
    said = words.lines(many.checks)
    assert len(said) == 20
    assert said[-1] == "  … and 80 more in the report"


@pytest.mark.parametrize(
    ("severities", "said"),
    [
        ([], ""),
        (["passed"], "The check passed."),
        (["passed"] * 3, "All 3 checks passed."),
        (["error", "passed"], "1 of 2 checks failed."),
        (["error", "error", "warn", "skipped"], "2 of 4 checks failed, 1 warned, 1 was skipped."),
        (["skipped", "skipped", "passed"], "2 of 3 checks were skipped."),
    ],
)
def test_the_headline_counts_what_did_not_pass(severities, said):
    made = {
        "passed": check(max=9),
        "error": check(max=0),
        "warn": check(max=0, level="warn"),
        "skipped": check("activations.effective_rank", max=0),
    }
    assert words.headline(judged([made[one] for one in severities], run("net/now", tap("a", [1])))) == said


# --- the files and the exit code


def test_two_outputs_are_never_one_file_and_what_cannot_be_written_is_said_first(tmp_path):
    plan = pipeline.make_plan(project(tmp_path, "output: out.html\n"))
    with pytest.raises(ManifestError, match=r"--junit.*the report as well"):
        gate.check_files(plan, junit=tmp_path / "out.html")
    with pytest.raises(ManifestError, match=r"--markdown.*the file of --junit as well"):
        gate.check_files(plan, junit=tmp_path / "x", markdown=tmp_path / "sub" / ".." / "x")
    with pytest.raises(OutputError):
        gate.check_files(plan, junit=tmp_path / "p.png" / "x.xml")


def test_the_summary_of_a_job_is_added_to_and_never_fails_a_build(tmp_path, monkeypatch, capsys):
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    gate.tell(failing_results())
    assert summary.read_text().startswith("before\n## Which channels are dead?")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    gate.tell(failing_results(), markdown=tmp_path / "m.md")
    assert "GITHUB_STEP_SUMMARY: cannot be written" in capsys.readouterr().err
    assert (tmp_path / "m.md").read_text().startswith("## ")


@pytest.mark.parametrize(("fail_on", "code"), [("error", 1), ("warn", 1)])
def test_a_failed_check_is_exit_1(fail_on, code):
    results = failing_results()
    done = results.model_copy(update={"runs": results.runs[:1]})
    assert gate.exit_code(done, fail_on) == code
    assert gate.exit_code(results, fail_on) == 3  # a run that failed goes before
    warned = done.model_copy(update={"checks": [one for one in done.checks if one.level == "warn"]})
    assert gate.exit_code(warned, fail_on) == (1 if fail_on == "warn" else 0)


def test_the_example_whose_learning_rate_was_too_high_fails_with_its_layer_and_channels(tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text(
        "version: 1\noutput: out.html\ndevice: cpu\nmodels:\n  - name: digits\n"
        f"    source: python:{DIGITS}/net.py:DigitNet\n    images: ['{DIGITS}/images/']\n"
        "    transform: {size: [28, 28], color: L, mean: 0.1307, std: 0.3081}\n    checkpoints:\n"
        f"      - '{DIGITS}/checkpoints/early.pt'\n"
        f"      - {{name: trained, path: '{DIGITS}/checkpoints/trained.pt', key: model}}\n"
        f"      - '{DIGITS}/checkpoints/lr-too-high.pt'\n"
        "compare: {baseline: digits/trained}\n"
        "checks: [{metric: activations.dead, max_increase: 1, layers: 'relu*'}]\n"
    )
    command = [
        sys.executable,
        "-m",
        "featreport",
        "build",
        "c.yaml",
        "--junit",
        "j.xml",
        "--markdown",
        "m.md",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    path, verdict = done.stdout.strip().split("\n")
    assert path == str(tmp_path / "out.html")
    assert verdict.endswith("1 of 3 checks failed, 1 was skipped.")
    told = [line for line in done.stderr.splitlines() if line.startswith("  × error")]
    assert len(told) == 2  # relu2 and relu3; relu1 lost one channel, which is allowed
    assert "digits/lr-too-high" in told[0]
    assert "relu2: 26, at most 1 (baseline 0); newly dead: channels 0–7, 11–17, 19, 21–24, 26–31" in told[0]
    for name in ("out.html", "j.xml", "m.md"):
        assert "relu2" in (tmp_path / name).read_text()
    again = subprocess.run(command[:5], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert again.returncode == 1  # nothing changed, and the checks still fail
    (tmp_path / "old.html").write_bytes((tmp_path / "out.html").read_bytes())
    config.write_text(config.read_text().replace("baseline: digits/trained", "baseline: old.html"))
    plan = subprocess.run(
        [*command[:3], "check", "c.yaml"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "baseline  old.html (3 earlier runs)\nchecks    1\n" in plan.stdout
    same = subprocess.run(command[:5], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert same.returncode == 0, same.stderr  # held against themselves, the runs differ in nothing
    (tmp_path / "old.html").write_bytes(
        (tmp_path / "out.html").read_bytes().replace(b"featreport-results", b"gone")
    )
    gone = subprocess.run(command[:5], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert gone.returncode == 2
    assert "compare.baseline" in gone.stderr


def lost(layer):
    """A tap of which no value is finite."""
    return tap(layer).model_copy(update={"mean": None, "std": None, "min": None, "max": None, "nonfinite": 9})


@pytest.mark.parametrize(
    "limits", [{"max": 100.0}, {"min": 0.0}, {"max_increase": 9.0}, {"max_relative_increase": 9.0}]
)
def test_values_that_are_not_finite_pass_no_check(limits):
    now = run("net/now", lost("a"), tap("b"))
    found = against(check("activations.max", **limits), now, run("net/before", tap("a"), tap("b")))
    assert (found.verdict, found.severity) == ("failed", "error")
    assert [(item.layer, item.observed) for item in found.items] == [("a", None)]
    assert "a: no number, its values are not finite" in words.lines([found])[0]


def test_a_baseline_makes_no_skipped_check_pass():
    nothing = tap("a").model_copy(update={"effective_rank": None})
    before = tap("a").model_copy(update={"effective_rank": 3.0})
    alone = against(
        check("activations.effective_rank", max=9.0), run("net/now", nothing), run("net/before", before)
    )
    assert (alone.verdict, alone.examined) == ("skipped", 0)


def test_a_key_that_no_layer_has_is_an_error_with_the_nearest():
    some = tap("a").model_copy(update={"dormant": {"0": [], "0.025": [1], "0.1": []}})
    found = against(check("activations.dormant.0.03", max=0.0), run("net/now", some), run("net/before", some))
    assert (found.verdict, found.severity) == ("failed", "error")
    assert "did you mean '0.025'?" in found.reason


def test_near_zero_weights_of_a_run_are_compared_whatever_the_images():
    now = run("net/now", tap("a")).model_copy(update={"images": Images(count=1), "transform": "none"})
    found = against(check("summary.near_zero_fraction", max_increase=1.0), now, run("net/before", tap("a")))
    assert found.verdict == "passed"


def test_the_only_run_of_a_file_is_the_baseline_of_an_only_run_alone():
    before = samples.results([run("net/old", tap("a"))])
    (found,) = judged(check(max_increase=0), run("net/now", tap("a")), baseline=EARLIER, before=before)
    assert found.verdict == "passed"
    two = judged(
        check(max_increase=0),
        run("net/now", tap("a")),
        run("net/b", tap("a")),
        baseline=EARLIER,
        before=before,
    )
    assert [one.verdict for one in two] == ["skipped"]
