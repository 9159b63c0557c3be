"""Where activations are measured: no layer's output vanishes, none is counted twice, no token is taken for an image."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from featreport.collect.flow import Flow
from featreport.collect.outputs import tensors_of
from featreport.collect.passed import Passed
from featreport.collect.taps import Taps
from featreport.results.schema import Activation, Run
from runs import pictures, run_module

HEAD = """
import torch, dataclasses
from torch import nn
import torch.nn.functional as F
from torch.nn.utils import parametrizations
"""


def measured(code: str, folder: Path, count: int = 2, **how: object) -> Run:
    run = run_module(HEAD + code, folder, pictures(folder, count), **how).run  # type: ignore[arg-type]
    assert run.status == "ok", run.error
    return run


def rows(run: Run) -> list[tuple[str, int, str | None, str]]:
    return [(a.layer, a.call, a.output, a.module) for a in run.activations]


def tap(run: Run, layer: str, call: int = 0, output: str | None = None) -> Activation:
    found = [a for a in run.activations if (a.layer, a.call, a.output) == (layer, call, output)]
    assert len(found) == 1, rows(run)
    return found[0]


def net(forward: str, **modules: str) -> str:
    """Code of a network with modules and a forward pass."""
    built = "; ".join(f"self.{name} = {text}" for name, text in modules.items()) or "pass"
    return f"""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        {built}
    def forward(self, x):
        {forward}
make = Net
"""


def test_parametrized_layers_are_measured_and_the_modules_that_compute_their_weights_are_not(
    tmp_path: Path,
) -> None:
    code = net(
        "return self.lin(self.conv(x).mean((2, 3)))",
        conv="parametrizations.weight_norm(nn.Conv2d(3, 4, 3))",
        lin="parametrizations.spectral_norm(nn.Linear(4, 2))",
    )
    run = measured(code, tmp_path)
    assert rows(run) == [("conv", 0, None, "Conv2d"), ("lin", 0, None, "Linear")]
    assert (tap(run, "conv").shape, tap(run, "conv").channels) == ([4, 6, 6], 4)
    assert run.unmeasured == []


def test_a_parametrized_layer_that_never_runs_is_listed_by_its_own_name(tmp_path: Path) -> None:
    code = net(
        "return self.conv(x)",
        conv="nn.Conv2d(3, 4, 3)",
        spare="parametrizations.weight_norm(nn.Conv2d(3, 4, 3))",
    )
    assert {u.layer: u.reason for u in measured(code, tmp_path).unmeasured} == {
        "spare": "never called in the forward pass"
    }


def test_activation_functions_that_compute_a_weight_are_no_taps(tmp_path: Path) -> None:
    code = """
from torch.nn.utils import parametrize
class Positive(nn.Module):
    def forward(self, w):
        return F.relu(w)
def positive(layer):
    parametrize.register_parametrization(layer, "weight", Positive())
    return layer
""" + net("return self.conv(x)", conv="positive(nn.Conv2d(3, 4, 3))")
    assert rows(measured(code, tmp_path)) == [("conv", 0, None, "Conv2d")]


def test_a_layer_with_modules_inside_keeps_its_output(tmp_path: Path) -> None:
    code = """
class Lora(nn.Linear):
    def __init__(self):
        super().__init__(3, 5)
        self.down = nn.Linear(3, 2); self.up = nn.Linear(2, 5)
    def forward(self, x):
        return super().forward(x) + self.up(self.down(x))
