"""`featreport diff --checkpoints`: drift and the cosine of every filter are the exact ones, or said not to be."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn.utils import prune
from typer.testing import CliRunner

import featreport
from comparisons import canonical, mirrored, near
from featreport.checkpoints import find
from featreport.cli import app
from featreport.differences import diff, read
from featreport.errors import ManifestError
from featreport.judge.compare import Comparison, RunChange, WeightChange
from featreport.judge.compare.lines import nearly
from featreport.report.differences import render as in_html
from featreport.report.markdown import markdown
from featreport.results.codec import encode
from featreport.statistics.weights.apart import apart

NET = """
import torch
from torch import nn

class Deconvolution(nn.ConvTranspose2d):
    pass

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.up = nn.ConvTranspose2d(16, 8, 3, groups=2, padding=1)
        self.same = Deconvolution(8, 8, 3, padding=1)
        self.fc = nn.Linear(8, 70)
        self.table = nn.Parameter(torch.ones(5, 40))

    def forward(self, x):
        x = self.same(self.up(self.norm(self.conv(x)).relu()).relu())
        return self.fc(x.mean((2, 3)))
"""
MANIFEST = """version: 1
output: {name}.html
images: [../photo.png]
transform: {{size: [16, 16]}}
models:
  - {{name: net, source: "python:../net.py:Net", checkpoints: [{{name: last, path: {path}{more}}}]}}
"""


def state(seed: int) -> dict[str, torch.Tensor]:
    space: dict[str, object] = {}
    exec(NET, space)
    torch.manual_seed(seed)
    net = space["Net"]()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn_like(parameter))
    return net.state_dict()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "net.py").write_text(NET)
    from PIL import Image

    Image.fromarray(np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8)).save(
        tmp_path / "photo.png"
    )
    for side in "ab":
        (tmp_path / side).mkdir()
    return tmp_path


def build(folder: Path, name: str, saved: object, more: str = "") -> None:
    torch.save(saved, folder / f"{name}.pt")
    (folder / f"{name}.yaml").write_text(MANIFEST.format(name=name, path=f"{name}.pt", more=more))
    run = featreport.build(folder / f"{name}.yaml").runs[0]
    assert run.status == "ok", run.error


def compared(project: Path, *places: Path) -> Comparison:
    return diff(project / "a/net.html", project / "b/net.json", checkpoints=places or (project,))


def the_run(found: Comparison) -> RunChange:
    return found.runs[0]


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def check(row: WeightChange, one: torch.Tensor, other: torch.Tensor, axis: tuple[int, ...] | None) -> None:
    """Hold a row against NumPy's float64; `axis`: the groups, and the axis of the output channels within one."""
    a, b = one.double().numpy(), other.double().numpy()
    drift = row.drift
    assert drift.at_hand
    assert drift.distance == pytest.approx(np.linalg.norm(a - b), rel=1e-12)
    assert drift.norm_before == pytest.approx(np.linalg.norm(a), rel=1e-12)
    assert drift.norm_after == pytest.approx(np.linalg.norm(b), rel=1e-12)
    assert drift.relative == pytest.approx(np.linalg.norm(a - b) / np.linalg.norm(a), rel=1e-12)
    assert drift.relative_after == pytest.approx(np.linalg.norm(a - b) / np.linalg.norm(b), rel=1e-12)
    assert drift.cosine == pytest.approx(cosine(a, b), abs=1e-12)
    assert drift.relative_error == drift.cosine_error == 0
    if axis is None:
        assert drift.filters is None
        return
    groups, along = axis
    rows = [
        np.take(part, channel, along)
        for side in (a, b)
        for part in np.split(side, groups)
        for channel in range(side.shape[along] if along else side.shape[0])
    ]
    half = len(rows) // 2
    assert drift.filters == pytest.approx(list(map(cosine, rows[:half], rows[half:])), abs=1e-12)


def test_with_both_checkpoints_at_hand_the_drift_is_exact_and_every_filter_has_its_cosine(
    project: Path,
) -> None:
    one, other = state(1), state(2)
    build(project / "a", "net", one)
    build(project / "b", "net", other)
    found = compared(project)
    rows = {row.after: row for row in the_run(found).weights}
    axes = {"conv.weight": (1, 0), "up.weight": (2, 1), "same.weight": (1, 1), "fc.weight": (1, 0)}
    assert {*rows} == {name for name in one if "running" not in name and "num_batches" not in name}
    for name, row in rows.items():
        check(row, one[name], other[name], axes.get(name))
    assert (
        f"Drift of {len(rows)} of {len(rows)} tensors is exact, from both checkpoints."
        in the_run(found).notes
    )


