"""Promises of `source: none`: the tensors of any checkpoint are measured, whatever became of its code."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from torch import nn
from torch.nn.utils import prune

import featreport
from featreport.errors import ManifestError
from featreport.judge import judge
from featreport.results import codec
from featreport.results.schema import Results, Run


def net(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(OrderedDict(conv=nn.Conv2d(3, 4, 3), bn=nn.BatchNorm2d(4), head=nn.Conv2d(4, 5, 1)))


def build(folder: Path, checkpoint: str = "a.pt") -> Results:
    manifest = folder / "config.yaml"
    manifest.write_text(f"version: 1\nmodels:\n  - {{name: m, source: none, checkpoints: [{checkpoint}]}}\n")
    return featreport.build(manifest)


def script(model: nn.Module, path: Path) -> None:
    torch.jit.script(model).save(str(path))


def export(model: nn.Module, path: Path) -> None:
    torch.export.save(torch.export.export(model.eval(), (torch.randn(2, 3, 8, 8),)), path)


WRITERS = {
    "torch zip": lambda model, path: torch.save(model.state_dict(), path),
    "torch legacy": lambda model, path: torch.save(
        {"epoch": 3, "model": model.state_dict()}, path, _use_new_zipfile_serialization=False
    ),
    "safetensors": lambda model, path: safetensors.torch.save_file(model.state_dict(), path),
    "TorchScript": script,
    "torch.export": export,
}


@pytest.mark.parametrize("kind", WRITERS)
def test_every_format_gives_the_numbers_of_its_tensors(tmp_path: Path, kind: str) -> None:
    model = net(seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        WRITERS[kind](model, tmp_path / "a.pt")
    (run,) = build(tmp_path).runs
    assert run.status == "ok"
    assert run.load is not None
    assert run.load.format == kind
    named = dict(model.named_parameters())
    assert {one.name for one in run.weights} == set(named)
    assert {one.name for one in run.buffers} == {name for name, _ in model.named_buffers()}
    for one in run.weights:
        array = named[one.name].detach().double().numpy()
        assert one.shape == list(array.shape)
        assert one.mean == pytest.approx(array.mean(), rel=1e-6)
        assert one.std == pytest.approx(array.std(ddof=1), rel=1e-6)
        assert one.near_zeros == np.count_nonzero(np.abs(array) <= 1e-3)
    kinds = {one.name: one.kind for one in run.weights}
    assert (kinds["conv.weight"], kinds["conv.bias"], kinds["bn.weight"]) == ("weight", "bias", "norm")
    assert run.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert run.activations == []
    (reason,) = run.unmeasured
    assert ("program" in reason.reason) == (kind in {"TorchScript", "torch.export"})


def test_a_page_of_weights_alone_speaks_of_weights(tmp_path: Path) -> None:
    state = net().state_dict()
    state["conv.weight"][1] = 0
    torch.save(state, tmp_path / "a.pt")
    results = build(tmp_path)
    page = (tmp_path / "reports/config.html").read_text()
    assert results.runs[0].weights[0].dead == [1]
    assert "0 images" not in page
    assert "on these 0" not in page
    assert "No network here has a rectifier" not in page
    visible = page.split("<body>")[1].split('<script type="application/json"')[0]
    for word in ("Silent channels", "By depth", "How sure", "evaluation mode without gradients"):
        assert word not in visible
    assert "The tensors of 1 checkpoint were read as data and measured without a network." in visible
    assert codec.decode(page, "page").runs[0].source == "none"


def test_half_precision_is_measured_as_stored(tmp_path: Path) -> None:
    torch.save(
        {name: t.half() if t.is_floating_point() else t for name, t in net().state_dict().items()},
        tmp_path / "a.pt",
    )
    run = build(tmp_path).runs[0]
    assert {one.dtype for one in run.weights} == {"float16"}


def failure(run: Run) -> str:
    assert run.error is not None
    return f"{run.error.message} → {run.error.hint}"


def test_two_state_dicts_of_one_shape_must_be_told_apart(tmp_path: Path) -> None:
    torch.save({"model": net(1).state_dict(), "model_ema": net(2).state_dict()}, tmp_path / "a.pt")
    message = failure(build(tmp_path).runs[0])
    assert (
        "holds 2 state dicts of the same names and shapes, with different numbers: model, model_ema"
        in message
    )
    assert "key: model_ema" in message
    run = build(tmp_path, "{path: a.pt, key: model_ema}").runs[0]
    assert run.load is not None
    assert (run.load.key, run.load.alternatives) == ("model_ema", ["model"])


def test_a_file_without_tensors_says_what_it_holds(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "a.pt")
    assert "a.pt holds no state dict" in failure(build(tmp_path).runs[0])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("checkpoints: [random:0]", "source: none needs a file, got 'random:0'"),
        (
            "checkpoints: [a.pt], args: {a: 1}",
            "source: none measures the tensors of files alone: remove 'args'",
        ),
        ("checkpoints: [a.pt], images: [x.png]", "remove 'images'"),
    ],
)
def test_what_says_nothing_without_a_model_is_refused(tmp_path: Path, line: str, message: str) -> None:
    torch.save(net().state_dict(), tmp_path / "a.pt")
    (tmp_path / "config.yaml").write_text(f"version: 1\nmodels:\n  - {{name: m, source: none, {line}}}\n")
    with pytest.raises(ManifestError) as caught:
        featreport.build(tmp_path / "config.yaml")
    assert message in str(caught.value)


def build_of(folder: Path, content: object, checkpoint: str = "a.pt") -> Run:
    torch.save(content, folder / "a.pt")
    return build(folder, checkpoint).runs[0]


def test_a_pruned_weight_is_measured_with_its_mask_and_the_mask_is_no_weight(tmp_path: Path) -> None:
    model = net()
    prune.l1_unstructured(model.conv, "weight", 0.5)
    run = build_of(tmp_path, model.state_dict())
    assert run.load is not None
    assert run.load.applied == ["pruning mask multiplied in: 1 tensor"]
    found = {one.name: one for one in run.weights}
    assert found["conv.weight"].zeros == 54
    assert found["conv.weight"].kind == "weight"
    assert not {"conv.weight_orig", "conv.weight_mask"} & set(found)
    assert run.parameters == sum(parameter.numel() for parameter in net().parameters())


def test_weight_norm_is_multiplied_in(tmp_path: Path) -> None:
    model = net()
    nn.utils.parametrizations.weight_norm(model.head)
    run = build_of(tmp_path, model.state_dict())
    found = {one.name: one for one in run.weights}
    assert found["head.weight"].max == pytest.approx(model.head.weight.detach().max().item())
    assert found["head.weight"].shape == [5, 4, 1, 1]
    assert not any("parametrizations" in name for name in found)


def averaged(seed: int) -> dict[str, torch.Tensor]:
    return torch.optim.swa_utils.AveragedModel(net(seed)).state_dict()


def halved(seed: int) -> dict[str, torch.Tensor]:
    return {name: t.half() if t.is_floating_point() else t for name, t in net(seed).state_dict().items()}


TWINS = {
    "in half precision": halved,
    "in another order": lambda seed: dict(reversed(net(seed).state_dict().items())),
    "of an averaged model": averaged,
    "with a wrapper's prefix": lambda seed: {f"module.{k}": v for k, v in net(seed).state_dict().items()},
}


@pytest.mark.parametrize("kind", TWINS)
def test_a_second_state_dict_of_the_same_network_must_be_told_apart(tmp_path: Path, kind: str) -> None:
    run = build_of(tmp_path, {"model": net(1).state_dict(), "ema": TWINS[kind](2)})
    assert "holds 2 state dicts of the same names and shapes" in failure(run)
    for key in ("model", "ema"):
        assert f"key: {key}" in failure(run)


def test_the_same_numbers_twice_need_no_choice_even_where_they_are_no_numbers(tmp_path: Path) -> None:
    state = net().state_dict()
    state["conv.weight"][0] = float("nan")
    run = build_of(tmp_path, {"model": state, "again": {name: t.clone() for name, t in state.items()}})
    assert run.status == "ok"


def test_the_largest_state_dict_is_measured_and_the_others_are_named(tmp_path: Path) -> None:
    content = {"generator": net().state_dict(), "critic": nn.Linear(3, 2).state_dict(), "epoch": 3}
    load = build_of(tmp_path, content).load
    assert load is not None
    assert (load.key, load.alternatives, load.facts["epoch"]) == ("generator", ["critic"], "3")


def test_batch_norms_that_never_saw_a_batch_are_named(tmp_path: Path) -> None:
    load = build_of(tmp_path, net().state_dict()).load
    assert load is not None
    assert load.idle_norms == ["bn"]


def test_what_a_file_may_lack_says_nothing_without_a_model(tmp_path: Path) -> None:
    torch.save(net().state_dict(), tmp_path / "a.pt")
    with pytest.raises(ManifestError, match=r"no model that a file could differ from: remove 'strict'"):
        build(tmp_path, "{path: a.pt, strict: false}")


def test_state_dicts_that_were_not_measured_are_a_note(tmp_path: Path) -> None:
    torch.save({"generator": net().state_dict(), "critic": nn.Linear(3, 2).state_dict()}, tmp_path / "a.pt")
    texts = [finding.text for finding in judge(build(tmp_path)).findings]
    assert "1 other state dict of the file not measured: critic." in texts


def test_a_verdict_over_networks_and_weights_says_how_many_are_which(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "from torch import nn\n"
        "def make():\n"
        "    layer = nn.Conv2d(3, 4, 3)\n"
        "    nn.init.constant_(layer.bias, -99)\n"
        "    return nn.Sequential(layer, nn.ReLU())\n"
    )
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    torch.save(net().state_dict(), tmp_path / "a.pt")
    (tmp_path / "config.yaml").write_text(
        "version: 1\nimages: [a.png]\ntransform: none\nmodels:\n"
        "  - {name: n, source: 'python:net.py:make', checkpoints: [random:0, random:1]}\n"
        "  - {name: m, source: none, checkpoints: [a.pt]}\n"
    )
    sentence = judge(featreport.build(tmp_path / "config.yaml")).sentence
    assert sentence.startswith(
        "3 runs: 2 over 1 image, 1 of weights alone. Both networks have silent channels"
    )
