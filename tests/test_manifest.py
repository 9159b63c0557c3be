# ruff: noqa: E501  # the table holds whole lines
"""What a manifest promises: every mistake is named at its place, all at once, and nothing in a file can bite."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featreport.errors import ManifestError
from featreport.manifest import json_schema, load, schema, starter
from featreport.manifest.complaints import SECTIONS
from featreport.manifest.read import parse

HEAD = "version: 1\nmodels:\n  - name: a\n    source: torchvision:alexnet\n    checkpoints: [random:0]\n"


def complaints(text: str | bytes) -> list[str]:
    content = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(ManifestError) as caught:
        parse(content, "c.yaml")
    return [str(problem).removeprefix("c.yaml:") for problem in caught.value.problems]


def model(line: str) -> str:
    return HEAD + f"    {line}\n"


def checkpoint(entry: str) -> str:
    return HEAD.replace("random:0", entry)


def source(text: str) -> str:
    return HEAD.replace("torchvision:alexnet", text)


SOURCES = "torchvision:NAME, timm:NAME, python:net.py:CALLABLE, python:package.module:CALLABLE or none"
EMPTY = "the file is empty ('featreport init' writes a starter manifest)"
T = "transform"
BAD = [
    ("", ["1:1 the file is empty ('featreport init' writes a starter manifest)"]),
    ("# only a comment\n", ["1:1 the file is empty ('featreport init' writes a starter manifest)"]),
    ("[]", ["1:1 expected a mapping with 'version' and 'models', got an empty list"]),
    ("hello", ["1:1 expected a mapping with 'version' and 'models', got 'hello'"]),
    ("version: 1\n---\nversion: 1\n", ["2:1 expected one document, got a second one after '---'"]),
    ("\tversion: 1", ["1:1 a tab cannot indent YAML: use spaces"]),
    ("version: 1\n\ttitle: x", ["2:1 a tab cannot indent YAML: use spaces"]),
    (
        "title: a: b",
        [
            "1:9 not valid YAML: a ':' is not allowed here (text with ': ' needs quotes; check the indentation)"
        ],
    ),
    ("title: 'open", ["1:13 not valid YAML: found unexpected end of stream"]),
    ("title: [a, b", ["1:13 not valid YAML: expected ',' or ']', but got '<stream end>'"]),
    (b"title: \xff\xfe", ["1:8 not UTF-8 text: save the file as UTF-8"]),
    (b"title: \x00", ["1:8 the character U+0000 is not allowed in YAML"]),
    ('title: "\\UFFFFFFFF"', ["1:1 not valid YAML: an escape in this text names no character"]),
    (HEAD + 'title: "\\ud800"', ["6:8 title: expected text, got half a character: '\\ud800'"]),
    (HEAD + "title: &a [*a]", ["6:12 title[0]: the alias '*a' contains itself"]),
    (HEAD + "title: *nowhere", ["6:8 title: the alias '*nowhere' has no anchor '&nowhere' before it"]),
    (HEAD + "version: 1", ["6:1 duplicate key 'version' (first on line 1)"]),
    (HEAD + "1: x", ["6:1 expected a key of text, got 1 (put it in quotes)"]),
    (
        HEAD + "<<: {a: 1}",
        ["6:1 merge keys ('<<') are not supported: use an alias for a whole value, or write it out"],
    ),
    (
        HEAD + "title: !!python/object:os.system x",
        [
            "6:8 title: tags are not used in manifests, got 'tag:yaml.org,2002:python/object:os.system': remove it"
        ],
    ),
    (HEAD.replace("version: 1\n", ""), ["1:1 missing key 'version' (add 'version: 1')"]),
    (
        HEAD.replace("1", "2", 1) + "bogus: 1",
        ["1:10 version: this featreport reads manifests of version 1, got 2"],
    ),
    (HEAD.replace("1", "one", 1), ["1:10 version: this featreport reads manifests of version 1, got 'one'"]),
    ("version: 1", ["1:1 missing key 'models' (a list of models, each with name, source and checkpoints)"]),
    ("version: 1\nmodels: []", ["2:9 models: expected at least one entry, got an empty list"]),
    (
        "version: 1\nmodels: {a: {}}",
        ["2:9 models: expected a list of models, each beginning with '- name: …', got a mapping"],
    ),
    ("version: 1\nmodels: [a]", ["2:10 models[0]: expected a mapping, got 'a'"]),
    (
        "version: 1\nmodels: [{}]",
        [
            "2:10 models[0]: missing key 'checkpoints' (a list of at least one file, glob, weights:NAME or random:SEED)",
            "2:10 models[0]: missing key 'name' (the first part of its run ids)",
            "2:10 models[0]: missing key 'source' (torchvision:NAME or python:net.py:CALLABLE)",
        ],
    ),
    (HEAD + "title: 2024", ["6:8 title: expected text, got 2024 (put it in quotes)"]),
    (HEAD + "title: ' '", ["6:8 title: expected text, got an empty text"]),
    (HEAD + "titel: x", ["6:1 unknown key 'titel' (did you mean 'title'?)"]),
    (
        HEAD + "zzz: x",
        [
            "6:1 unknown key 'zzz' (known here: version, extends, title, output, device, precision, batch_size, timeout, images, transform, models, statistics, history, compare, checks, remote, report)"
        ],
    ),
    (HEAD + "crop: 3", ["6:1 unknown key 'crop' (it belongs under 'transform')"]),
    (
        HEAD + "device: gpu",
        ["6:9 device: expected auto, cpu, cuda, cuda:1, mps or xpu, got 'gpu' (did you mean 'cuda'?)"],
    ),
    (
        HEAD + "device: cdua",
        ["6:9 device: expected auto, cpu, cuda, cuda:1, mps or xpu, got 'cdua' (did you mean 'cuda'?)"],
    ),
    (HEAD + "device: 3", ["6:9 device: expected text, got 3 (put it in quotes)"]),
    (
        HEAD + "precision: float61",
        ["6:12 precision: expected float32, bfloat16 or float16, got 'float61' (did you mean 'float16'?)"],
    ),
    (HEAD + "batch_size: 0", ["6:13 batch_size: expected auto or a whole number greater than 0, got 0"]),
    (
        HEAD + "batch_size: many",
        ["6:13 batch_size: expected auto or a whole number greater than 0, got 'many'"],
    ),
    (HEAD + "images: a.png", ["6:9 images: expected a list of paths or a mapping with 'paths', got 'a.png'"]),
    (HEAD + "images: []", ["6:9 images: expected at least one entry, got an empty list"]),
    (HEAD + "images: {limit: 3}", ["6:9 images: missing key 'paths'"]),
    (HEAD + "images: {paths: [a], limit: 0}", ["6:29 images.limit: expected a number of at least 1, got 0"]),
    (
        HEAD + "images: ['package:x']",
        ["6:10 images[0]: expected package:DISTRIBUTION/path/in/it, got 'package:x'"],
    ),
    (
        HEAD + "images: ['package:x/../y']",
        ["6:10 images[0]: expected a path inside the distribution, got 'package:x/../y'"],
    ),
    (HEAD + "images: [3]", ["6:10 images[0]: expected text, got 3 (put it in quotes)"]),
    (
        HEAD + "transform: imagnet",
        [
            "6:12 transform: expected imagenet, weights, none, python:file.py:CALLABLE or a mapping, got 'imagnet' (did you mean 'imagenet'?)"
        ],
    ),
    (
        HEAD + "transform: python:prep:",
        [
            "6:23 not valid YAML: a ':' is not allowed here (text with ': ' needs quotes; check the indentation)"
        ],
    ),
    (
        HEAD + "transform: [1]",
        [
            "6:12 transform: expected imagenet, weights, none, python:file.py:CALLABLE or a mapping, got a list"
        ],
    ),
    (
        HEAD + "transform: {size: 224}",
        ["6:19 transform.size: expected [height, width], got 224 (for a square write [224, 224])"],
    ),
    (HEAD + "transform: {size: [1, 2, 3]}", ["6:19 transform.size: expected 2 values, got 3"]),
    (
        HEAD + "transform: {size: [1, 2], resize: 3}",
        [
            "6:35 transform.resize: size and resize exclude each other: size is exact, resize sets the shorter side"
        ],
    ),
    (HEAD + "transform: {resize: 1.5}", ["6:21 transform.resize: expected a whole number, got 1.5"]),
    (
        HEAD + "transform: {resize: 10, crop: 11}",
        ["6:31 transform.crop: expected at most 10, the shorter side before the crop, got 11"],
    ),
    (
        HEAD + "transform: {crop: 99999}",
        ["6:19 transform.crop: expected a number of at most 16384, got 99999"],
    ),
    (HEAD + "transform: {std: 0}", ["6:18 transform.std: expected a number greater than 0, got 0"]),
    (
        HEAD + "transform: {std: [1, 0, 1]}",
        ["6:22 transform.std[1]: expected a number greater than 0, got 0"],
    ),
    (
        HEAD + "transform: {mean: [1, 2]}",
        ["6:19 transform.mean: expected 1 number, or a list of 3 (color is RGB), got 2"],
    ),
    (
        HEAD + "transform: {color: L, mean: [1, 2, 3]}",
        ["6:29 transform.mean: expected 1 number (color is L), got 3"],
    ),
    (HEAD + "transform: {mean: .nan}", ["6:19 transform.mean: expected a finite number, got .nan"]),
    (HEAD + "transform: {mean: .inf}", ["6:19 transform.mean: expected a finite number, got .inf"]),
    (
        HEAD + "transform: {mean: yes}",
        ["6:19 transform.mean: expected a number, or a list with one number per channel, got 'yes'"],
    ),
    (
        HEAD + "transform: {mean: true}",
        ["6:19 transform.mean: expected a number, or a list with one number per channel, got true"],
    ),
    (
        HEAD + "transform: {interpolation: bilinaer}",
        [
            "6:28 transform.interpolation: expected nearest, bilinear or bicubic, got 'bilinaer' (did you mean 'bilinear'?)"
        ],
    ),
    (
        HEAD + "transform: {color: rgb}",
        ["6:20 transform.color: expected RGB or L, got 'rgb' (did you mean 'RGB'?)"],
    ),
    (HEAD + "statistics: {dead: -1}", ["6:20 statistics.dead: expected a number of at least 0, got -1"]),
    (
        HEAD + "statistics: {dead: 1" + "0" * 50 + "}",
        [
            "6:20 statistics.dead: expected a number, got '100000000000000000000000000000000000000000000000000'",
        ],
    ),
    (
        HEAD + "report: {max_bytes: 15XB}",
        ["6:21 report.max_bytes: expected a size such as 15MB or 500KB, got '15XB'"],
    ),
    (HEAD + "report: {channels: 0}", ["6:20 report.channels: expected a number of at least 1, got 0"]),
    (HEAD + "report: 15MB", ["6:9 report: expected a mapping, got '15MB'"]),
    (HEAD + "compare: {}", ["6:10 compare: compare needs a 'baseline', or 'cka: true'"]),
    (HEAD + "compare: {baseline: 3}", ["6:21 compare.baseline: expected text, got 3 (put it in quotes)"]),
    (HEAD + "checks: {metric: x}", ["6:9 checks: expected a list, got a mapping"]),
    (
        HEAD + "checks: [{metric: activation.x, min: 2, max: 1, level: eror}]",
        [
            "6:19 checks[0].metric: expected load.NAME, images.NAME, faithfulness.NAME, summary.NAME, activations.NAME, weights.NAME, buffers.NAME, norms.NAME or run.NAME, got 'activation.x' (did you mean 'activations'?)",
            "6:38 checks[0].min: min is greater than max (2 > 1)",
            "6:56 checks[0].level: expected error or warn, got 'eror' (did you mean 'error'?)",
        ],
    ),
    (
        HEAD + "checks: [{metric: activations.ded, max: 1}]",
        ["6:19 checks[0].metric: unknown metric 'activations.ded' (did you mean 'activations.dead'?)"],
    ),
    (
        HEAD + "checks: [{metric: buffers.zzzzz, max: 1}]",
        [
            "6:19 checks[0].metric: unknown metric 'buffers.zzzzz' (known in buffers: count, mean, std, min, max, nonfinite)"
        ],
    ),
    (
        HEAD + "checks: [{metric: activations.dormant, max: 1}, {metric: summary.nonfinite.x, max: 1}]",
        [
            "6:19 checks[0].metric: 'activations.dormant' needs a key after it, got 'activations.dormant'",
            "6:58 checks[1].metric: 'summary.nonfinite' has no parts, got 'summary.nonfinite.x'",
        ],
    ),
    (
        HEAD + "checks: [{metric: weights.mean}]",
        [
            "6:10 checks[0]: expected a limit: max, min, equals, max_increase or max_relative_increase",
        ],
    ),
    (
        HEAD + "checks: [{metric: weights.mean, max_increase: 1}]",
        ["6:33 checks[0].max_increase: max_increase needs a baseline: add 'compare: {baseline: RUN_ID}'"],
    ),
    (
        HEAD + "compare: {baseline: a/b}\nchecks: [{metric: weights.mean, max_increase: -1}]",
        ["7:47 checks[0].max_increase: expected a number of at least 0, got -1"],
    ),
    (
        HEAD + "checks: [{metric: weights.mean, equals: 1, max: 2}]",
        ["6:44 checks[0].max: equals leaves nothing to max: remove one of them"],
    ),
    (
        HEAD + "checks: [{metric: summary.channels, max: 2, layers: a.*, scope: layer}]",
        [
            "6:45 checks[0].layers: 'summary.channels' belongs to no layer: remove 'layers'",
            "6:65 checks[0].scope: 'summary.channels' is one number of the run: remove the scope",
        ],
    ),
    (
        HEAD + "checks: [{metric: activations.dead_fraction, max: 2, scope: run}]",
        [
            "6:61 checks[0].scope: 'activations.dead_fraction' is no count, so no sum over layers: remove the scope, or take one of summary"
        ],
    ),
    (
        HEAD
        + "checks: [{metric: newly_dead_chanels, max: 0}, {metric: activations.newly_dead_channels, max: 0}]",
        [
            "6:19 checks[0].metric: unknown metric 'newly_dead_chanels' (did you mean 'newly_dead_channels'?)",
            "6:57 checks[1].metric: unknown metric 'activations.newly_dead_channels' (did you mean 'newly_dead_channels'?)",
        ],
    ),
    (
        HEAD + "checks: [{metric: revived_filters.weight, max: 0}]",
        ["6:19 checks[0].metric: 'revived_filters' has no parts, got 'revived_filters.weight'"],
    ),
    (
        HEAD + "checks: [{metric: newly_dead_channels, max: 0}]",
        ["6:19 checks[0].metric: 'newly_dead_channels' needs a baseline: add 'compare: {baseline: RUN_ID}'"],
    ),
    (
        HEAD + "checks: [{metric: newly_dead_channels, max_increase: 0}]\ncompare: {baseline: a/random-0}",
        [
            "6:40 checks[0].max_increase: 'newly_dead_channels' is told against the baseline already: write max",
        ],
    ),
    (
        HEAD + "checks: [{metric: newly_dead_channels, scope: run}]\ncompare: {baseline: a/random-0}",
        ["6:10 checks[0]: expected a limit: max, min, equals, max_increase or max_relative_increase"],
    ),
    (
        HEAD + "checks: [{metric: weights.mean, max: 1, lyers: a}]",
        ["6:41 checks[0]: unknown key 'lyers' (did you mean 'layers'?)"],
    ),
    (
        source("alexnet"),
        [
            "4:13 models[0].source: expected torchvision:NAME, timm:NAME, python:net.py:CALLABLE, python:package.module:CALLABLE or none, got 'alexnet' (did you mean 'torchvision:alexnet'?)"
        ],
    ),
    (
        source("torchvison:alexnet"),
        [
            "4:13 models[0].source: expected torchvision:NAME, timm:NAME, python:net.py:CALLABLE, python:package.module:CALLABLE or none, got 'torchvison:alexnet' (did you mean 'torchvision'?)"
        ],
    ),
    (
        source("python:net:"),
        [
            "4:23 not valid YAML: a ':' is not allowed here (text with ': ' needs quotes; check the indentation)"
        ],
    ),
    (
        source("python:net.py:Net").replace("random:0", "weights:X"),
        [
            "5:19 models[0].checkpoints[0]: only torchvision and timm publish weights; 'python:net.py:Net' needs a file or random:SEED"
        ],
    ),
    (
        checkpoint("random:-1"),
        [
            "5:19 models[0].checkpoints[0]: expected random:SEED with a whole number from 0 to 2**63 - 1, got 'random:-1'"
        ],
    ),
    (
        checkpoint("random:9223372036854775808"),
        [
            "5:19 models[0].checkpoints[0]: expected random:SEED with a whole number from 0 to 2**63 - 1, got 'random:9223372036854775808'"
        ],
    ),
    (
        checkpoint("'weights:'"),
        [
            "5:19 models[0].checkpoints[0]: expected weights:NAME such as weights:IMAGENET1K_V1, got 'weights:'"
        ],
    ),
    (
        checkpoint("wieghts:X"),
        [
            "5:19 models[0].checkpoints[0]: expected a path, package:, weights: or random:, got 'wieghts:X' (did you mean 'weights'?)"
        ],
    ),
    (checkpoint("3"), ["5:19 models[0].checkpoints[0]: expected a path or a mapping with 'path', got 3"]),
    (checkpoint("{name: x}"), ["5:19 models[0].checkpoints[0]: missing key 'path'"]),
    (
        checkpoint("{path: a.pt, nmae: x}"),
        ["5:32 models[0].checkpoints[0]: unknown key 'nmae' (did you mean 'name'?)"],
    ),
    (
        checkpoint("{path: 'random:0', key: x}"),
        ["5:43 models[0].checkpoints[0].key: a key belongs to a file, but the path is 'random:0'"],
    ),
    (
        checkpoint("{path: a.pt, strict: 0}"),
        ["5:40 models[0].checkpoints[0].strict: expected true or false, got 0"],
    ),
    (
        checkpoint("{path: a.pt, strict: 'no'}"),
        ["5:40 models[0].checkpoints[0].strict: expected true or false, got 'no'"],
    ),
    (
        checkpoint("{path: a.pt, allow_missing: fc.*}"),
        ["5:47 models[0].checkpoints[0].allow_missing: expected a list, got 'fc.*'"],
    ),
    (
        checkpoint("{path: a.pt, allow_missing: [1, '']}"),
        [
            "5:48 models[0].checkpoints[0].allow_missing[0]: expected text, got 1 (put it in quotes)",
            "5:51 models[0].checkpoints[0].allow_missing[1]: expected text, got an empty text",
        ],
    ),
    (
        checkpoint("{path: a.pt, allow_unexpeced: [x]}"),
        ["5:32 models[0].checkpoints[0]: unknown key 'allow_unexpeced' (did you mean 'allow_unexpected'?)"],
    ),
    (
        checkpoint("{path: a.pt, strict: false, allow_unexpected: [x]}"),
        [
            "5:65 models[0].checkpoints[0].allow_unexpected: allow_unexpected says nothing beside strict: false, which allows everything"
        ],
    ),
    (
        checkpoint("{path: 'random:0', strict: false}"),
        [
            "5:46 models[0].checkpoints[0].strict: strict belongs to a file, but the path is 'random:0': remove it"
        ],
    ),
    (
        checkpoint("{path: a.pt, name: x}, {path: b.pt, name: x}"),
        [
            "5:61 models[0].checkpoints[1].name: two checkpoints of this model are called 'x' (the first is models[0].checkpoints[0])"
        ],
    ),
    (checkpoint(""), ["5:18 models[0].checkpoints: expected at least one entry, got an empty list"]),
    (model("chekpoints: [a]"), ["6:5 models[0]: unknown key 'chekpoints' (did you mean 'checkpoints'?)"]),
    (model("args: {a-b: 1}"), ["6:12 models[0].args.a-b: expected the name of a Python argument, got 'a-b'"]),
    (model("layers: {include: a}"), ["6:23 models[0].layers.include: expected a list, got 'a'"]),
    (
        model("layers: {include: [1]}"),
        ["6:24 models[0].layers.include[0]: expected text, got 1 (put it in quotes)"],
    ),
    (
        model("images: 5"),
        ["6:13 models[0].images: expected a list of paths or a mapping with 'paths', got 5"],
    ),
    (
        HEAD.replace("name: a", "name: a/b"),
        [
            "3:11 models[0].name: a model's name must not contain '/', got 'a/b' (run ids are model/checkpoint)"
        ],
    ),
    (HEAD.replace("name: a", "name: 1"), ["3:11 models[0].name: expected text, got 1 (put it in quotes)"]),
    (
        HEAD + HEAD.partition("models:\n")[2],
        ["6:11 models[1].name: two models are called 'a' (the first is models[0])"],
    ),
]


@pytest.mark.parametrize(("text", "expected"), BAD, ids=range(len(BAD)))
def test_each_mistake_has_its_line(text, expected):
    assert complaints(text) == expected


def test_the_contract_example_is_kept_to_the_letter(tmp_path, monkeypatch):
    entries = "".join(
        f"  - name: m{i}\n    source: torchvision:alexnet\n    {'chekpoints' if i == 2 else 'checkpoints'}:\n      - random:0\n"
        for i in range(3)
    )
    text = "version: 1\ntitle: t\ndevice: auto\nprecision: float32\n" + "models:\n" + entries
    text += "checks:\n  - metric: activations.dead_fraction\n    max:   lots\n"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ManifestError) as caught:
        load("config.yaml")
    lines = str(caught.value).splitlines()
    assert "config.yaml:16:5  models[2]: unknown key 'chekpoints' (did you mean 'checkpoints'?)" in lines
    assert "config.yaml:20:12 checks[0].max: expected a number, got 'lots'" in lines
    assert lines[-1] == "2 problems; nothing was run."


def test_the_starter_and_its_values_are_valid():
    manifest = parse(starter().encode(), "featreport.yaml")
    assert manifest.models[0].checkpoints == ("weights:IMAGENET1K_V1", "random:0")
    assert manifest.report.max_bytes == 15_000_000
    assert manifest.batch_size is None
    assert manifest.marks["models[0].source"] == (15, 13)


def test_scalars_are_those_of_yaml_1_2():
    args = (
        parse(
            model(
                "args: {a: 1e-3, b: 010, c: no, d: 12:30, e: 0o17, f: 0x1F, g: '1', h: on, i: ~, j: true}"
            ).encode(),
            "c",
        )
        .models[0]
        .args
    )
    assert args == {
        "a": 1e-3,
        "b": 10,
        "c": "no",
        "d": "12:30",
        "e": 15,
        "f": 31,
        "g": "1",
        "h": "on",
        "i": None,
        "j": True,
    }


def test_anchors_and_aliases_of_whole_values_work():
    text = HEAD + "images: &i [a.png]\n"
    text += "transform: {mean: &m [1, 2, 3], std: *m}\n"
    assert parse(text.encode(), "c").transform.std == (1.0, 2.0, 3.0)


def test_everything_of_version_1_is_read():
    text = model(
        "images: {paths: [a, 'package:x/y.png'], limit: 3}\n    layers: {include: [a.*]}\n    transform: none"
    )
    text += "title: t\noutput: o.html\ndevice: cuda:1\nprecision: float16\nbatch_size: 3\nreport: {max_bytes: 500KB}\n"
    manifest = parse(("\ufeff" + text).encode(), "c")
    assert manifest.report.max_bytes == 500_000
    assert (manifest.device, manifest.batch_size, manifest.models[0].images.limit) == ("cuda:1", 3, 3)


@pytest.mark.parametrize("path", ["missing.yaml", ".", "a\0b"])
def test_a_file_that_cannot_be_read_is_one_line(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ManifestError, match="nothing was run"):
        load(path)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 60_000,
        "- " * 60_000,
        "{a: " * 60_000,
        "? " * 60_000,
        "\n".join(["a: &a0 [x]", *(f"b{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30))]),
    ],
)
def test_bombs_are_refused_cheaply(text):
    assert len(complaints(text)) == 1


def test_every_section_of_the_schema_suggests_its_keys():
    sections = {
        kind for kind in vars(schema).values() if isinstance(kind, type) and issubclass(kind, schema.Section)
    }
    assert sections - {schema.Section, schema.Manifest} == set(SECTIONS.values())


def test_the_json_schema_describes_every_key():
    described = json_schema()
    parts = [described, *described["$defs"].values()]
    assert all(
        "description" in value or "$ref" in value for part in parts for value in part["properties"].values()
    )
    assert "pydantic" not in json.dumps(described)


def test_reading_a_manifest_does_not_import_torch():
    code = "import sys, featreport.manifest, featreport.plan; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@given(st.one_of(st.text(), st.text("[]{}:-,&*!|>'\"\n \t#%@a1?<", max_size=60), st.binary()))
@settings(max_examples=300, deadline=None)
def test_no_text_can_crash_the_reader(text):
    content = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    for whole in (content, HEAD.encode() + content):
        try:
            parse(whole, "c.yaml")
        except ManifestError as error:
            said = str(error)
        else:
            said = ""
        assert "pydantic" not in said


_KEYS = st.sampled_from(sorted({key for section in SECTIONS.values() for key in section.model_fields}))
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=5),
    max_leaves=12,
)


@given(st.dictionaries(_KEYS, _VALUES))
@settings(max_examples=300, deadline=None)
def test_no_structure_can_crash_the_schema(document):
    text = json.dumps({"version": 1, **document})
    try:
        parse(text.encode(), "c.yaml")
    except ManifestError as error:
        said = str(error)
    else:
        said = ""
    assert not any(word in said for word in ("pydantic", "Input should", "not usable here"))