def test_another_folder_another_name_or_another_key_makes_no_difference(project: Path) -> None:
    """What the tensors were called, and where they lay in the file, is not what tells them."""
    states = [state(seed) for seed in (1, 2)]
    nested = {
        "epoch": 3,
        "model": state(9),
        "ema": {f"module.{name}": value for name, value in states[0].items()},
    }
    build(project / "a", "net", nested, more=", key: ema")
    build(project / "b", "net", states[1])
    kept = project / "kept" / "deep"
    kept.mkdir(parents=True)
    shutil.move(project / "a/net.pt", kept / "epoch-3.ckpt")
    shutil.move(project / "b/net.pt", kept / "final.pth")
    found = the_run(compared(project, project / "kept"))
    assert all(row.drift.at_hand for row in found.weights)
    row = next(row for row in found.weights if row.after == "fc.weight")
    check(row, states[0]["fc.weight"], states[1]["fc.weight"], (1, 0))
    files = the_run(compared(project, kept / "final.pth", kept / "epoch-3.ckpt"))
    assert files == found


def test_pruned_and_half_precision_tensors_are_taken_as_they_were_measured(project: Path) -> None:
    space: dict[str, object] = {}
    exec(NET, space)
    torch.manual_seed(3)
    net = space["Net"]()
    prune.l1_unstructured(net.conv, "weight", 0.5)
    half = {name: value.half() if value.is_floating_point() else value for name, value in state(4).items()}
    build(project / "a", "net", net.state_dict())
    build(project / "b", "net", half)
    rows = {row.after: row for row in the_run(compared(project)).weights}
    check(rows["conv.weight"], net.conv.weight.detach(), half["conv.weight"], (1, 0))
    check(rows["up.weight"], net.up.weight.detach(), half["up.weight"], (2, 1))


def test_a_checkpoint_that_is_not_there_leaves_estimates_and_that_is_said(project: Path) -> None:
    build(project / "a", "net", state(1))
    build(project / "b", "net", state(2))
    without = the_run(diff(project / "a/net.html", project / "b/net.json"))
    torch.save(state(5), project / "b/net.pt")  # training went on: the same name and size, other numbers
    found = the_run(compared(project))
    said = [
        note
        for note in found.notes
        if note.startswith("Drift is not taken from checkpoints: net.pt (sha256 ")
    ]
    assert len(said) == 1
    assert said[0].endswith(f"…) of net/last is not in {project} (in B).")
    nothing = the_run(compared(project, project / "net.py")).notes[-1]
    assert nothing.count(f"of net/last is not in {project / 'net.py'}") == 2
    assert found.weights == without.weights
    assert not any(row.drift.at_hand for row in found.weights)


def test_a_run_that_was_read_from_no_file_is_estimated(project: Path) -> None:
    manifest = MANIFEST.replace("{{name: last, path: {path}{more}}}", "random:{path}")
    for side in "ab":
        (project / side / "net.yaml").write_text(manifest.format(name="net", path="ab".index(side)))
        featreport.build(project / side / "net.yaml")
    found = diff(
        project / "a/net.html",
        project / "b/net.json",
        mapped=["net/random-0=net/random-1"],
        checkpoints=[project],
    )
    assert any(
        "was read from no file (in A)" in note and "was read from no file (in B)" in note
        for note in the_run(found).notes
    )


def test_a_file_that_cannot_be_read_any_more_is_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from featreport.checkpoints import reading
    from featreport.errors import CheckpointError

    build(project / "a", "net", state(1))
    build(project / "b", "net", state(2))

    def broken(path: Path) -> None:
        raise CheckpointError(f"{path.name} does not fit into memory", "save the state dict alone")

    monkeypatch.setattr(reading, "read", broken)
    assert any("does not fit into memory (in A); " in note for note in the_run(compared(project)).notes)


