"""A dozen architectures: every tap on, and yet the plain forward bit for bit (all of them: benchmarks/)."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from featreport.collect.layout import Layouts
from runs import pictures, run_module


def script() -> ModuleType:
    path = Path(__file__).parent.parent / "benchmarks" / "architectures.py"
    spec = importlib.util.spec_from_file_location("architectures", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["architectures"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BENCH = script()
CASES = {case.name: case for case in BENCH.cases()}
FEW = {  # at least so many taps of functions: residual sums, gates, concatenations, activations, attention
    "alexnet": 0,
    "inception_v3": 94,
    "googlenet": 57,
    "densenet121": 58,
    "mobilenet_v3_small": 15,
    "efficientnet_b0": 25,
    "swin_t": 60,
    "vit_b_32": 24,
    "deeplabv3_mobilenet_v3_large": 10,
    "fasterrcnn_mobilenet_v3_large_320_fpn": 4,
    "r3d_18": 8,
    "timm:nfnet_l0": 12,
    "timm:skresnet18": 8,
    "timm:pvt_v2_b0": 16,
}


@pytest.mark.parametrize("name", FEW)
def test_an_architecture_is_measured_without_being_touched(name: str) -> None:
    row = BENCH.measure(CASES[name])
    assert row.error == ""
    assert row.proof.output_identical is True
    assert row.proof.state_unchanged is True
    assert row.proof.hooks_left == 0
    assert row.taps > 20
    assert row.astray == []
    assert row.known > row.taps / 4
    assert row.functional >= FEW[name]


def test_channels_on_another_axis_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Layouts, "_channel", lambda self, module, width, output, *_: output.ndim - 1)
    row = BENCH.measure(CASES["alexnet"])
    assert row.error == ""
    assert row.known == 15
    assert {"features.0 (call 0)", "features.1 (call 0)", "features.3 (call 0)"} <= set(row.astray)
    assert not row.faithful
    assert f"| {15 - len(row.astray)} of 15 |" in BENCH.line(row)


def test_the_table_covers_torchvision_and_forty_of_timm() -> None:
    import torchvision

    every = torchvision.models.list_models(module=torchvision.models)
    every += torchvision.models.list_models(module=torchvision.models.segmentation)
    every += torchvision.models.list_models(module=torchvision.models.detection)
    assert set(every) <= set(CASES)
    assert len([name for name in CASES if name.startswith("timm:")]) >= 40


def test_what_cannot_run_is_a_row_with_its_reason() -> None:
    from torch import nn

    def build() -> nn.Module:
        raise RuntimeError("no | such\nthing")

    row = BENCH.measure(BENCH.Case("broken", "none", build, BENCH.images))
    assert (row.faithful, row.error) == (False, "RuntimeError: no | such thing")
    assert BENCH.line(row).count("|") == BENCH.line(BENCH.measure(CASES["alexnet"])).count("|")


@pytest.mark.parametrize("size", [1, 2])
def test_a_detector_runs_from_a_manifest(tmp_path: Path, size: int) -> None:
    code = """
import torchvision
def make():
    return torchvision.models.detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None)
"""
    run = run_module(code, tmp_path, pictures(tmp_path, 3, (64, 64)), batch_size=size).run
    assert run.status == "ok", run.error
    assert run.images.count == 3
    assert "The network takes a list of images: each batch was handed to it as one." in run.notes
    assert run.faithfulness is not None
    assert run.faithfulness.output_identical is True
    heads = [a for a in run.activations if a.layer.startswith("head.")]
    assert heads
    assert all(a.images == 3 for a in heads)
    assert not any("clamp" in a.layer or "softmax" in a.layer for a in run.activations)  # of boxes and scores
    assert {"(model)", "transform", "anchor_generator"} <= {u.layer for u in run.unmeasured}
