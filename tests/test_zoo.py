"""A zoo of tiny networks whose answers are known exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from featreport.collect.taps import Taps
from featreport.results.schema import Activation, Run
from runs import pictures, run_module

HEAD = """
import torch, dataclasses
from torch import nn
import torch.nn.functional as F

def identity(channels=3, bias=None):
    conv = nn.Conv2d(channels, channels, 1, bias=bias is not None)
    nn.init.dirac_(conv.weight)
    if bias is not None:
        conv.bias.data = torch.tensor(bias)
    return conv
"""


def ok(run: Run) -> Run:
    assert run.status == "ok", run.error
    return run


def tap(run: Run, layer: str, call: int = 0, output: str | None = None) -> Activation:
    found = [a for a in run.activations if (a.layer, a.call, a.output) == (layer, call, output)]
    assert len(found) == 1, [(a.layer, a.call, a.output) for a in run.activations]
    return found[0]


def inputs(folder: Path, count: int) -> np.ndarray:
    from PIL import Image

    return (
        np.stack(
            [np.asarray(Image.open(folder / f"picture_{i}.png")).transpose(2, 0, 1) for i in range(count)]
        )
        / 255
    )


def test_an_inplace_relu_does_not_change_what_was_measured_before_it(tmp_path: Path) -> None:
    refs = pictures(tmp_path, 3)
    code = HEAD + "def make(): return nn.Sequential(identity(bias=[-0.5, -2.0, 0.0]), nn.ReLU(inplace=True))"
    run = ok(run_module(code, tmp_path, refs).run)
    x = inputs(tmp_path, 3) + np.array([-0.5, -2.0, 0.0]).reshape(1, 3, 1, 1)
    conv, relu = tap(run, "0"), tap(run, "1")
    assert conv.min is not None
    assert conv.min < -1.5
    assert conv.mean == pytest.approx(x.mean(), rel=1e-6)
    assert conv.std == pytest.approx(x.std(), rel=1e-6)
    assert relu.min == 0.0
    assert relu.mean == pytest.approx(np.maximum(x, 0).mean(), rel=1e-6)
    assert (conv.dead, relu.dead) == ([], [1])  # dead by bias, at the rectifier only
    assert not conv.rectifier
    assert relu.rectifier
    assert run.summary is not None
    assert (run.summary.dead_channels, run.summary.channels, run.summary.dead_fraction) == (1, 3, 1 / 3)


def test_a_relu_called_three_times_is_three_rows(tmp_path: Path) -> None:
    code = (
        HEAD
        + """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.relu = nn.ReLU(inplace=True)
        self.wide = nn.Conv2d(3, 5, 1)
    def forward(self, x):
        x = self.relu(x - 0.5)
        x = self.relu(self.wide(x))
        return self.relu(x * 0 - 1)
make = Net
"""
    )
    run = ok(run_module(code, tmp_path, pictures(tmp_path, 3)).run)
    rows = [(a.call, a.channels, len(a.dead)) for a in run.activations if a.layer == "relu"]
    assert [row[:2] for row in rows] == [(0, 3), (1, 5), (2, 5)]
    assert rows[2][2] == 5
    assert run.summary is not None
    assert run.summary.channels == 3 + 5 + 5


def test_calls_are_counted_anew_for_every_batch(tmp_path: Path) -> None:
    code = HEAD + "def make(): return nn.Sequential(nn.ReLU())"
    run = ok(run_module(code, tmp_path, pictures(tmp_path, 5), batch_size=2).run)
    assert [(a.layer, a.call, a.images) for a in run.activations] == [("0", 0, 5)]
    assert tap(run, "0").fired_images == [5, 5, 5]


def test_tuples_dicts_and_dataclasses_give_their_tensors_by_name(tmp_path: Path) -> None:
    code = (
        HEAD
        + """
import collections
Pair = collections.namedtuple("Pair", "low high")
@dataclasses.dataclass
class Out:
    logits: torch.Tensor
    hidden: tuple
    label: str = "x"
class Leaf(nn.Module):
    def __init__(self, kind):
        super().__init__(); self.kind = kind
    def forward(self, x):
        return {"tuple": (x, -x), "dict": {"a": x, "n": x.argmax(1)}, "named": Pair(x * 0, x),
                "data": Out(x, (x, x + 1))}[self.kind]
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        for kind in ("tuple", "dict", "named", "data"):
            setattr(self, kind, Leaf(kind))
    def forward(self, x):
        self.tuple(x); self.dict(x); self.named(x)
        return self.data(x)
