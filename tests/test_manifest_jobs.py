# ruff: noqa: E501  # the tables hold whole lines
"""What a manifest promises to jobs: values from outside come in whole and safely, and are told where they matter."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.nn.modules.module import _global_forward_pre_hooks

import featreport
from featreport import pipeline
from featreport.collect import deadline
from featreport.errors import ManifestError
from featreport.executors import serial
from featreport.manifest import json_schema, schema
from featreport.manifest.read import load, parse
from featreport.manifest.read import read as read_file
from featreport.plan.words import describe
from featreport.results import codec
from test_build import command

HEAD = "version: 1\nmodels:\n  - name: a\n    source: torchvision:alexnet\n    checkpoints: [random:0]\n"
NET = """
from torch import nn
from featreport.collect import deadline

class Net(nn.Sequential):
    def __init__(self, width=4):
        super().__init__(nn.Conv2d(3, width, 3), nn.ReLU())

class Slow(Net):
    def forward(self, x):
        x = super().forward(x)
        deadline.time.sleep(0.2)
        return x

class SlowlyBuilt(Net):
    def __init__(self):
        super().__init__()
        deadline.time.sleep(0.4)

class Late(nn.Conv2d):
    def forward(self, x):
        deadline.time.sleep(0.1)
        return super().forward(x)

class Deep(nn.Sequential):
    def __init__(self):
        super().__init__(*(Late(3, 3, 1) for _ in range(40)))

class Stubborn(Deep):
    def forward(self, x):
        for layer in self:
            try:
                x = layer(x)
            except Exception:
                x = x + 1
        return x

class Functional(Net):
    def forward(self, x):
        for _ in range(40):
            deadline.time.sleep(0.1)
            x = nn.functional.relu(x)
        return x