""" + net("return self.lora(x.mean((2, 3)))", lora="Lora()")
    run = measured(code, tmp_path)
    assert rows(run) == [
        ("lora.linear", 0, None, "F.linear"),
        ("lora.down", 0, None, "Linear"),
        ("lora.up", 0, None, "Linear"),
        ("lora.add", 0, None, "F.add"),
    ]
    assert tap(run, "lora.add").channels == 5


BLOCK = """
class Block(nn.Module):
    def __init__(self, how):
        super().__init__(); self.conv = nn.Conv2d(3, 3, 1); self.how = how
    def forward(self, x):
        y = self.conv(x)
        if self.how == "plain":
            return y
        if self.how == "view":
            return y.flatten(2).permute(0, 2, 1)
        if self.how == "sum":
            return x + y
        if self.how == "in place":
            y += x
            return y
        if self.how == "out":
            torch.add(x, y, out=y)
            return y
        if self.how == "item":
            y[:, 0] = 0
            return y
        if self.how == "part":
            return y[:, 1:]
        return y.mul_(2)
"""


@pytest.mark.parametrize(
    ("how", "own"),
    [
        ("plain", ""), ("view", ""), ("sum", "0.add"), ("in place", "0.add"), ("out", "0.add"), ("item", "0"),
        ("part", "0"), ("scaled in place", "0"),
    ],
)  # fmt: skip
def test_a_block_has_a_row_where_it_gives_what_no_child_gave(tmp_path: Path, how: str, own: str) -> None:
    run = measured(BLOCK + f"def make(): return nn.Sequential(Block({how!r}))", tmp_path)
    want = [("0.conv", 0, None, "Conv2d")]
    if own:
        want.append((own, 0, None, "Block" if own == "0" else "F.add"))
    assert rows(run) == want  # and the Sequential, which hands on the block's output, has none


def test_the_sum_of_a_block_is_measured_as_it_is(tmp_path: Path) -> None:
    code = BLOCK + (
        "def make():\n    block = Block('sum'); nn.init.dirac_(block.conv.weight); nn.init.zeros_(block.conv.bias)\n"
        "    return block"
    )
    run = measured(code, tmp_path)
    assert [a.layer for a in run.activations] == ["conv", "add"]
    assert tap(run, "add").mean == pytest.approx(2 * (tap(run, "conv").mean or 0), rel=1e-6)


@pytest.mark.parametrize(
    ("output", "names"),
    [
        ('{"feat": f, "logits": z}', ["feat"]),
        ("(f, z)", ["0"]),
        ("Out(f, z)", ["feat"]),
        ('{"logits": z}', []),
    ],
)
def test_what_the_network_returns_is_measured_where_no_layer_gave_it(
    tmp_path: Path, output: str, names: list[str]
) -> None:
    code = """
@dataclasses.dataclass
class Out:
    feat: torch.Tensor
    logits: torch.Tensor
""" + net(
        f"f = self.conv(x).mean((2, 3)); z = self.fc(f); return {output}",
        conv="nn.Conv2d(3, 4, 1)",
        fc="nn.Linear(4, 2)",
    )
    run = measured(code, tmp_path)
    assert [a.output for a in run.activations if a.layer == "(model)"] == names
    assert len(run.activations) == 2 + len(names)


class Boxed:
    __slots__ = ("features",)

    def __init__(self, features: object) -> None:
        self.features = features


def test_every_tensor_of_an_output_has_a_name_of_its_own() -> None:
    a, b = torch.zeros(1), torch.ones(1)
    normal = torch.distributions.Normal(a, b)
    circle: list[object] = [a]
    circle.append(circle)
    outputs: list[tuple[object, list[str]]] = [
        ({1: a, "1": b}, ["1", "1 (2)"]),
        ({"a.b": a, "a": {"b": b}}, ["a.b", "a.b (2)"]),
        (deque([a, Boxed(b)]), ["0", "1.features"]),
        ({"dist": normal}, ["dist.loc", "dist.scale"]),
        (Boxed(Boxed(a)), []),  # what an object keeps of others may be anything
        (circle, ["0"]),
        ([nn.Linear(1, 1), Boxed, "text", None], []),
    ]
    for output, names in outputs:
        assert [name for name, _ in tensors_of(output)] == names


def test_a_network_that_returns_an_object_of_its_own_is_measured_and_proved_unchanged(tmp_path: Path) -> None:
    code = """
