"""Promises about norms: scale and running statistics of one module together, as NumPy computes them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.ops import FrozenBatchNorm2d

from featreport.collect.norms import measure_norms, norms_of_tensors


def touched(kind: type[nn.Module] = nn.BatchNorm2d) -> nn.Module:
    norm = kind(9, eps=1e-3)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        norm.weight.copy_(torch.randn(9, generator=generator))
        norm.bias.copy_(torch.randn(9, generator=generator))
        norm.running_mean.copy_(torch.randn(9, generator=generator))
        norm.running_var.copy_(torch.rand(9, generator=generator) + 0.5)
        norm.weight[[1, 4]] = torch.tensor([0.01, -0.0099])
        norm.bias[[1, 4]] = torch.tensor([0.2, -0.1])
        norm.running_var[[2, 6]] = torch.tensor([0.0, 1e-3])
    return norm


@pytest.mark.parametrize("kind", [nn.BatchNorm2d, FrozenBatchNorm2d])
def test_every_number_of_a_batch_norm_is_numpys(kind: type[nn.Module]) -> None:
    norm = touched(kind)
    (one,) = measure_norms(nn.Sequential(nn.Conv2d(3, 9, 1), norm))
    scale = norm.weight.detach().double().numpy() / np.sqrt(norm.running_var.double().numpy() + 1e-3)
    assert (one.layer, one.channels, one.eps) == ("1", 9, 1e-3)
    # float32's 0.01 lies below 0.01: it is counted
    assert (one.small_scale, one.closed, one.still) == ([1, 4], [4], [2])
    assert [one.effective_min, one.effective_median, one.effective_max] == pytest.approx(
        [scale.min(), np.median(scale), scale.max()], rel=1e-12
    )
    assert one.untouched is False


def test_a_norm_as_it_is_made_is_untouched_until_one_number_moves() -> None:
    norm = nn.BatchNorm1d(5)
    assert measure_norms(norm)[0].untouched is True
    for part, value in (
        ("weight", 1.5),
        ("running_mean", 0.1),
        ("running_var", 0.9),
        ("num_batches_tracked", 1),
    ):
        moved = nn.BatchNorm1d(5)
        moved.load_state_dict({**norm.state_dict(), part: torch.full_like(norm.state_dict()[part], value)})
        assert measure_norms(moved)[0].untouched is False, part


def test_norms_without_running_statistics_or_scale_say_what_they_have() -> None:
    model = nn.Sequential(
        nn.LayerNorm(6),
        nn.GroupNorm(2, 6),
        nn.BatchNorm2d(6, affine=False),
        nn.InstanceNorm2d(6),
        nn.Linear(6, 6),
    )
    found = {one.module: one for one in measure_norms(model)}
    assert set(found) == {"LayerNorm", "GroupNorm", "BatchNorm2d"}
    assert (found["LayerNorm"].small_scale, found["LayerNorm"].untouched) == ([], None)
    assert found["GroupNorm"].effective_median is None
    assert found["BatchNorm2d"].small_scale is None
    assert found["BatchNorm2d"].effective_median == pytest.approx(1 / np.sqrt(1 + 1e-5), rel=1e-12)


def test_a_state_dict_tells_its_norms_with_the_usual_eps() -> None:
    model = nn.Sequential(nn.Conv2d(3, 9, 1), touched(), nn.LayerNorm(9))
    found = {one.layer: one for one in norms_of_tensors(model.state_dict())}
    assert set(found) == {"1", "2"}
    assert (found["1"].eps, found["1"].small_scale, found["1"].still) == (None, [1, 4], [2])
    assert found["2"].untouched is None


def test_values_that_are_not_finite_are_left_out_of_the_effective_scale() -> None:
    norm = nn.BatchNorm1d(3)
    with torch.no_grad():
        norm.weight[0] = float("nan")
        norm.running_var[1] = float("inf")
    (one,) = measure_norms(norm)
    assert one.effective_max == pytest.approx(1 / np.sqrt(1 + 1e-5), rel=1e-12)
    assert one.small_scale == []
