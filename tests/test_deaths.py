"""Why a channel is dead: each cause built into a network, and told from the weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from runs import pictures, run_module

HEAD = """
import torch
from torch import nn
import torch.nn.functional as F
"""
CONV_BN_RELU = (
    HEAD
    + """
class Net(nn.Module):
    def __init__(self, functional, inplace):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 7, 3), nn.BatchNorm2d(7)
        self.relu = None if functional else nn.ReLU(inplace)
        self.drop = nn.Dropout(0.5)
    def forward(self, x):
        y = self.bn(self.conv(x))
        return self.drop(F.relu(y) if self.relu is None else self.relu(y))

def make(functional=False, inplace=False):
    net = Net(functional, inplace)
    bn = net.bn
    with torch.no_grad():
        net.conv.weight[1] = 0; net.conv.bias[1] = 0; bn.bias[1] = -0.25   # a filter of zeros
        net.conv.weight[2] = 0; bn.bias[2] = 5.0                           # zeros, but a bias: constant, not dead
        bn.weight[3] = 0; bn.bias[3] = -0.5                                # scale 0, shift below 0
        bn.weight[4] = 1e-4; bn.bias[4] = -3.0                             # scale next to 0
        bn.running_var[5] = 1e-12; bn.running_mean[5] = 1e3                # an input that stood still in training
        bn.bias[6] = -40.0                                                 # a shift no picture here overcomes
    return net
"""
)


@pytest.mark.parametrize("functional", [False, True])
@pytest.mark.parametrize("inplace", [False, True])
def test_every_cause_is_told_through_the_norm(tmp_path: Path, functional: bool, inplace: bool) -> None:
    run = run_module(
        CONV_BN_RELU, tmp_path, pictures(tmp_path), args={"functional": functional, "inplace": inplace}
    ).run
    [tap] = [tap for tap in run.activations if tap.rectifier]
    told = {death.channel: (death.cause, death.at, death.proved) for death in tap.deaths}
    assert tap.dead == [1, 3, 4, 5, 6] == list(told)
    assert told[1] == ("zero filter", "conv", True)
    assert told[3] == ("batch norm scale", "bn", True)
    assert told[4] == ("batch norm scale", "bn", False)  # some input overcomes any scale but 0
    assert told[5] == ("batch norm variance", "bn", False)
    assert told[6] == ("never above the threshold on these images", None, False)
    assert tap.firing_rate_bound == pytest.approx(1 - 0.05 ** (1 / 3))
    drop = next(tap for tap in run.activations if tap.layer == "drop")  # a dropout passes channels on
    assert [death.cause for death in drop.deaths] == [death.cause for death in tap.deaths]
    norm = next(tap for tap in run.activations if tap.layer == "bn")
    assert norm.dead == []
    assert 2 in norm.constant


@pytest.mark.parametrize(
    ("layers", "weight", "dead"),
    [
        ("nn.ConvTranspose2d(3, 8, 3, groups=1), nn.ReLU()", "w[:, 5] = 0; b[5] = -1", [5]),
        ("nn.Conv2d(3, 9, 3, groups=3), nn.ReLU(inplace=True)", "w[4] = 0; b[4] = 0", [4]),
        ("nn.Flatten(), nn.Linear(192, 6), nn.ReLU()", "w[2] = 0; b[2] = -1", [2]),
        ("nn.Conv2d(3, 4, 1, bias=False), nn.Identity(), nn.ReLU6()", "w[0] = 0", [0]),
    ],
)
def test_a_zero_filter_is_found_in_every_kind_of_layer(
    tmp_path: Path, layers: str, weight: str, dead: list[int]
) -> None:
    code = f"""{HEAD}
def make():
    net = nn.Sequential({layers})
    layer = next(m for m in net if hasattr(m, "weight"))
    w, b = layer.weight.data, None if layer.bias is None else layer.bias.data
    w.abs_()
    if b is not None:
        b.fill_(1.0)
    {weight}
    return net
"""
    run = run_module(code, tmp_path, pictures(tmp_path)).run
    [tap] = [tap for tap in run.activations if tap.rectifier]
    assert tap.dead == dead
    assert [(death.cause, death.proved) for death in tap.deaths] == [("zero filter", True)]


def test_a_sum_of_two_branches_proves_nothing(tmp_path: Path) -> None:
    code = f"""{HEAD}
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.relu = nn.Conv2d(3, 2, 1), nn.Conv2d(3, 2, 1), nn.ReLU()
        for conv in (self.a, self.b):
            conv.weight.data.zero_(); conv.bias.data.fill_(-1)
    def forward(self, x):
        return self.relu(self.a(x) + self.b(x))
make = Net
"""
    run = run_module(code, tmp_path, pictures(tmp_path)).run
    [tap] = [tap for tap in run.activations if tap.rectifier]
    assert tap.dead == [0, 1]
    assert {death.cause for death in tap.deaths} == {"never above the threshold on these images"}


def test_a_shared_rectifier_is_explained_call_by_call(tmp_path: Path) -> None:
    code = f"""{HEAD}
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.relu = nn.Conv2d(3, 2, 1), nn.Conv2d(2, 4, 1), nn.ReLU(inplace=True)
        self.a.weight.data.abs_(); self.a.bias.data.fill_(1.0)
        self.b.weight.data.abs_(); self.b.bias.data.fill_(1.0)
        self.b.weight.data[3] = 0; self.b.bias.data[3] = -1
    def forward(self, x):
        return self.relu(self.b(self.relu(self.a(x))))
make = Net
"""
    run = run_module(code, tmp_path, pictures(tmp_path)).run
    taps = {tap.call: tap for tap in run.activations if tap.rectifier}
    assert taps[0].deaths == []
    assert [(death.channel, death.at) for death in taps[1].deaths] == [(3, "b")]