def test_the_same_checkpoint_on_both_sides_has_not_moved(project: Path) -> None:
    for side in "ab":
        build(project / side, "net", state(1))
    found = the_run(compared(project))
    assert not found.differs
    for row in found.weights:
        assert (row.drift.distance, row.drift.relative, row.drift.cosine) == (0, 0, 1)
        assert {*(row.drift.filters or [1])} == {1}


def test_from_the_other_side_it_is_mirrored(project: Path) -> None:
    build(project / "a", "net", state(1))
    build(project / "b", "net", state(2))
    there = compared(project)
    back = diff(project / "b/net.json", project / "a/net.html", checkpoints=[project])
    assert near(canonical(mirrored(there)), canonical(back))
    assert all(row.drift.at_hand for row in the_run(back).weights)


def test_sharded_and_safetensors_checkpoints_are_found_too(project: Path) -> None:
    one, other = state(1), state(2)
    names = list(one)
    shards = {"net-1.safetensors": names[:5], "net-2.safetensors": names[5:]}
    for file, some in shards.items():
        save_file({name: one[name] for name in some}, project / "a" / file)
    index = {"weight_map": {name: file for file, some in shards.items() for name in some}}
    (project / "a/net.safetensors.index.json").write_text(json.dumps(index))
    save_file(other, project / "b/net.safetensors")
    for side, path in (("a", "net.safetensors.index.json"), ("b", "net.safetensors")):
        (project / side / "net.yaml").write_text(MANIFEST.format(name="net", path=path, more=""))
        featreport.build(project / side / "net.yaml")
    rows = {row.after: row for row in the_run(compared(project)).weights}
    check(rows["up.weight"], one["up.weight"], other["up.weight"], (2, 1))


def test_filters_that_are_all_zeros_have_no_cosine_and_huge_and_tiny_values_have_one() -> None:
    one = torch.tensor([[3e200, 4e200], [0, 0], [1e200, 0]], dtype=torch.float64)
    other = torch.tensor([[4e200, 3e200], [1, 1], [-1e200, 0]], dtype=torch.float64)
    found = apart(one, other)
    assert found.rows == [pytest.approx(0.96), None, -1.0]
    assert found.distance == pytest.approx(1e200 * 6**0.5)
    whole = torch.tensor([[3, 4], [0, 0], [1, 0]], dtype=torch.int8)
    assert apart(whole, whole.flip(1)).rows == [pytest.approx(0.96), None, 0.0]
    for mine, theirs in ((1e-200, 1e-200), (1e-180, 1.0)):  # in steps: 1e-360 is 0
        tiny = apart(one * mine * 1e-160, other * theirs * 1e-160)
        assert tiny.rows == [pytest.approx(0.96), None, -1.0]
        assert tiny.norms[0] == pytest.approx(mine * 1e40 * 26**0.5, rel=1e-9)


def test_wide_and_tall_tensors_are_summed_in_pieces_to_the_same_numbers() -> None:
    torch.manual_seed(0)
    for shape in ((3, 1_500_000), (700_000, 3)):
        one, other = torch.randn(shape), torch.randn(shape)
        found = apart(one, other)
        a, b = one.double(), other.double()
        assert found.distance == pytest.approx(float((a - b).norm()), rel=1e-12)
        expected = (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1))
        assert found.rows == pytest.approx(expected.tolist(), abs=1e-12)


def alone(folder: Path, saved: object, name: str = "net") -> None:
    """Build a report of a file's tensors without a network."""
    if saved is not None:
        torch.save(saved, folder / f"{name}.pt")
    text = (
        f"version: 1\noutput: {name}.html\n"
        f"models: [{{name: net, source: none, checkpoints: [{{name: last, path: {name}.pt}}]}}]\n"
    )
    (folder / f"{name}.yaml").write_text(text)
    run = featreport.build(folder / f"{name}.yaml").runs[0]
    assert run.status == "ok", run.error


def test_where_only_one_side_knows_the_network_the_whole_tensor_is_compared_and_no_filter_guessed(
    project: Path,
) -> None:
    one, other = state(1), state(2)
    build(project / "a", "net", one)
    alone(project / "b", other)
    rows = {row.after: row for row in the_run(compared(project)).weights}
    for name in ("up.weight", "same.weight"):
        check(rows[name], one[name], other[name], None)
    check(rows["conv.weight"], one["conv.weight"], other["conv.weight"], (1, 0))