class Nested:
    def __init__(self, tensors, mask):
        self.tensors, self.mask = tensors, mask
""" + net("return Nested(self.conv(x) * 2, x[:, 0] > 0)", conv="nn.Conv2d(3, 4, 1)")
    run = measured(code, tmp_path)
    assert rows(run)[1:] == [("(model)", 0, "tensors", "Net")]
    assert [u.layer for u in run.unmeasured] == ["(model) output mask"]
    assert run.faithfulness is not None
    assert run.faithfulness.output_identical is True


def test_calls_of_a_block_count_also_where_it_only_hands_on(tmp_path: Path) -> None:
    code = """
class Maybe(nn.Module):
    def __init__(self):
        super().__init__(); self.id = nn.Conv2d(3, 3, 1)
    def forward(self, x, more):
        y = self.id(x)
        return y + 1 if more else y
""" + net("x = self.maybe(x, False); return self.maybe(x, True)", maybe="Maybe()")
    assert [row[:2] for row in rows(measured(code, tmp_path))] == [
        ("maybe.id", 0), ("maybe.id", 1), ("maybe", 1),
    ]  # fmt: skip


def test_memory_used_again_is_not_taken_for_what_it_held() -> None:
    passed, key = Passed(), ("layer", 0, None)
    for _ in range(50):
        tensor = torch.rand(1000)  # freed each time: the next one usually stands at the same address
        assert tensor not in passed
        passed.add(tensor, key)
        assert tensor in passed
        assert tensor.view(10, 100).t() in passed
        assert tensor[:500] not in passed
        del tensor
    square = torch.rand(8, 8)
    passed.add(square[:4], key)
    assert square[4:] not in passed
    assert square[:, :4] not in passed


def test_memory_used_again_does_not_derive_from_what_was_written_into_it_before() -> None:
    flow = Flow(nn.Module())
    for _ in range(50):
        tensor = torch.rand(1000)
        assert tensor.view(10, 100) not in flow
        flow.filled(tensor)
        assert tensor.view(10, 100) in flow
        del tensor


def test_a_subclassed_rectifier_is_one_tap(tmp_path: Path) -> None:
    code = "class SubReLU(nn.ReLU): pass\n" + net(
        "return self.act(self.conv(x))", conv="nn.Conv2d(3, 4, 1)", act="SubReLU(inplace=True)"
    )
    run = measured(code, tmp_path)
    assert rows(run) == [("conv", 0, None, "Conv2d"), ("act", 0, None, "SubReLU")]
    assert run.summary is not None
    assert (run.summary.rectifiers, run.summary.channels) == (1, 4)


def test_a_functional_activation_does_not_take_the_name_of_a_module(tmp_path: Path) -> None:
    run = measured(net("return F.relu(x - 0.5)", relu="nn.ReLU()"), tmp_path)
    assert rows(run)[0] == ("relu()", 0, None, "F.relu")
    assert {u.layer: u.reason for u in run.unmeasured} == {"relu": "never called in the forward pass"}
    both = measured(net("return self.relu(F.relu(x - 0.5) - 0.1)", relu="nn.ReLU()"), tmp_path)
    assert rows(both) == [("relu()", 0, None, "F.relu"), ("relu", 0, None, "ReLU")]


@pytest.mark.parametrize(
    ("module", "rectifier"),
    [("nn.Hardtanh(0, 6)", True), ("nn.Hardtanh(-1, 1)", False), ("nn.Hardtanh(0.0, 1.0)", True)],
)
def test_a_hard_tanh_from_zero_is_a_rectifier(tmp_path: Path, module: str, rectifier: bool) -> None:
    run = measured(f"def make(): return nn.Sequential({module})", tmp_path)
    assert [(a.layer, a.rectifier) for a in run.activations] == [("0", rectifier)]
    least, most = (0, 6) if "6" in module else ((0, 1) if rectifier else (-1, 1))
    for call in (f"F.hardtanh(x, {least}, {most})", f"F.hardtanh(x, max_val={most}, min_val={least})"):
        functional = measured(net(f"return self.id({call})", id="nn.Conv2d(3, 3, 1)"), tmp_path)
        assert tap(functional, "hardtanh").rectifier is rectifier


@pytest.mark.parametrize("layout", ["torch.strided", "torch.jagged"])
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_nested_tensors_are_listed_with_the_reason(tmp_path: Path, layout: str) -> None:
    code = f"""
