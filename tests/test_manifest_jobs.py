"""What a manifest promises to jobs: values from outside come in whole and safely, and are told where they matter."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import featreport
from featreport import pipeline
from featreport.errors import ManifestError
from featreport.executors import serial
from featreport.manifest import json_schema, schema
from featreport.manifest.read import parse
from featreport.results import codec

HEAD = "version: 1\nmodels:\n  - name: a\n    source: torchvision:alexnet\n    checkpoints: [random:0]\n"
NET = """
import time
from torch import nn

class Net(nn.Sequential):
    def __init__(self, width=4):
        super().__init__(nn.Conv2d(3, width, 3), nn.ReLU())

class Slow(Net):
    def forward(self, x):
        time.sleep(0.2)
        return super().forward(x)

class SlowlyBuilt(Net):
    def __init__(self):
        super().__init__()
        time.sleep(0.4)
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


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the runs that were really measured."""
    found: list[str] = []
    plain = serial._Bench.measure

    def spy(self: serial._Bench, run: object, progress: object) -> serial.Outcome:
        found.append(run.id)
        return plain(self, run, progress)

    monkeypatch.setattr(serial._Bench, "measure", spy)
    return found


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
    for name in ("variables",):
        kept["provenance"].pop(name, None)
    assert codec.decode(json.dumps(kept), "old").provenance.variables == []


def test_the_json_schema_takes_a_variable_for_a_number() -> None:
    limit = json_schema()["$defs"]["ImagesEntry"]["properties"]["limit"]
    assert '"pattern": "\\\\$\\\\{"' in json.dumps(limit)