"""


def read(text: str, **environ: str) -> schema.Manifest:
    return parse(text.encode(), "c.yaml", environ)


def complaints(text: str, **environ: str) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        read(text, **environ)
    return [str(problem).removeprefix("c.yaml:") for problem in caught.value.problems]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a network, three pictures and a manifest."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "net.py").write_text(NET)
    noise = np.random.default_rng(0)
    for index in range(3):
        pixels = noise.integers(0, 256, (9, 9, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"photos/{index}.png")
    (tmp_path / "config.yaml").write_text(
        "version: 1\ntitle: Tiny\noutput: out/report.html\ndevice: cpu\nimages: [photos/]\ntransform: none\n"
        "models:\n  - name: net\n    source: python:net.py:Net\n    checkpoints: [random:0]\n"
    )
    return tmp_path


# values from the environment


def test_a_variable_stands_for_its_value_and_a_default_where_it_is_not_set_or_empty() -> None:
    text = HEAD + "title: ${A} of ${B:-b} and ${C:-c}\noutput: ${D:-}x.html\n"
    found = read(text, A="one", C="")
    assert (found.title, found.output) == ("one of b and c", "x.html")


def test_two_dollars_are_one_and_a_lone_dollar_stays() -> None:
    assert read(HEAD + "title: $$ $${A} $x $ 5$$\n", A="no").title == "$ ${A} $x $ 5$"


@pytest.mark.parametrize(
    ("written", "value", "becomes"),
    [
        ("${X}", "7", 7), ("${X}", "1e-3", 1e-3), ("${X}", "true", True), ("${X}", "", None), ("${X}", "no", "no"),
        ("'${X}'", "7", "7"), ('"${X}"', "true", "true"), ("1${X}", "7", "17"), ("${X:-8}", "", 8),
        ("$${X}", "7", "${X}"), ("${X}${X}", "7", "77"),
    ],
)  # fmt: skip
def test_an_unquoted_value_that_is_one_variable_is_read_as_if_written_there(
    written: str, value: str, becomes: object
) -> None:
    found = read(HEAD + f"    args:\n      x: {written}\n", X=value).models[0].args["x"]
    assert found == becomes
    assert type(found) is type(becomes)


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0")))
@settings(max_examples=200, deadline=None)
def test_no_content_of_a_variable_adds_structure(value: str) -> None:
    args = read(HEAD + "    args: {x: 'a${X}', y: '${X}', z: [\"${X}\"]}\n", X=value).models[0].args
    assert args == {"x": f"a{value}", "y": value, "z": [value]}


@pytest.mark.parametrize(
    "value", ["[a, b]", "{a: 1}", "x\nversion: 2", "*alias", "!!python/name:os.system", "${Y}", "# c"]
)
def test_yaml_in_a_variable_stays_text(value: str) -> None:
    assert read(HEAD + "    args:\n      x: ${X}\n", X=value, Y="no").models[0].args == {"x": value}


def test_a_key_is_never_filled() -> None:
    assert "unknown key '${X}'" in complaints(HEAD + "${X}: 1\n", X="title")[0]


def test_variables_that_are_not_set_are_said_at_their_places_beside_every_other_mistake() -> None:
    text = (
        HEAD
        + "title: ${A}\nimages:\n  paths: [a]\n  limit: ${B}\nbatch_size: 0\ntransform: {size: ['${C', 1]}\n"
    )
    assert complaints(text) == [
        "6:8 title: the environment variable 'A' is not set (set it, or write ${A:-default})",
        "9:10 images.limit: the environment variable 'B' is not set (set it, or write ${B:-default})",
        "10:13 batch_size: expected auto or a whole number greater than 0, got 0",
        "11:20 transform.size[0]: expected ${NAME} or ${NAME:-default}, got '${C' (a literal dollar is $$)",
    ]


def test_a_variable_that_is_not_set_is_one_problem_wherever_an_alias_repeats_it() -> None:
    text = HEAD + "transform: {mean: &m ['${A}', '1', 1], std: *m}\n"
    assert complaints(text)[0].startswith("6:23 transform.mean[0]: the environment variable 'A' is not set")
    assert len([line for line in complaints(text) if "[0]" in line]) == 1


def test_a_wrong_value_is_named_where_its_variable_stands() -> None:
    assert complaints(HEAD + "batch_size: ${N}\n", N="many") == [
        "6:13 batch_size: expected auto or a whole number greater than 0, got 'many'"
    ]


def test_an_unquoted_variable_in_flow_style_says_what_to_do() -> None:
    (said,) = complaints(HEAD + "images: {paths: [a], limit: ${N}}\n", N="3")
    assert said.startswith("6:29 ")
    assert "a variable needs quotes" in said


def test_variables_cannot_make_a_manifest_larger_than_one_may_be() -> None:
    (said,) = complaints(HEAD + "title: '" + "${X}" * 40 + "'\n", X="x" * 50_000)
    assert said == "6:8 title: the variables hold more than 1,048,576 characters"


def test_the_report_keeps_the_manifest_as_written_and_names_its_variables_without_values(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = project / "config.yaml"
    manifest.write_text(manifest.read_text() + "    args:\n      width: ${WIDTH}\n")
    monkeypatch.setenv("WIDTH", "5")
    made = featreport.build(manifest).provenance
    assert made.manifest_text == manifest.read_text()
    assert made.variables == ["WIDTH"]
    page = (project / "out/report.html").read_text()
    assert "width: ${WIDTH}" in page
    assert "Its variables" in page
    assert pipeline.make_plan(manifest).runs[0].source.args == {"width": 5}


def test_a_variable_with_another_value_is_another_build(
    project: Path, monkeypatch: pytest.MonkeyPatch, measured: list[str]
) -> None:
    manifest = project / "config.yaml"
    manifest.write_text(
        manifest.read_text() + "    args:\n      width: ${WIDTH}\n"
        "checks:\n  - metric: summary.channels\n    max: ${MOST:-9}\n"
    )
    monkeypatch.setenv("WIDTH", "5")
    assert featreport.build(manifest).runs[0].summary.channels == 5
    assert featreport.build(manifest).checks[0].severity == "ok"
    assert measured == ["net/random-0"]
    monkeypatch.setenv("MOST", "1")  # shapes no number of a run, but the report
    assert featreport.build(manifest).checks[0].severity != "ok"
    assert measured == ["net/random-0"]
    monkeypatch.setenv("WIDTH", "6")
    assert featreport.build(manifest).runs[0].summary.channels == 6
    assert measured == ["net/random-0"] * 2


def test_results_from_before_variables_still_load(project: Path) -> None:
    featreport.build(project / "config.yaml")
    kept = json.loads((project / "out/report.json").read_text())
    for name in ("variables", "overrides", "bases"):
        kept["provenance"].pop(name, None)
    assert codec.decode(json.dumps(kept), "old").provenance.variables == []


def test_the_json_schema_takes_a_variable_for_a_number() -> None:
    limit = json_schema()["$defs"]["ImagesEntry"]["properties"]["limit"]
    assert '"pattern": "\\\\$\\\\{"' in json.dumps(limit)


# --set


def set_(text: str, *options: str, **environ: str) -> schema.Manifest:
    return parse(text.encode(), "c.yaml", environ, options)


def refused(text: str, *options: str) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        set_(text, *options)
    return [str(problem) for problem in caught.value.problems]


def test_an_option_sets_a_value_wherever_it_stands() -> None:
    found = set_(
        HEAD + "images: [a, b]\n",
        "batch_size=8",
        "models[0].checkpoints[0]=new.pt",
        "models[0].args.num_classes=5",
        "images[1]='7'",
        "report.max_bytes=2MB",
        "transform={size: [8, 9]}",
        "transform.size[1]=7",
        "title=",
        "checks=[{metric: activations.dead, max: 1}]",
    )
    assert (found.batch_size, found.models[0].checkpoints, found.images) == (8, ("new.pt",), ("a", "7"))
    assert found.models[0].args == {"num_classes": 5}
    assert (found.report.max_bytes, found.transform.size, found.title) == (2_000_000, (8, 7), None)
    assert found.checks[0].max == 1


def test_of_two_options_for_one_path_the_later_holds() -> None:
    assert set_(HEAD, "batch_size=8", "batch_size=4").batch_size == 4


def test_an_option_takes_variables_and_replaces_one_that_is_not_set() -> None:
    assert set_(HEAD + "title: ${NO}\n", "title=${YES}", YES="yes").title == "yes"


KEYS = "max_bytes, maps, channels, select, images, show, overlay, kernels, templates, logo, sections"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("batchsize=8", "unknown key 'batchsize' (did you mean 'batch_size'?)"),
        ("crop=8", "unknown key 'crop' (it belongs under 'transform')"),
        ("models[0].chekpoints[0]=x", "models[0]: unknown key 'chekpoints' (did you mean 'checkpoints'?)"),
        ("report.zzz=1", f"report: unknown key 'zzz' (known here: {KEYS})"),
        ("models[1].name=x", "there is no models[1]: models has 1 entry, models[0]"),
        ("models[0].checkpoints[2]=x", "there is no models[0].checkpoints[2]: models[0].checkpoints has 2 entries, from [0]"),
        ("models.name=x", "models is a list here: name an entry, models[0].name"),
        ("transform.crop=3", "transform is 'none' here, not a mapping: set it whole, transform={crop: …}"),
        ("title[0]=3", "title is 't' here, not a list"),
        ("images[0]=x", "there is no list images here: set it whole, images=[…]"),
        ("batch_size", "expected PATH=VALUE such as batch_size=8 or 'models[0].checkpoints[0]=new.pt'"),
        ("a b=1", "expected PATH=VALUE such as batch_size=8 or 'models[0].checkpoints[0]=new.pt'"),
        ("models[-1]=1", "expected PATH=VALUE such as batch_size=8 or 'models[0].checkpoints[0]=new.pt'"),
        ("batch_size=many", "batch_size: expected auto or a whole number greater than 0, got 'many'"),
        ("title=What: a", "title: write a list as [a, b], a mapping as {a: b}, and text with ': ' in quotes"),
        ("title=# a", "title: a '#' begins a comment: put the value in quotes"),
        ("title=[a", "not valid YAML: expected ',' or ']', but got '<stream end>'"),
        ("title={a: 1, a: 2}", "title: duplicate key 'a' (first on line 1)"),
        ("title=${NO}", "title: the environment variable 'NO' is not set (set it, or write ${NO:-default})"),
        ("extends=x.yaml", "extends: cannot be set: build the manifest that extends another"),
        ("models[0].source=alexnet", "models[0].source: expected torchvision:NAME"),
    ],
)  # fmt: skip
def test_each_wrong_option_is_named_in_place_of_a_line(option: str, message: str) -> None:
    text = HEAD.replace("random:0", "random:0, random:1") + "title: t\ntransform: none\n"
    said = [line for line in refused(text, option) if message in line]
    assert said
    assert said[0].startswith(f"--set {option} {message}")


def test_wrong_options_come_with_the_mistakes_of_the_file_in_one_answer() -> None:
    assert refused(HEAD + "device: gpu\n", "batchsize=8", "precision=float61") == [
        "--set batchsize=8 unknown key 'batchsize' (did you mean 'batch_size'?)",
        "--set precision=float61 precision: expected float32, bfloat16 or float16, got 'float61' (did you mean 'float16'?)",
        "c.yaml:6:9 device: expected auto, cpu, cuda, cuda:1, mps or xpu, got 'gpu' (did you mean 'cuda'?)",
    ]


def test_options_cannot_make_a_manifest_larger_or_deeper_than_one_may_be() -> None:
    assert "20,000 values" in refused(HEAD, f"models[0].args.x=[{'1,' * 19_999}]")[0]
    assert "32 levels" in refused(HEAD, f"models[0].args.x={'[' * 30}{']' * 30}")[0]


@given(st.text(max_size=30), st.text("[]{}:-,&*!|>'\"\n \t#%@a1?<$", max_size=30))
@settings(max_examples=200, deadline=None)
def test_no_option_can_crash_the_reader(path: str, value: str) -> None:
    for option in (path, f"{path}={value}", f"title={value}", f"models[0].args={value}"):
        try:
            set_(HEAD, option)
        except ManifestError as error:
            said = str(error)
        else:
            said = "--set"
        assert "--set" in said


def test_a_path_in_an_option_starts_at_the_manifest_and_a_missing_one_names_the_option(project: Path) -> None:
    manifest = project / "config.yaml"
    plan = pipeline.make_plan(manifest, overrides=["images=[photos/1.png]"])
    assert [image.name for image in plan.runs[0].images] == ["photos/1.png"]
    with pytest.raises(ManifestError) as caught:
        pipeline.make_plan(manifest, overrides=["models[0].checkpoints[0]=e1.pt"])
    assert str(caught.value).startswith(
        "--set models[0].checkpoints[0]=e1.pt models[0].checkpoints[0]: no such file or folder 'e1.pt'"
    )


def test_build_and_check_take_options_and_a_wrong_one_exits_with_2_and_runs_nothing(project: Path) -> None:
    done = command(
        "check", "config.yaml", "--set", "models[0].args.width=6", "--set", "title=X y", cwd=project
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("X y\n")
    assert "{'width': 6}" in done.stdout
    for name in ("check", "build"):
        done = command(name, "config.yaml", "--set", "titel=x", cwd=project)
        assert done.returncode == 2
        assert done.stderr == (
            "--set titel=x unknown key 'titel' (did you mean 'title'?)\n1 problem; nothing was run.\n"
        )
        assert not (project / "out").exists()


def test_the_report_says_what_was_set_and_another_value_is_another_build(
    project: Path, measured: list[str]
) -> None:
    manifest = project / "config.yaml"
    plain = featreport.build(manifest)
    page = (project / "out/report.html").read_text()
    assert "Set for this build" not in page
    wide = featreport.build(manifest, overrides=["models[0].args.width=6"])
    assert (plain.runs[0].summary.channels, wide.runs[0].summary.channels) == (4, 6)
    assert wide.provenance.overrides == ["models[0].args.width=6"]
    assert wide.provenance.manifest_text == manifest.read_text()
    assert "<dd>models[0].args.width=6</dd>" in (project / "out/report.html").read_text()
    assert measured == ["net/random-0"] * 2
    featreport.build(manifest)
    assert measured == ["net/random-0"] * 2
    assert (project / "out/report.html").read_text() == page


# extends


def files(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        path = folder / f"{name.replace('__', '/')}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "c.yaml"


def extended(folder: Path, *options: str) -> schema.Manifest:
    found, problems = read_file(folder / "c.yaml", options)
    assert problems == []
    return found


def wrong(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(folder)
    with pytest.raises(ManifestError) as caught:
        load("c.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_mappings_merge_key_by_key_and_lists_and_scalars_replace(tmp_path: Path) -> None:
    files(
        tmp_path,
        base=HEAD + "title: base\nimages: {paths: [a, b], limit: 3}\nreport: {channels: 2, images: 3}\n",
        c="extends: base.yaml\ntitle: own\nimages: {limit: 5}\nreport: {channels: 7}\nbatch_size: 2\n",
    )
    found = extended(tmp_path)
    assert (found.title, found.batch_size, found.models[0].name) == ("own", 2, "a")
    assert (found.images.paths, found.images.limit) == (("a", "b"), 5)
    assert (found.report.channels, found.report.images) == (7, 3)
    files(tmp_path, c="extends: base.yaml\nimages: [c]\ntitle: ~\n")
    assert (extended(tmp_path).images, extended(tmp_path).title) == (("c",), None)


def test_a_chain_of_manifests_is_one_and_options_come_last(tmp_path: Path) -> None:
    files(
        tmp_path,
        x__far=HEAD + "title: far\nbatch_size: 1\ndevice: cpu\n",
        x__near="extends: far.yaml\nbatch_size: 2\nprecision: float16\n",
        c="extends: x/near.yaml\nprecision: bfloat16\n",
    )
    found = extended(tmp_path, "device=cuda")
    assert (found.title, found.batch_size, found.precision, found.device) == ("far", 2, "bfloat16", "cuda")
    assert [name for name, _ in found.bases] == ["x/near.yaml", "far.yaml"]


def test_the_paths_of_a_base_start_at_the_base(project: Path) -> None:
    (project / "jobs").mkdir()
    (project / "jobs/own.png").write_bytes((project / "photos/1.png").read_bytes())
    (project / "jobs/c.yaml").write_text("version: 1\nextends: ../config.yaml\noutput: here.html\n")
    plan = pipeline.make_plan(project / "jobs/c.yaml")
    assert plan.output == project / "jobs/here.html"
    assert plan.store == project / "jobs/.featreport"
    assert plan.runs[0].source.file == project / "net.py"
    assert [image.path for image in plan.runs[0].images] == [project / f"photos/{i}.png" for i in range(3)]
    (project / "jobs/c.yaml").write_text("extends: ../config.yaml\nimages: [own.png]\n")
    plan = pipeline.make_plan(project / "jobs/c.yaml")
    assert plan.output == project / "out/report.html"
    assert [image.name for image in plan.runs[0].images] == ["own.png"]


def test_each_mistake_is_named_in_the_file_it_stands_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files(
        tmp_path,
        x__base=HEAD + "device: gpu\nbatch_size: 0\nimages: [no.png]\ntitel: x\ntitle: ${NO}\n",
        c="extends: x/base.yaml\nbatch_size: many\nreport: {chanels: 3}\ntitle: own\n",
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ManifestError) as caught:
        pipeline.make_plan("c.yaml")
    assert [str(problem) for problem in caught.value.problems] == [
        "c.yaml:2:13 batch_size: expected auto or a whole number greater than 0, got 'many'",
        "c.yaml:3:10 report: unknown key 'chanels' (did you mean 'channels'?)",
        "x/base.yaml:6:9 device: expected auto, cpu, cuda, cuda:1, mps or xpu, got 'gpu' (did you mean 'cuda'?)",
        "x/base.yaml:8:10 images[0]: no such file or folder 'no.png'",
        "x/base.yaml:9:1 unknown key 'titel' (did you mean 'title'?)",
    ]


@pytest.mark.parametrize(
    ("own", "base", "expected"),
    [
        ("extends: bas.yaml\n", HEAD, "c.yaml:1:10 extends: 'bas.yaml': no such file (did you mean 'base.yaml'?)"),
        ("extends: .\n", HEAD, "c.yaml:1:10 extends: '.': is a folder, expected a manifest file"),
        ("extends: [base.yaml]\n", HEAD, "c.yaml:1:10 extends: expected the path of a manifest, got a list or a mapping"),
        ("extends:\n", HEAD, "c.yaml:1:9 extends: expected the path of a manifest, got nothing"),
        ("extends: ${NO}\n", HEAD, "c.yaml:1:10 extends: the environment variable 'NO' is not set (set it, or write ${NO:-default})"),
        ("extends: base.yaml\n", "- a\n", "base.yaml:1:1 expected a mapping, got a list"),
        ("extends: base.yaml\n", "", "base.yaml:1:1 the file is empty ('featreport init' writes a starter manifest)"),
        ("extends: base.yaml\n", "a: [\n", "base.yaml:2:1 not valid YAML: expected the node content, but found '<stream end>'"),
        ("extends: base.yaml\nversion: 1\n", HEAD.replace("1", "2", 1), "base.yaml:1:10 version: this featreport reads manifests of version 1, got 2"),
        ("extends: base.yaml\n", "extends: c.yaml\n", "base.yaml:1:10 extends: 'c.yaml' leads in a circle: c.yaml → base.yaml → c.yaml"),
        ("extends: ./c.yaml\n", "", "c.yaml:1:10 extends: './c.yaml' leads in a circle: c.yaml → c.yaml"),
        ("extends: base.yaml\nbatch_size: 1\nbatch_size: 2\n", HEAD, "c.yaml:3:1 duplicate key 'batch_size' (first on line 2)"),
    ],
)  # fmt: skip
def test_a_base_that_cannot_be_used_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str, base: str, expected: str
) -> None:
    files(tmp_path, c=own, base=base)
    assert wrong(tmp_path, monkeypatch) == [expected]


def test_a_chain_keeps_the_limits_of_one_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"b{index}" for index in range(10)]
    texts = {name: f"extends: {after}.yaml\n" for name, after in pairwise(names)}
    files(tmp_path, **texts, b9=HEAD, c="extends: b0.yaml\n")
    assert wrong(tmp_path, monkeypatch) == ["b7.yaml:1:10 extends: more than 8 manifests below one another"]
    many = "args: {x: [" + "1," * 15_000 + "]}\n"
    files(tmp_path, base=HEAD + many, c="extends: base.yaml\n" + many.replace("x:", "y:"))
    assert "c.yaml:1:1 more than 20,000 values in all" in wrong(tmp_path, monkeypatch)
    long = "#" * 600_000 + "\n"
    files(tmp_path, base=long + HEAD, c=long + "extends: base.yaml\n")
    assert "larger than 1,048,576 bytes: with the manifests that extend it" in wrong(tmp_path, monkeypatch)[0]


def test_the_report_holds_every_manifest_it_is_made_of_and_never_an_absolute_path(project: Path) -> None:
    (project / "jobs").mkdir()
    own = project / "jobs/c.yaml"
    own.write_text("extends: ../config.yaml\noutput: here.html\n")
    made = featreport.build(own).provenance
    assert made.manifest_text == own.read_text()
    assert [(base.name, base.text) for base in made.bases] == [
        ("../config.yaml", (project / "config.yaml").read_text())
    ]
    page = (project / "jobs/here.html").read_text()
    assert "The manifest that it extends, ../config.yaml" in page
    assert str(project) not in page
    own.write_text(f"extends: {project}/config.yaml\noutput: here.html\n")
    made = featreport.build(own).provenance
    assert [base.name for base in made.bases] == [f"{project.name}/config.yaml"]


def test_a_changed_base_is_another_build(project: Path, measured: list[str]) -> None:
    (project / "c.yaml").write_text("extends: config.yaml\n")
    featreport.build(project / "c.yaml")
    featreport.build(project / "c.yaml")
    assert measured == ["net/random-0"]
    base = project / "config.yaml"
    base.write_text(base.read_text() + "    args: {width: 6}\n")
    assert featreport.build(project / "c.yaml").runs[0].summary.channels == 6


def test_the_json_schema_lets_a_manifest_lack_what_its_base_has() -> None:
    described = json_schema()
    assert {"required": ["extends"]} in described["anyOf"]
    assert "required" not in described
    assert "required" in described["$defs"]["Model"]


# timeout


@pytest.mark.parametrize(
    ("written", "seconds"), [("90s", 90), ("30min", 1800), ("2h", 7200), ("1.5 min", 90), ("0.5s", 0.5)]
)
def test_a_time_is_a_number_and_a_unit(written: str, seconds: float) -> None:
    assert read(HEAD + f"timeout: {written}\n").timeout == seconds


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("90", "expected a time such as 90s, 30min or 2h, got 90"),
        ("30m", "expected a time such as 90s, 30min or 2h, got '30m' (did you mean '30min'?)"),
        ("0s", "expected a time such as 90s, 30min or 2h, got '0s'"),
        ("-1s", "expected a time such as 90s, 30min or 2h, got '-1s'"),
        ("1h30min", "expected a time such as 90s, 30min or 2h, got '1h30min'"),
    ],
)
def test_what_is_no_time_is_refused(written: str, message: str) -> None:
    assert complaints(HEAD + f"timeout: {written}\n") == [f"6:10 timeout: {message}"]


def slow(folder: Path, factory: str, **more: str) -> Path:
    """A manifest whose middle run cannot be done in the time it has; the runs around it have any."""
    manifest = folder / "config.yaml"
    extra = "".join(f"    {key}: {value}\n" for key, value in more.items())
    manifest.write_text(
        "version: 1\ntitle: Tiny\noutput: out/report.html\ndevice: cpu\nbatch_size: 1\nimages: [photos/]\n"
        "transform: none\nmodels:\n"
        "  - {name: before, source: 'python:net.py:Net', checkpoints: [random:0]}\n"
        f"  - name: net\n    source: python:net.py:{factory}\n    checkpoints: [random:0]\n{extra}"
        "  - {name: after, source: 'python:net.py:Net', checkpoints: [random:1]}\n"
    )
    return manifest


class Clock:
    """A clock that moves only where a network sleeps: the tests do not hang on how busy the machine is."""

    now = 0.0
    slept = 0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(deadline, "time", found)
    return found


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(("factory", "stage"), [("Slow", "forward"), ("SlowlyBuilt", "source")])
def test_a_run_over_its_time_fails_alone_with_stage_reason_and_hint(
    project: Path, factory: str, stage: str
) -> None:
    without = featreport.build(slow(project, factory), store=project / "a")
    late = featreport.build(slow(project, factory, timeout="0.25s"), store=project / "b")
    assert [run.status for run in without.runs] == ["ok"] * 3
    assert [run.status for run in late.runs] == ["ok", "failed", "ok"]
    assert late.runs[0] == without.runs[0]
    assert late.runs[2] == without.runs[2]
    error = late.runs[1].error
    assert (error.stage, error.message) == (stage, "the run took longer than its timeout of 0.25 s")
    assert "timeout" in error.hint
    page = (project / "out/report.html").read_text()
    assert "took longer than its timeout of 0.25 s" in page


@pytest.mark.usefixtures("clock")
def test_it_stops_between_batches_and_sees_no_further_image(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    class Listener(serial.Silent):
        def images_done(self, done: int, of: int) -> None:
            seen.append(done)

    plan = pipeline.make_plan(slow(project, "Slow", timeout="0.3s"), only="net/*")
    run = pipeline.run_plan(plan, Listener()).results.runs[0]
    assert run.status == "failed"
    assert seen == [1]  # the first image takes two forward passes: one to compare the watched one with


@pytest.mark.parametrize("factory", ["Deep", "Stubborn"])
def test_a_slow_network_ends_within_one_batch_after_its_current_layer(
    project: Path, clock: Clock, factory: str
) -> None:
    manifest = slow(project, factory, timeout="0.35s")
    late = featreport.build(manifest, overrides=["batch_size=3"])
    assert [run.status for run in late.runs] == ["ok", "failed", "ok"]
    error = late.runs[1].error
    assert (error.stage, error.message) == ("forward", "the run took longer than its timeout of 0.35 s")
    assert clock.slept == 4  # of 40 layers
    assert not _global_forward_pre_hooks


def test_a_slow_network_of_functions_ends_after_its_current_function(project: Path, clock: Clock) -> None:
    late = featreport.build(slow(project, "Functional", timeout="5.05s"), overrides=["batch_size=3"])
    assert [run.status for run in late.runs] == ["ok", "failed", "ok"]
    assert clock.slept == 40 + 11  # the first pass is the one without eyes for functions


@pytest.mark.usefixtures("clock")
def test_a_timeout_that_is_not_reached_changes_nothing(project: Path) -> None:
    found = [
        featreport.build(slow(project, "Deep", **more), store=project / name)
        for name, more in (("a", {}), ("b", {"timeout": "2h"}))
    ]
    assert found[0].runs == found[1].runs
    assert found[0].runs[1].faithfulness.output_identical


def test_the_time_of_a_model_goes_before_that_of_the_manifest(project: Path) -> None:
    manifest = slow(project, "Slow", timeout="30min")
    manifest.write_text(manifest.read_text() + "timeout: 45s\n")
    assert [run.timeout for run in pipeline.make_plan(manifest).runs] == [45, 1800, 45]
    assert "  timeout     1800 s" in describe(pipeline.make_plan(manifest))


@pytest.mark.usefixtures("clock")
def test_another_timeout_measures_nothing_again_and_a_late_run_is_tried_again(
    project: Path, measured: list[str]
) -> None:
    manifest = slow(project, "Slow", timeout="0.25s")
    featreport.build(manifest)
    assert measured == ["before/random-0", "net/random-0", "after/random-1"]
    slow(project, "Slow", timeout="10min")
    assert {run.status for run in featreport.build(manifest).runs} == {"ok"}
    assert measured[3:] == ["net/random-0"]
    slow(project, "Slow", timeout="20min")
    featreport.build(manifest)
    assert len(measured) == 4


def test_a_file_of_tensors_alone_has_its_time_too(project: Path) -> None:
    torch.save({"w": torch.zeros(4, 4)}, project / "w.pt")
    manifest = project / "config.yaml"
    manifest.write_text(
        "version: 1\ndevice: cpu\ntimeout: 0.000001s\nmodels:\n"
        "  - {name: w, source: none, checkpoints: [w.pt]}\n"
    )
    assert featreport.build(manifest).runs[0].error.stage == "checkpoint"


def test_a_build_with_a_late_run_exits_with_3(project: Path) -> None:
    slow(project, "Slow", timeout="0.25s")
    done = command("build", "config.yaml", cwd=project)
    assert done.returncode == 3, done.stderr
    assert "× net/random-0: failed (" in done.stderr