make = Net
"""
    )
    run = ok(run_module(code, tmp_path, pictures(tmp_path, 2)).run)
    names = [(a.layer, a.output) for a in run.activations]
    assert names == [
        ("tuple", "0"), ("tuple", "1"), ("dict", "a"), ("named", "low"), ("named", "high"),
        ("data", "logits"), ("data", "hidden.0"), ("data", "hidden.1"),
    ]  # fmt: skip
    assert tap(run, "named", output="low").dead == [0, 1, 2]
    reasons = {u.layer: u.reason for u in run.unmeasured}
    assert reasons == {"dict output n": "its output is not floating point (int64)"}


def test_constant_is_not_dead(tmp_path: Path) -> None:
    code = (
        HEAD
        + """
def make():
    bn = nn.BatchNorm2d(3)
    bn.weight.data = torch.tensor([0.0, 1.0, 0.0]); bn.bias.data = torch.tensor([0.75, 0.0, -1.0])
    return nn.Sequential(bn, nn.ReLU())
"""
    )
    run = ok(run_module(code, tmp_path, pictures(tmp_path, 3)).run)
    bn, relu = tap(run, "0"), tap(run, "1")
    assert (bn.dead, bn.constant) == ([], [0, 2])
    assert (relu.dead, relu.constant) == ([2], [0])


def test_one_image_of_one_position_is_not_called_constant(tmp_path: Path) -> None:
    code = HEAD + "def make(): return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4))"
    run = ok(run_module(code, tmp_path, pictures(tmp_path, 1)).run)
    assert tap(run, "2").constant == []
    assert tap(run, "2").shape == [4]


def test_nan_and_infinities_are_counted_and_nothing_is_nan_in_the_results(tmp_path: Path) -> None:
    code = (
        HEAD
        + """
class Net(nn.Module):
    def __init__(self):
        super().__init__(); self.conv = identity(); self.id = nn.Identity()
        self.conv.weight.data[2] = float("nan")
    def forward(self, x):
        y = self.conv(x)
        z = x.clone(); z[:, 0] = float("inf"); z[:, 1, 0, 0] = -float("inf")
        return self.id(z)
make = Net
"""
    )
    outcome = run_module(code, tmp_path, pictures(tmp_path, 2, (4, 4)))
    run = ok(outcome.run)
    conv, other = tap(run, "conv"), tap(run, "id")
    assert (conv.nan, conv.count) == (2 * 16, 2 * 3 * 16)  # the NaN filter spoils its own channel alone
    assert conv.mean == pytest.approx(inputs(tmp_path, 2)[:, :2].mean(), rel=1e-6)
    assert (conv.dead, conv.constant) == ([], [])
    assert (other.posinf, other.neginf, other.nan) == (32, 2, 0)
    assert other.max is not None
    assert other.max <= 1.0
    assert run.summary is not None
    assert run.summary.nonfinite == conv.nonfinite + other.nonfinite + 3
    assert "NaN" not in run.model_dump_json()


def test_tied_weights_count_once(tmp_path: Path) -> None:
    code = (
        HEAD
        + """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(8, 8); self.b = nn.Linear(8, 8, bias=False)
        self.b.weight = self.a.weight
    def forward(self, x):
        return self.b(self.a(x))
make = Net
"""
    )
    run = ok(run_module(code, tmp_path, pictures(tmp_path, 2)).run)
    assert [(w.name, w.tied) for w in run.weights] == [("a.weight", ["b.weight"]), ("a.bias", [])]
    assert run.parameters == 72
    assert run.summary is not None
    assert run.summary.weights == 64


def test_a_module_that_is_never_called_is_unmeasured_not_zero(tmp_path: Path) -> None:
    code = (
        HEAD
        + """
class Net(nn.Module):
    def __init__(self):
        super().__init__(); self.used = identity(); self.spare = nn.Conv2d(3, 3, 1)
    def forward(self, x):
        return self.used(x)