class Nest(nn.Module):
    def forward(self, x):
        return torch.nested.nested_tensor([x[0, 0], x[0, 0, :3]], layout={layout})
""" + net("self.nest(x); return self.conv(x)", nest="Nest()", conv="nn.Conv2d(3, 4, 1)")
    run = measured(code, tmp_path)
    assert rows(run) == [("conv", 0, None, "Conv2d")]
    assert {u.layer: u.reason for u in run.unmeasured} == {"nest": "its output is a nested tensor"}


@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.parametrize("how", ["script(inner)", "trace(inner, torch.zeros(1, 3, 8, 8))"])
def test_a_torchscript_program_inside_is_listed_and_the_rest_measured(tmp_path: Path, how: str) -> None:
    code = f"""
def make():
    inner = nn.Sequential(nn.ConvTranspose2d(3, 6, 1, bias=False), nn.BatchNorm2d(6), nn.ReLU()).eval()
    inner[0].weight.data[:, 4] = 0
    return nn.Sequential(nn.Conv2d(3, 3, 1), torch.jit.{how}, nn.Conv2d(6, 4, 1), nn.ReLU())
"""
    run = measured(code, tmp_path)
    assert [(a.layer, a.channels) for a in run.activations] == [("0", 3), ("2", 4), ("3", 4)]
    assert {u.layer: u.reason for u in run.unmeasured} == {
        "1": "a TorchScript program, whose layers cannot be watched"
    }
    assert [(w.name, w.module, w.channels, w.dead) for w in run.weights if w.kind == "weight"] == [
        ("0.weight", "Conv2d", 3, []),
        ("1.0.weight", "ConvTranspose2d", 6, [4]),
        ("2.weight", "Conv2d", 4, []),
    ]
    assert [(n.layer, n.module, n.channels) for n in run.norms] == [("1.1", "BatchNorm2d", 6)]
    assert next((b.name, b.module) for b in run.buffers) == ("1.1.running_mean", "BatchNorm2d")


SEQUENCE = net(
    "return self.encoder(x.mean(1).permute(1, 0, 2))",  # [T = 8, N, C = 8]
    encoder="nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 2, enable_nested_tensor=False)",
)


def test_tokens_are_never_counted_as_images(tmp_path: Path) -> None:
    runs = {size: measured(SEQUENCE, tmp_path, count=10, batch_size=size) for size in (1, 2, 3, 8, 10)}
    first = runs[3].activations
    assert {a.layer: a.shape for a in first}["encoder.layers.0.linear1"] == [8, 16]
    for run in runs.values():
        for a, b in zip(run.activations, first, strict=True):
            assert (a.layer, a.shape, a.channel_axis, a.images) == (b.layer, b.shape, b.channel_axis, 10)
            assert a.fired_images == b.fired_images
            assert a.fired_images is not None
            assert max(a.fired_images) <= 10
            assert a.std == pytest.approx(b.std, rel=1e-5)
    only = measured(SEQUENCE, tmp_path, count=8, batch_size=8)  # T = N, and no other batch to compare with
    assert all(a.shape == b.shape for a, b in zip(only.activations, first, strict=True))
    assert all(max(a.fired_images or [99]) <= 8 for a in only.activations)


# Channel 0 fires in the last image only, channel 1 in the first token only, 2 in all, the rest nowhere.
CUSTOM = """
class Mark(nn.Module):
    def forward(self, x):  # x [N, 3, 8, 8] -> [T = 8, N, C = 5], sequence first, without a declaration
        out = x.new_zeros(8, len(x), 5)
        out[:, -1, 0] = 1; out[0, :, 1] = 1; out[:, :, 2] = 1
        return out
