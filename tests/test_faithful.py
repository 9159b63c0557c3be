"""Measuring changes nothing, and the report proves it: output, state, hooks; a network that cheats is found out."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from featreport.collect.digest import StateDigest
from featreport.collect.faithful import differing, switched_off
from featreport.judge.findings import of_run
from featreport.report.audits import faithfulness
from featreport.results.schema import Faithfulness, Run
from test_taps import measured, net

DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool]
CONV = net("return self.conv(x)", conv="nn.Conv2d(3, 4, 1)")


def proof(run: Run) -> Faithfulness:
    assert run.faithfulness is not None
    return run.faithfulness


def words(run: Run) -> list[str]:
    return [finding.text for finding in of_run(run) if finding.level == "warn"]


def test_an_honest_network_is_proved_unchanged(tmp_path: Path) -> None:
    run = measured(CONV, tmp_path, count=3)
    assert proof(run) == Faithfulness(
        output_identical=True, state_unchanged=True, hooks_left=0, compared_images=2, switched_off=[]
    )
    assert faithfulness(proof(run)) == (
        "output of the first 2 images bit for bit as without hooks; parameters and buffers unchanged; no hook left"
    )


def test_nan_equals_nan_and_random_numbers_are_drawn_alike(tmp_path: Path) -> None:
    drawn = "torch.rand(1) + random.random() + numpy.random.rand()"
    code = "import random, numpy\n" + net(
        f"y = self.conv(x); return y / 0 * 0, y + {drawn}", conv="nn.Conv2d(3, 4, 1)"
    )
    assert proof(measured(code, tmp_path)).output_identical is True


def test_a_network_that_looks_for_hooks_is_caught(tmp_path: Path) -> None:
    code = net("return self.conv(x) + len(self.conv._forward_hooks)", conv="nn.Conv2d(3, 4, 1)")
    run = measured(code, tmp_path)
    assert (proof(run).output_identical, proof(run).repeats, proof(run).differs) == (False, True, ["output"])
    assert any("Watching changed what the network gave" in text for text in words(run))


def test_a_network_that_does_not_repeat_itself_is_not_blamed_on_the_hooks(tmp_path: Path) -> None:
    code = net("self.n += 1; return self.conv(x) * self.n", conv="nn.Conv2d(3, 4, 1)", n="0")
    run = measured(code, tmp_path)
    assert (proof(run).output_identical, proof(run).repeats) == (None, False)
    assert [text for text in words(run) if "passes" in text] == [
        "The network does not repeat itself: two plain forward passes of the same images differ."
    ]


@pytest.mark.parametrize(
    ("how", "name"),
    [
        ("self.seen += 1", "seen"),
        ("self.conv.weight.data[0, 0] += 1e-6", "conv.weight"),
        ("self.flags[1] = True", "flags"),
        ("self.hidden.neg_()", "hidden"),
        ("self.conv.weight.data = self.conv.weight.data.flip(0)", "conv.weight"),
    ],
)
def test_changed_state_is_named(tmp_path: Path, how: str, name: str) -> None:
    code = f"""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))
        self.register_buffer("flags", torch.zeros(5, dtype=torch.bool))
        self.register_buffer("hidden", torch.rand(7, dtype=torch.float64), persistent=False)
        self.done = False
    def forward(self, x):
        y = self.conv(x)
        if not self.done:
            {how}
            self.done = True
        return y