make = Net
"""
    )
    run = ok(run_module(code, tmp_path, pictures(tmp_path, 2)).run)
    assert [u.layer for u in run.unmeasured] == ["spare"]
    assert "never called" in run.unmeasured[0].reason
    assert [a.layer for a in run.activations] == ["used"]


def test_a_transformer_encoder_layer_is_measured_on_its_slow_path(tmp_path: Path) -> None:
    code = (
        HEAD
        + """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.encoder.layers[0].linear1.bias.data[:5] = -100.0
    def forward(self, x):
        return self.encoder(x[:, 0])
make = Net
"""
    )
    run = ok(run_module(code, tmp_path, pictures(tmp_path, 3)).run)
    layers = [a.layer for a in run.activations]
    assert "encoder.layers.0.self_attn" in layers
    relu = tap(run, "encoder.layers.0.relu")
    assert (relu.module, relu.rectifier, relu.channels, relu.shape, relu.channel_axis) == (
        "F.relu",
        True,
        16,
        [8, 16],
        1,
    )
    assert relu.dead == [0, 1, 2, 3, 4]
    reasons = {u.layer: u.reason for u in run.unmeasured}
    parts = ("in_proj", "out_proj", "scaled_dot_product_attention output weights")
    assert set(reasons) == {f"encoder.layers.{i}.self_attn.{part}" for i in (0, 1) for part in parts}
    assert "output 0 of encoder.layers.0.self_attn" in reasons["encoder.layers.0.self_attn.out_proj"]
    assert "packed" in reasons["encoder.layers.1.self_attn.in_proj"]
    assert torch.backends.mha.get_fastpath_enabled()


@pytest.mark.parametrize(
    "expression",
    [
        "F.relu(x)",
        "F.relu(x, inplace=True)",
        "torch.relu(x)",
        "torch.relu_(x)",
        "x.relu()",
        "x.relu_()",
        "F.relu_(x)",
    ],
)
def test_every_spelling_of_a_functional_relu_is_a_tap(tmp_path: Path, expression: str) -> None:
    code = (
        HEAD
        + f"""
class Block(nn.Module):
    def __init__(self):
        super().__init__(); self.conv = identity(bias=[-9.0, 0.0, 0.0])
    def forward(self, x):
        x = self.conv(x)
        return {expression}
def make(): return nn.Sequential(Block())
"""
    )
    run = ok(run_module(code, tmp_path, pictures(tmp_path, 2)).run)
    assert [(a.layer, a.module) for a in run.activations] == [("0.conv", "Conv2d"), ("0.relu", "F.relu")]
    assert tap(run, "0.relu").dead == [0]
    assert tap(run, "0.conv").dead == []


def test_a_builtin_relu_is_one_tap_not_two(tmp_path: Path) -> None:
    code = (
        HEAD
        + "def make(): return nn.Sequential(nn.ReLU(), nn.GELU(), nn.ReLU6(), nn.SiLU(), nn.Threshold(0.5, 0.0))"
    )
    run = ok(run_module(code, tmp_path, pictures(tmp_path, 2)).run)
    assert [(a.module, a.rectifier) for a in run.activations] == [
        ("ReLU", True), ("GELU", False), ("ReLU6", True), ("SiLU", False), ("Threshold", True),
    ]  # fmt: skip


def test_a_network_without_rectifiers_has_no_headline(tmp_path: Path) -> None:
    code = HEAD + "def make(): return nn.Sequential(identity(), nn.GELU())"
    run = ok(run_module(code, tmp_path, pictures(tmp_path, 2)).run)
    assert run.summary is not None
    assert (run.summary.channels, run.summary.dead_fraction) == (0, None)


@pytest.mark.parametrize(
    ("module", "shape", "channels", "axis"),
    [
        ("nn.Conv2d(3, 8, 1)", [8, 8, 8], 8, 0),  # H = W = C: the producer decides
        ("nn.Sequential(nn.Flatten(2), nn.Linear(64, 8))", [3, 8], 8, 1),
        ("nn.Sequential(nn.Conv2d(3, 5, 1), nn.ReLU())", [5, 8, 8], 5, 0),
        (
            "nn.Sequential(nn.Conv2d(3, 8, 1, bias=False).to(memory_format=torch.channels_last), nn.ReLU())",
            [8, 8, 8],
            8,
            0,
        ),
        ("nn.Sequential(nn.Flatten(), nn.Linear(192, 7), nn.ReLU())", [7], 7, 0),
        ("nn.Sequential(nn.Flatten(2), nn.Linear(64, 9), nn.GELU(), nn.Dropout())", [3, 9], 9, 1),
        ("nn.Sequential(nn.Flatten(2), nn.LayerNorm(64))", [3, 64], 64, 1),
        ("nn.Sequential(nn.Conv1d(3, 6, 1), nn.ReLU())", None, None, None),
    ],
)
def test_the_channel_axis_is_the_producers(
    tmp_path: Path, module: str, shape: list[int] | None, channels: int, axis: int
) -> None:
    run = run_module(HEAD + f"def make(): return {module}", tmp_path, pictures(tmp_path, 2)).run
    if shape is None:
        assert run.status == "failed"  # a 1-D convolution does not take pictures: the network's own error
        assert run.error is not None
        assert (run.error.stage, "[2, 3, 8, 8]" in run.error.message) == ("forward", True)
        return
    last = ok(run).activations[-1]
    assert (last.shape, last.channels, last.channel_axis) == (shape, channels, axis)


def test_an_output_without_a_batch_axis_is_measured_without_counting_images(tmp_path: Path) -> None:
    code = (
        HEAD
        + """