def test_the_axis_of_a_transposed_convolution_is_known_whatever_its_class_is_called(project: Path) -> None:
    """Of an orthogonal matrix rows and columns have the same norms: only the network tells which are filters."""
    states = [state(1), state(2)]
    for saved in states:
        torch.nn.init.orthogonal_(saved["same.weight"].view(8, -1)[:, :8])
        saved["same.weight"].copy_(torch.sign(saved["same.weight"]))
    for side, saved in zip("ab", states, strict=True):
        build(project / side, "net", saved)
    row = next(row for row in the_run(compared(project)).weights if row.after == "same.weight")
    check(row, states[0]["same.weight"], states[1]["same.weight"], (1, 1))


def test_tensors_of_every_type_and_shape_are_compared_or_said_not_to_be(project: Path) -> None:
    def saved(seed: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(seed)
        nan = torch.randn(4, 5)
        nan[1, 2] = float("nan")
        return {
            "f8.weight": torch.randn(8, 8).to(torch.float8_e4m3fn),
            "bf.weight": torch.randn(6, 11, dtype=torch.bfloat16),
            "none.weight": torch.randn(4, 0, 3, 3),
            "scale": torch.tensor(float(seed)),
            "huge.weight": torch.full((40, 40), 1.7e308, dtype=torch.float64) / seed,
            "complex.weight": torch.randn(9, 9, dtype=torch.complex64),
            "nan.weight": nan,
            "w_orig": torch.randn(3, 3),  # spectral norm's parts, of types that torch does not multiply
            "w_u": torch.randn(3, dtype=torch.float64),
            "w_v": torch.randn(3, dtype=torch.float64),
        }

    sides = saved(1), saved(2)
    for side, tensors in zip("ab", sides, strict=True):
        part = {name: value for name, value in tensors.items() if not name.startswith("w_")}
        torch.save({"model": part, "other": tensors}, project / side / "net.pt")
        (project / side / "net.yaml").write_text(
            "version: 1\noutput: net.html\nmodels: [{name: net, source: none, "
            "checkpoints: [{name: last, path: net.pt, key: model}]}]\n"
        )
        built = featreport.build(project / side / "net.yaml").runs[0]
        assert built.status == "ok", built.error
    run = the_run(compared(project))
    rows = {row.after: row for row in run.weights}
    for name in ("f8.weight", "bf.weight"):
        check(rows[name], sides[0][name], sides[1][name], (1, 0))
    assert rows["scale"].drift.relative == 1
    assert rows["huge.weight"].drift.cosine == pytest.approx(1)
    assert rows["nan.weight"].drift.reason == "there are values that are no numbers"
    said = [note for note in run.notes if note.startswith("Drift of ")]
    assert len(said) == 1
    assert said[0].startswith(
        f"Drift of {len(rows) - 1} of {len(rows)} tensors is exact, from both checkpoints;"
    )
    assert said[0].endswith("; not of 1 with values that are no numbers.")


def test_older_results_without_digests_say_why_nothing_is_exact(project: Path) -> None:
    for side, seed in (("a", 1), ("b", 2)):
        build(project / side, "net", state(seed))
    results = read(project / "a/net.json")
    weights = [one.model_copy(update={"digest": None}) for one in results.runs[0].weights]
    old = results.model_copy(update={"runs": [results.runs[0].model_copy(update={"weights": weights})]})
    (project / "a/old.json").write_text(encode(old))
    run = the_run(diff(project / "a/old.json", project / "b/net.json", checkpoints=[project]))
    assert f"Drift of 0 of {len(weights)} tensors is exact" in run.notes[-1]
    assert f"not of {len(weights)} without a digest, as in older results" in run.notes[-1]


def test_an_index_of_shards_is_found_under_another_name(project: Path) -> None:
    one = state(1)
    names = list(one)
    for side in "ab":
        for file, some in {"x-1.safetensors": names[:5], "x-2.safetensors": names[5:]}.items():
            save_file({name: one[name] for name in some}, project / side / file)
        index = {"weight_map": {n: f"x-{1 + (k >= 5)}.safetensors" for k, n in enumerate(names)}}
        (project / side / "net.safetensors.index.json").write_text(json.dumps(index))
        (project / side / "net.yaml").write_text(
            MANIFEST.format(name="net", path="net.safetensors.index.json", more="")
        )
        featreport.build(project / side / "net.yaml")
        (project / side / "net.safetensors.index.json").rename(project / side / "renamed.json")
    assert all(row.drift.at_hand for row in the_run(compared(project)).weights)


def test_pipes_circles_and_paths_out_of_the_folder_are_no_harm(project: Path) -> None:
    for side, seed in (("a", 1), ("b", 2)):
        build(project / side, "net", state(seed))
    kept = project / "kept"
    kept.mkdir()
    (project / "a/net.pt").rename(kept / "first.pt")
    (project / "b/net.pt").rename(project / "outside.pt")
    os.mkfifo(kept / "net.pt")  # of the right name, and nobody ever writes into it
    (kept / "again").symlink_to(kept, target_is_directory=True)
    results = read(project / "b/net.json")
    run = results.runs[0]
    for path in (str(project / "outside.pt"), "../outside.pt", "x" * 300 + "\nForged line"):
        load = run.load.model_copy(update={"path": path})
        told = results.model_copy(update={"runs": [run.model_copy(update={"load": load})]})
        (project / "b/told.json").write_text(encode(told))
        notes = the_run(diff(project / "a/net.html", project / "b/told.json", checkpoints=[kept])).notes
        assert sum("(in B)" in note and f"is not in {kept}" in note for note in notes) == 1
        assert not any("(in A)" in note or "\n" in note for note in notes)


def test_files_are_hashed_once_however_many_runs_are_compared(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for side in "ab":
        for k in range(4):
            torch.save(state(k + 10 * (side == "b")), project / side / f"old-{k}.pt")
        paths = ", ".join(f"old-{k}.pt" for k in range(4))
        (project / side / "net.yaml").write_text(
            f"version: 1\noutput: net.html\nmodels: [{{name: net, source: none, checkpoints: [{paths}]}}]\n"
        )
        featreport.build(project / side / "net.yaml")
        for k in range(4):
            (project / side / f"old-{k}.pt").rename(project / side / f"new-{side}{(k * 3) % 4}.pt")
    hashed: list[Path] = []
    of_file = find.sha256_of_file
    monkeypatch.setattr(find, "sha256_of_file", lambda path: hashed.append(path) or of_file(path))
    found = compared(project)
    assert len(found.runs) == 4
    assert all(row.drift.at_hand for run in found.runs for row in run.weights)
    assert len(hashed) == len({*hashed}) <= 8


def test_cosines_are_not_rounded_to_one() -> None:
    assert nearly(0.99999998, 4) == "0.99999998"
    assert nearly(-0.99999998, 6) == "−0.99999998"
    assert nearly(1.0, 4) == "1"
    assert nearly(0.123456, 4) == "0.1235"


def test_the_command_and_every_output_tell_what_is_exact(project: Path) -> None:
    build(project / "a", "net", state(1))
    build(project / "b", "net", state(2))
    page = project / "diff.html"
    arguments = ["diff", str(project / "a/net.html"), str(project / "b/net.json"), "--html", str(page)]
    told = CliRunner().invoke(app, [*arguments, "--checkpoints", str(project)])
    assert told.exit_code == 0, told.output
    assert "tensors is exact, from both checkpoints" in " ".join(told.output.split())
    text = page.read_text()
    lowest = {
        name: float(value)
        for name, value in re.findall(
            r'data-weight="([^"]+)".*?data-metric="lowest_filter_cosine" data-value="([^"]+)"', text
        )
    }
    found = compared(project)
    for row in the_run(found).weights:
        if row.drift.filters:
            assert lowest[row.after] == min(row.drift.filters)
    assert text == in_html(found)
    assert "is exact, from both checkpoints" in markdown(found)
    estimated = in_html(diff(project / "a/net.html", project / "b/net.json"))
    assert "lowest_filter_cosine" not in estimated


def test_a_place_that_is_not_there_is_an_error_before_anything_is_read(project: Path) -> None:
    build(project / "a", "net", state(1))
    with pytest.raises(ManifestError, match=r"--checkpoints: expected a file or a folder, got .*nowhere"):
        diff(project / "a/net.html", project / "a/net.html", checkpoints=[project / "nowhere"])
    for wrong in ("x" * 300, "~nobody-of-this-name/x", "/dev/null"):
        with pytest.raises(ManifestError, match="which is neither; name the folder"):
            diff(project / "a/net.html", project / "a/net.html", checkpoints=[wrong])