make = Net
"""
    run = measured(code, tmp_path)
    assert proof(run).state_unchanged is False
    assert proof(run).changed == [name]
    assert any(f"changed 1 tensor of the network, in eval mode: {name}" in text for text in words(run))


def test_a_network_that_writes_into_its_input_is_compared_on_the_same_pictures(tmp_path: Path) -> None:
    run = measured(net("return self.conv(x.mul_(2))", conv="nn.Conv2d(3, 4, 1)"), tmp_path)
    assert proof(run).output_identical is True


def test_training_flags_are_set_back(tmp_path: Path) -> None:
    run = measured(net("self.conv.train(); return self.conv(x)", conv="nn.Conv2d(3, 4, 1)"), tmp_path)
    assert proof(run).flags_changed == 1


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_complex_tensors_keep_their_imaginary_part_and_are_listed(tmp_path: Path, precision: str) -> None:
    """A filter in the frequency domain, a rotary table: made real they would compute something else."""
    code = net(
        "return self.conv(torch.fft.ifft2(torch.fft.fft2(x.float()) * self.turn * self.by).real.to(x.dtype))",
        conv="nn.Conv2d(3, 4, 1)",
        turn="nn.Parameter(torch.full((3, 1, 1), 1j))",
        by="nn.Buffer(torch.full((1,), -1j)); self.half = 1",  # a name that Module has too
    )
    run = measured(code, tmp_path, precision=precision)
    assert {u.layer: u.reason[:15] for u in run.unmeasured} == dict.fromkeys(
        ["turn", "by"], "complex numbers"
    )
    same = measured(net("return self.conv(x)", conv="nn.Conv2d(3, 4, 1)"), tmp_path, precision=precision)
    assert run.activations[-1].std == pytest.approx(same.activations[-1].std, rel=1e-2)


def test_fast_paths_that_a_network_has_are_named(tmp_path: Path) -> None:
    code = net(
        "return self.block(x.mean(1))",
        block="nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)",
    )
    assert proof(measured(code, tmp_path)).switched_off == ["transformer fast path"]
    assert torch.backends.mha.get_fastpath_enabled()
    model = nn.Sequential(nn.Linear(2, 2))
    assert switched_off(model) == []
    model.compile()
    assert switched_off(model) == ["torch.compile"]


def test_outputs_are_compared_bit_for_bit() -> None:
    x = torch.tensor([1.0, float("nan"), float("inf")])
    assert differing([("a", x)], [("a", x.clone())]) == []
    assert differing([("a", x)], [("a", x + torch.tensor([1e-7, 0, 0]))]) == ["a"]
    assert differing([(None, x)], [(None, x.double())]) == ["output"]
    assert differing([("a", x)], [("a", x), ("b", x)]) == ["b"]
    assert differing([("a", x)], [("a", x[:2])]) == ["a"]
    assert differing([("a", x.to_sparse())], [("a", x.to_sparse())]) == []


def holder(**tensors: torch.Tensor) -> nn.Module:
    module = nn.Module()
    for name, tensor in tensors.items():
        module.register_buffer(name, tensor)
    return module


@settings(max_examples=40, deadline=None)
@given(
    size=st.integers(1, 3000),
    dtype=st.sampled_from(DTYPES),
    place=st.integers(0, 10**6),
    skip=st.integers(0, 3),
)  # fmt: skip
def test_any_single_change_of_any_type_shows(size: int, dtype: torch.dtype, place: int, skip: int) -> None:
    tensor = (torch.rand(size + skip) * 3).to(dtype)[skip:]
    before = StateDigest(holder(a=tensor))
    assert StateDigest(holder(a=tensor.clone())).changed(before) == []
    raw = tensor.contiguous().view(torch.uint8) if dtype != torch.bool else tensor
    raw[place % len(raw)] = ~raw[place % len(raw)] if dtype == torch.bool else raw[place % len(raw)] ^ 128
    assert StateDigest(holder(a=tensor)).changed(before) == ["a"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_changes_that_keep_every_sum_show(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    tensor = torch.randn(300_000).to(dtype)  # several chunks
    before = StateDigest(holder(a=tensor))
    swapped = tensor.clone()
    swapped[[5, 200_005]] = tensor[[200_005, 5]]
    for other in (-tensor, tensor.flip(0), tensor.roll(1), tensor.roll(1 << 17), swapped):
        assert StateDigest(holder(a=other)).changed(before) == ["a"]


def test_the_digest_is_of_values_not_of_strides_it_cannot_read() -> None:
    base = torch.randn(64, 96, 40)
    for tensor in (
        base[::2],
        base[:, :, ::3],
        base.permute(2, 0, 1),
        base[0, 0].expand(5000, 40),
        base[:, :0],
        base[0, 0, 0],
    ):
        same = holder(a=tensor)
        before = StateDigest(same)
        assert StateDigest(same).changed(before) == []
        if tensor.numel():
            base += 1
            assert StateDigest(same).changed(before) == ["a"]


def test_a_tensor_that_came_or_went_shows() -> None:
    a, b = torch.ones(3), torch.ones(4)
    assert StateDigest(holder(a=a, b=b)).changed(StateDigest(holder(a=a))) == ["b"]
    assert StateDigest(holder(a=a)).changed(StateDigest(holder(a=a.double()))) == ["a"]