class Net(nn.Module):
    def __init__(self):
        super().__init__(); self.table = nn.Linear(2, 3); self.conv = identity()
    def forward(self, x):
        return self.conv(x) + self.table(torch.ones(7, 2, device=x.device)).sum()
make = Net
"""
    )
    run = ok(run_module(code, tmp_path, pictures(tmp_path, 3), batch_size=3).run)
    table = tap(run, "table")
    assert (table.shape, table.fired_images) == ([7, 3], None)
    assert table.constant == [0, 1, 2]


def test_layers_can_be_chosen_and_choosing_none_is_an_error(tmp_path: Path) -> None:
    code = HEAD + "def make(): return nn.Sequential(identity(), nn.ReLU(), identity(), nn.ReLU())"
    refs = pictures(tmp_path, 2)
    assert [a.layer for a in ok(run_module(code, tmp_path, refs, include=("1", "2")).run).activations] == [
        "1",
        "2",
    ]
    assert [a.layer for a in ok(run_module(code, tmp_path, refs, exclude=("1", "3")).run).activations] == [
        "0",
        "2",
    ]
    none = run_module(code, tmp_path, refs, include=("features.*",)).run
    assert none.error is not None
    assert "no layer was measured" in none.error.message


def test_weights_kinds_and_dead_filters_along_the_output_axis(tmp_path: Path) -> None:
    code = (
        HEAD
        + """
def make():
    up = nn.ConvTranspose2d(4, 6, 2, groups=2)  # [in, out / groups, k, k]
    up.weight.data.fill_(1.0)
    up.weight.data[2:, 1] = 0.0  # group 1, its output 1: channel 3 + 1
    conv = nn.Conv2d(3, 4, 1); conv.weight.data.fill_(0.5); conv.weight.data[2] = 0.0005
    return nn.Sequential(conv, nn.BatchNorm2d(4), up)
