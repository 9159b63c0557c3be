"""What a plan promises: every path is found or named, in natural order, without torch."""

from __future__ import annotations

import pytest

from featreport.errors import ManifestError
from featreport.manifest import load, starter
from featreport.plan import Plan, resolve
from featreport.plan.words import describe
from featreport.sources.catalogue import torchvision_models

HEAD = "version: 1\nimages: [images/]\nmodels:\n  - name: a\n    source: torchvision:alexnet\n"


@pytest.fixture
def folder(tmp_path):
    for name in ("images/b10.png", "images/b2.PNG", "images/notes.txt", "images/.c.png", "images/deep/d.jpg"):
        _touch(tmp_path / name)
    for name in ("runs/epoch_10.pt", "runs/epoch_2.pt", "runs/x/best.pt", "runs/y/best.pt", "net.py"):
        _touch(tmp_path / name)
    return tmp_path


def _touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")


def plan(folder, text) -> Plan:
    (folder / "c.yaml").write_text(text, encoding="utf-8")
    return resolve(load(folder / "c.yaml"))


def ids(folder, checkpoints):
    return [run.id for run in plan(folder, HEAD + f"    checkpoints: [{checkpoints}]\n").runs]


def complaints(folder, text):
    with pytest.raises(ManifestError) as caught:
        plan(folder, text)
    return [f"{p.line}:{p.column} {p.sentence}" for p in caught.value.problems]


def test_globs_come_in_natural_order_and_once(folder):
    assert ids(folder, "runs/epoch_*.pt, runs/epoch_2.pt") == ["a/epoch_10", "a/epoch_2"]
    assert ids(folder, "runs/epoch_*.pt") == ["a/epoch_2", "a/epoch_10"]


def test_equal_names_are_told_apart_by_their_folders(folder):
    assert ids(folder, "runs/**/best.pt") == ["a/x/best", "a/y/best"]


def test_every_kind_of_checkpoint_has_a_name(folder):
    written = "random:0, weights:IMAGENET1K_V1, {path: runs/epoch_2.pt, name: two, key: ema}"
    assert ids(folder, written) == ["a/random-0", "a/IMAGENET1K_V1", "a/two"]


def test_what_may_be_missing_or_left_over_reaches_every_file_of_a_glob(folder):
    allowed = "allow_missing: [fc.*], allow_unexpected: [head.*]"
    text = HEAD + f"    checkpoints: [{{path: runs/epoch_*.pt, {allowed}}}, {{path: random:0, name: x}}]\n"
    refs = [run.checkpoint for run in plan(folder, text).runs]
    found = [(ref.strict, ref.allow_missing, ref.allow_unexpected) for ref in refs]
    assert found == [(True, ("fc.*",), ("head.*",))] * 2 + [(True, (), ())]
    text = HEAD + "    checkpoints: [{path: runs/epoch_2.pt, strict: false}]\n"
    assert plan(folder, text).runs[0].checkpoint.strict is False


def test_a_folder_gives_its_own_images_in_natural_order(folder):
    run = plan(folder, HEAD + "    checkpoints: [random:0]\n").runs[0]
    assert [image.name for image in run.images] == ["images/b2.PNG", "images/b10.png"]
    assert all(image.path.is_absolute() for image in run.images)


def test_an_image_named_outright_is_taken_and_limit_applies(folder):
    text = HEAD.replace("[images/]", "{paths: [images/notes.txt, 'images/**/*', images/], limit: 3}")
    run = plan(folder, text + "    checkpoints: [random:0]\n").runs[0]
    assert [image.name for image in run.images] == ["images/notes.txt", "images/b2.PNG", "images/b10.png"]


def test_an_absolute_path_never_reaches_the_report(folder):
    text = HEAD.replace("images/]", f"{folder}/images/b2.PNG]")
    assert plan(folder, text + "    checkpoints: [random:0]\n").runs[0].images[0].name == "images/b2.PNG"


def test_a_file_of_a_distribution_is_found(folder):
    text = HEAD.replace("images/]", "'package:matplotlib/matplotlib/mpl-data/images/matplotlib.p?g']")
    image = plan(folder, text + "    checkpoints: [random:0]\n").runs[0].images[0]
    assert image.name == "package:matplotlib/matplotlib/mpl-data/images/matplotlib.png"
    assert image.path.is_file()


def test_defaults_are_filled_in(folder):
    result = plan(folder, HEAD + "    checkpoints: [random:0, weights:IMAGENET1K_V1]\n")
    assert result.output == folder / "reports" / "c.html"
    assert (result.title, result.max_bytes, result.shown_images) == ("c", 15_000_000, 4)
    first, second = (run.transform for run in result.runs)
    assert (first.kind, first.resize, first.mean) == ("spec", 256, (0.485, 0.456, 0.406))
    assert (second.kind, second.weights) == ("weights", "IMAGENET1K_V1")
    assert "resize the shorter side to 256 (bilinear), crop the centre 224 × 224" in first.text


def test_the_transform_weights_of_a_file_is_that_of_the_default_weights(folder):
    run = plan(folder, HEAD + "    checkpoints: [runs/epoch_2.pt]\n    transform: weights\n").runs[0]
    assert (run.transform.weights, run.transform.text) == (
        "DEFAULT",
        "as published with the default weights of alexnet",
    )