""" + net("self.mark(x); return self.conv(x)", mark="Mark()", conv="nn.Conv2d(3, 4, 1)")


@pytest.mark.parametrize(
    ("count", "size", "fired"),
    [
        (8, 8, None),  # T = N in the only batch: nobody can tell
        (16, 8, None),
        (10, 8, [2, 10, 10, 0, 0]),  # the last batch tells
        (9, 8, [2, 9, 9, 0, 0]),
        (6, 3, [2, 6, 6, 0, 0]),
        (4, 4, None),  # 8 = 2 windows of 4 images, or 8 tokens
        (10, 4, [3, 10, 10, 0, 0]),
    ],
)
def test_the_batch_axis_is_held_for_the_run_or_left_open(
    tmp_path: Path, count: int, size: int, fired: list[int] | None
) -> None:
    mark = tap(measured(CUSTOM, tmp_path, count=count, batch_size=size), "mark")
    assert mark.fired_images == fired
    assert mark.shape == ([8, size, 5] if fired is None else [8, 5])
    assert mark.channel_axis == len(mark.shape) - 1
    assert (mark.channels, mark.images, mark.count) == (5, count, 8 * count * 5)
    assert mark.dead == [3, 4]


def test_batch_first_tokens_as_many_as_images(tmp_path: Path) -> None:
    code = SEQUENCE.replace("16)", "16, batch_first=True)").replace(".permute(1, 0, 2)", "")
    short = measured(code, tmp_path, count=10, batch_size=8).activations
    alone = measured(code, tmp_path, count=8, batch_size=8).activations
    assert [a.shape for a in short] == [a.shape for a in alone]
    assert all(a.fired_images is not None and max(a.fired_images) <= a.images for a in [*short, *alone])


def test_the_states_of_a_recurrent_network_have_their_images_second(tmp_path: Path) -> None:
    code = net("return self.gru(x.mean(1))[1]", gru="nn.GRU(8, 5, num_layers=3, batch_first=True)")
    for size in (3, 4):
        run = measured(code, tmp_path, count=4, batch_size=size)
        assert tap(run, "gru", output="0").shape == [8, 5]
        assert tap(run, "gru", output="1").shape == [3, 5]
        assert tap(run, "gru", output="1").fired_images == [4] * 5


def test_windows_as_many_as_images_are_not_taken_for_images(tmp_path: Path) -> None:
    code = """
class Windows(nn.Module):
    def forward(self, x):  # [N, 3, 8, 8] -> [4 N, 16, 3]
        return x.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 4, 5, 1).reshape(-1, 16, 3)
""" + net("self.windows(x); return self.conv(x)", windows="Windows()", conv="nn.Conv2d(3, 4, 1)")
    windows = tap(measured(code, tmp_path, count=16, batch_size=16), "windows")
    assert (windows.fired_images, windows.channels, windows.count) == (None, 3, 16 * 3 * 64)


def test_measuring_a_block_gives_the_same_output_bit_for_bit() -> None:
    torch.manual_seed(0)
    space: dict[str, type[nn.Module]] = {}
    exec(HEAD + BLOCK, space)
    model = nn.Sequential(*(space["Block"](how) for how in ("sum", "in place", "item", "plain"))).eval()
    x = torch.rand(2, 3, 8, 8)
    with torch.inference_mode():
        plain = model(x.clone())
        kept: list[np.ndarray] = []
        taps = Taps(model, lambda _tap, _module, output: kept.append(output.numpy().copy()))
        with taps.attached(), taps.one_pass():
            hooked = model(x.clone())
    assert torch.equal(plain, hooked)
    assert len(kept) == 4 + 3
    assert np.array_equal(kept[-1], plain.numpy())