"""
    )
    run = ok(run_module(code, tmp_path, pictures(tmp_path, 2)).run)
    by_name = {w.name: w for w in run.weights}
    assert {n: w.kind for n, w in by_name.items()} == {
        "0.weight": "weight", "0.bias": "bias", "1.weight": "norm", "1.bias": "norm", "2.weight": "weight",
        "2.bias": "bias",
    }  # fmt: skip
    assert (by_name["0.weight"].dead, by_name["0.weight"].channels) == ([2], 4)
    assert (by_name["2.weight"].dead, by_name["2.weight"].channels) == ([4], 6)
    assert by_name["2.weight"].zero_fraction == 8 / 48
    assert [b.name for b in run.buffers] == ["1.running_mean", "1.running_var", "1.num_batches_tracked"]
    assert run.buffers[2].std is None  # one element has no sample standard deviation


def test_measuring_changes_nothing_and_leaves_no_hook(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Dropout(),
        nn.Flatten(),
        nn.Linear(144, 5),
    )
    model.eval()
    x = torch.rand(2, 3, 8, 8)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    seen: list[str] = []
    with torch.inference_mode():
        plain = model(x)
        taps = Taps(model, lambda tap, _module, _output: seen.append(tap.layer))
        with taps.attached(), taps.one_pass():
            hooked = model(x)
    assert torch.equal(plain, hooked)
    assert seen == ["0", "1", "2", "3", "4", "5"]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_hooks_come_off_when_the_network_raises(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 3))
    taps = Taps(model, lambda *_: None)
    with pytest.raises(RuntimeError), taps.attached(), taps.one_pass():
        model(torch.zeros(1, 5))
    assert not model[0]._forward_hooks
    assert torch.backends.mha.get_fastpath_enabled()


def test_batches_of_any_size_give_the_same_counts(tmp_path: Path) -> None:
    code = (
        HEAD
        + "def make(): return nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(576, 8), nn.ReLU())"
    )
    refs = pictures(tmp_path, 7)
    runs = [ok(run_module(code, tmp_path, refs, batch_size=size).run) for size in (1, 2, 3, 7)]
    for run in runs[1:]:
        for a, b in zip(run.activations, runs[0].activations, strict=True):
            assert (a.dead, a.fired_images, a.count, a.images) == (b.dead, b.fired_images, b.count, b.images)
            assert a.mean == pytest.approx(b.mean, rel=1e-5, abs=1e-7)


def test_images_of_different_sizes_merge_and_the_row_says_so(tmp_path: Path) -> None:
    code = HEAD + "def make(): return nn.Sequential(identity(), nn.ReLU(), nn.AdaptiveAvgPool2d(1))"
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    refs = [*pictures(tmp_path / "a", 2, (8, 8)), *pictures(tmp_path / "b", 2, (6, 10))]
    run = ok(run_module(code, tmp_path, refs).run)
    assert (tap(run, "0").shape_varies, tap(run, "2").shape_varies) == (True, False)
    assert tap(run, "0").count == 2 * 3 * 64 + 2 * 3 * 60
    assert run.images.count == 4


def test_memory_running_out_halves_the_batch_and_says_so(tmp_path: Path) -> None:
    code = (
        HEAD
        + """
class Net(nn.Module):
    def __init__(self):
        super().__init__(); self.conv = identity()
    def forward(self, x):
        if len(x) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.conv(x)
make = Net
"""
    )
    run = ok(run_module(code, tmp_path, pictures(tmp_path, 7), batch_size=7).run)
    assert (run.batch_size, run.images.count, tap(run, "conv").images) == (1, 7, 7)
    assert sum("halved" in note for note in run.notes) == 2


def test_a_network_that_raises_is_a_failed_run_with_stage_and_hint(tmp_path: Path) -> None:
    code = HEAD + "def make(): return nn.Sequential(nn.Flatten(), nn.Linear(10, 2))"
    run = run_module(code, tmp_path, pictures(tmp_path, 2)).run
    assert run.status == "failed"
    assert run.error is not None
    assert run.error.stage == "forward"
    assert "shape [2, 3, 8, 8]" in run.error.message
    assert "transform" in run.error.hint


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_forward_is_measured(tmp_path: Path, precision: str) -> None:
    code = HEAD + "def make(): return nn.Sequential(identity(), nn.ReLU())"
    run = ok(run_module(code, tmp_path, pictures(tmp_path, 2), precision=precision).run)
    x = torch.from_numpy(inputs(tmp_path, 2)).float().to(getattr(torch, precision)).double().numpy()
    assert tap(run, "1").mean == pytest.approx(x.mean(), rel=1e-12)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.accelerator.is_available(), reason="no accelerator on this machine")
def test_an_accelerator_gives_the_same_counts_without_waiting_in_the_forward(tmp_path: Path) -> None:
    code = HEAD + "def make(): return nn.Sequential(identity(bias=[-9.0, 0.0, 0.0]), nn.ReLU())"
    device = str(torch.accelerator.current_accelerator())
    refs = pictures(tmp_path, 5)
    there = ok(run_module(code, tmp_path, refs, device=device).run)
    here = ok(run_module(code, tmp_path, refs).run)
    for a, b in zip(there.activations, here.activations, strict=True):
        assert (a.dead, a.zeros, a.near_zeros, a.fired_images) == (
            b.dead,
            b.zeros,
            b.near_zeros,
            b.fired_images,
        )
        assert a.histogram == b.histogram