def test_one_number_of_the_transform_counts_for_every_channel(folder):
    text = HEAD + "    checkpoints: [random:0]\n    transform: {size: [4, 5], mean: 0.5}\n"
    spec = plan(folder, text).runs[0].transform
    assert (spec.size, spec.mean, spec.std) == ((4, 5), (0.5, 0.5, 0.5), (1.0, 1.0, 1.0))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("mean: [0.49139968, 0.48215841, 0.44653091]", "mean [0.49139968, 0.48215841, 0.44653091]"),
        ("mean: [0.1, 0.10000001, 0.1], std: 1", "mean [0.1, 0.10000001, 0.1], std 1"),
        ("mean: 123.6751234, std: 58.395", "mean 123.6751234, std 58.395"),
        ("mean: 0, std: 0.3333333333333333", "mean 0, std 0.3333333333333333"),
        ("mean: -0.25, std: 0.00001", "mean -0.25, std 1e-05"),
    ],
)
def test_numbers_of_the_transform_are_told_with_every_digit_and_none_more(folder, written, said):
    text = HEAD + f"    checkpoints: [random:0]\n    transform: {{size: [4, 5], {written}}}\n"
    spec = plan(folder, text).runs[0].transform
    assert f"scale to [0, 1], {said}" in spec.text


def test_thresholds_are_planned_with_every_digit(folder):
    text = HEAD + "    checkpoints: [random:0]\nstatistics: {dead: 0.12345678, near_zero: 0.001}\n"
    assert "  dead |a| ≤ 0.12345678, near zero |x| ≤ 0.001" in describe(plan(folder, text))


def test_python_sources_are_found(folder):
    text = HEAD.replace("torchvision:alexnet", "python:net.py:Net.make") + "    checkpoints: [random:0]\n"
    source = plan(folder, text).runs[0].source
    assert (source.kind, source.file, source.name) == ("python-file", folder / "net.py", "Net.make")
    source = plan(folder, text.replace("net.py", "json.decoder")).runs[0].source
    assert (source.kind, source.module) == ("python-module", "json.decoder")


def test_a_glob_works_below_a_folder_with_brackets(folder):
    home = folder / "run [1]"
    _touch(home / "images" / "a.png")
    run = plan(home, HEAD.replace("images/", "'images/*'") + "    checkpoints: [random:0]\n").runs[0]
    assert [image.name for image in run.images] == ["images/a.png"]


@pytest.mark.parametrize("path", ["~nobody_here/x.png", "'['", "'**'", "a" * 5000, "'é\U0001f600*'"])
def test_odd_paths_are_problems_and_not_crashes(folder, path):
    text = HEAD.replace("images/", path) + "    checkpoints: [random:0]\n"
    try:
        plan(folder, text)
    except ManifestError as error:
        problems = error.problems
    else:
        problems = ()
    assert len(problems) <= 1


def test_the_starter_needs_only_images(folder):
    assert len(plan(folder, starter()).runs) == 2


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("images/]", "imges/]", "2:10 images[0]: no such file or folder 'imges/' (did you mean 'images'?)"),
        ("images/]", "'no/*.png']", "2:10 images[0]: the glob 'no/*.png' matches no file"),
        ("images: [images/]\n", "", "3:5 models[0]: no images: add 'images' here or at the top level"),
        (
            "alexnet",
            "alexnt",
            "5:13 models[0].source: torchvision has no model 'alexnt' (did you mean 'alexnet'?)",
        ),
        (
            "torchvision:alexnet",
            "python:nt.py:N",
            "5:13 models[0].source: no such file or folder 'nt.py' (did you mean 'net.py'?)",
        ),
        (
            "torchvision:alexnet",
            "python:nowhere_xyz.a:N",
            (
                "5:13 models[0].source: no module 'nowhere_xyz' is installed"
                " (a file beside the manifest: python:nowhere_xyz.py:NAME)"
            ),
        ),
        (
            "random:0",
            "weights:V9",
            "6:19 models[0].checkpoints[0]: expected IMAGENET1K_V1 or DEFAULT for alexnet, got 'V9'",
        ),
        (
            "random:0",
            "runs",
            "6:19 models[0].checkpoints[0]: expected a file or a glob such as 'runs/*.pt', got a folder",
        ),
        (
            "random:0",
            "{path: 'runs/e*', name: x}",
            (
                "6:26 models[0].checkpoints[0].path: a name stands for one checkpoint,"
                " but 'runs/e*' matches 2 files"
            ),
        ),
        (
            "random:0",
            "{path: random:0, name: x}, {path: runs/x/best.pt, key: a}, {path: runs/x/best.pt, key: b}",
            (
                "6:85 models[0].checkpoints[2].path: two checkpoints would both be the run 'a/best':"
                " give one a 'name'"
            ),
        ),
        (
            "random:0",
            "package:matplotlibb/x.pt",
            (
                "6:19 models[0].checkpoints[0]: the distribution 'matplotlibb' is not installed"
                " (did you mean 'matplotlib'?): pip install matplotlibb"
            ),
        ),
        (
            "version: 1",
            "version: 1\noutput: a.txt",
            "2:9 output: expected a file that ends in .html, got 'a.txt'",
        ),
        (
            "random:0]",
            "random:0]\n    transform: python:no.py:f",
            "7:16 models[0].transform: no such file or folder 'no.py' (did you mean 'net.py'?)",
        ),
    ],
)
def test_each_path_that_leads_nowhere_has_its_line(folder, old, new, expected):
    assert complaints(folder, (HEAD + "    checkpoints: [random:0]\n").replace(old, new)) == [expected]


def test_all_problems_come_at_once(folder):
    text = HEAD.replace("images/]", "no.png, images/notes.txt, nope.png]") + "    checkpoints: [a.pt, b.pt]\n"
    assert len(complaints(folder, text)) == 4


def test_the_catalogue_is_torchvisions_own():
    from torchvision import models

    known = torchvision_models()
    assert list(known) == sorted(models.list_models())
    for name in models.list_models():
        assert list(known[name]) == [weights.name for weights in models.get_model_weights(name)]
