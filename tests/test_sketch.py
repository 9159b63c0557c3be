"""Promises of the weight sketch: what it is, that it estimates distances, and that a digest tells equal tensors."""

from __future__ import annotations

import base64
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from featreport.collect.weights import measure_weights
from featreport.judge.compare.drift import drift
from featreport.results.schema import Weight
from featreport.statistics import Settings
from featreport.statistics.weights.sketch import CHUNK, SEED, read

MASK = (1 << 64) - 1


def splitmix(count: int) -> list[int]:
    """SplitMix64 as its authors wrote it, one number after the other."""
    state, found = SEED, []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        found.append(z ^ (z >> 31))
    return found


def plainly(tensor: Tensor) -> np.ndarray:
    """The sketch by its definition, an element at a time."""
    flat = tensor.detach().double().flatten().tolist()
    words, sums = splitmix(-(-len(flat) // 64)), np.zeros(61)
    for place, value in enumerate(flat):
        sums[place % 61] += -value if words[place // 64] >> (place % 64) & 1 else value
    return sums


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def weight(tensor: Tensor) -> Weight:
    layer = nn.Module()
    layer.weight = nn.Parameter(tensor, requires_grad=False)
    return measure_weights(layer, Settings())[0]


@pytest.mark.parametrize(
    "shape", [(3,), (61,), (64,), (65,), (100, 333), (17, 5, 3, 3), (2 * CHUNK + 77,)], ids=str
)
def test_the_sketch_is_its_definition(shape: tuple[int, ...]) -> None:
    tensor = noise(*shape)
    found, _ = read(tensor)
    assert found is not None
    scale = math.sqrt(tensor.numel())
    np.testing.assert_allclose(found, plainly(tensor), rtol=0, atol=1e-6 * scale)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16], ids=str)
def test_strides_and_devices_of_memory_change_nothing(dtype: torch.dtype) -> None:
    tensor = noise(70, 3, 41, 11).to(dtype)
    scattered = torch.stack([tensor, torch.zeros_like(tensor)], -1)[..., 0]
    turned = tensor.movedim(0, -1).contiguous().movedim(-1, 0)
    assert not scattered.is_contiguous()
    assert not turned.is_contiguous()
    first = read(tensor)
    for other in (scattered, turned):
        found = read(other)
        assert found[1] == first[1]
        np.testing.assert_array_equal(found[0], first[0])


def test_the_estimated_distance_is_unbiased_and_its_error_is_the_stated_one() -> None:
    ratios = []
    for seed in range(200):
        one, other = noise(40, 90, seed=seed), noise(40, 90, seed=seed + 1000)
        difference = read(one)[0] - read(other)[0]
        ratios.append(float((difference**2).sum()) / float(((one - other).double() ** 2).sum()))
    assert np.mean(ratios) == pytest.approx(1, abs=3 * math.sqrt(2 / 61 / 200))
    assert np.std(ratios) == pytest.approx(math.sqrt(2 / 61), rel=0.2)


def test_structured_differences_are_estimated_as_well_as_noise() -> None:
    """A shift of all weights, of one column, of every 64th: neither signs nor coordinates conspire."""
    base = noise(512, 1024)
    for step in (1, 64, 576, 1024):
        ratios = []
        for start in range(0, 64, 3):
            moved = torch.zeros_like(base)
            moved.view(-1)[start::step] += 0.5
            found = float((read(moved)[0] ** 2).sum())
            ratios.append(found / float((moved.double() ** 2).sum()))
        assert np.std(ratios) < 1.6 * math.sqrt(2 / 61)
        assert np.mean(ratios) == pytest.approx(1, abs=0.3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16], ids=str)
def test_any_single_change_changes_the_digest(dtype: torch.dtype) -> None:
    tensor = noise(3000).to(dtype)
    seen = {read(tensor)[1]}
    for place in (0, 1, 2, 1499, 2998, 2999):
        other = tensor.clone()
        other[place] = torch.nextafter(other[place], torch.tensor(9.0, dtype=dtype))
        seen.add(read(other)[1])
    flipped = -tensor  # every sign bit, an even number of them
    swapped = tensor.flip(0)
    seen |= {
        read(flipped)[1],
        read(swapped)[1],
        read(tensor[:-1])[1],
        read(torch.cat([tensor, tensor[:1] * 0]))[1],
    }
    assert len(seen) == 11
    assert all(len(digest) == 16 and int(digest, 16) >= 0 for digest in seen)


def test_values_that_are_no_numbers_have_a_digest_and_no_sketch() -> None:
    for bad in (math.nan, math.inf, -math.inf):
        tensor = noise(10, 20)
        tensor[3, 4] = bad
        found = weight(tensor)
        assert found.sketch is None
        assert "no numbers" in found.reasons["sketch"]
        assert found.digest == weight(tensor.clone()).digest != weight(noise(10, 20)).digest
    huge = weight(torch.full((4000, 10), 3e38))
    assert huge.sketch is None
    assert "float32" in huge.reasons["sketch"]


def test_what_a_report_keeps_of_a_tensor_is_small() -> None:
    found = weight(noise(64, 64))
    assert len(found.sketch) == 328
    assert len(base64.b64decode(found.sketch)) == 244
    assert len(base64.b64decode(weight(noise(5, 3)).sketch)) == 60
    assert weight(torch.empty(0, 3)).sketch == ""


def test_equal_tensors_have_drift_exactly_zero_and_small_ones_an_exact_drift() -> None:
    same = drift(weight(noise(50, 60)), weight(noise(50, 60)))
    assert (same.identical, same.relative, same.distance, same.cosine, same.relative_error) == (
        True,
        0,
        0,
        1,
        0,
    )
    one, other = noise(6, 9, seed=1), noise(6, 9, seed=2)
    small = drift(weight(one), weight(other))
    exact = float((one - other).double().norm() / one.double().norm())
    assert small.relative == pytest.approx(exact, rel=1e-6)
    assert small.relative_error == 0
    cosine = float((one.double() * other.double()).sum() / (one.double().norm() * other.double().norm()))
    assert small.cosine == pytest.approx(cosine, abs=1e-6)
    nothing = drift(weight(torch.zeros(9, 9)), weight(noise(9, 9)))
    assert nothing.relative is None
    assert "zeros" in nothing.reason


def test_small_drifts_are_seen() -> None:
    base = noise(300, 400)
    for size in (1e-2, 1e-4, 1e-5):
        moved = base + size * noise(300, 400, seed=5)
        found = drift(weight(base), weight(moved))
        exact = float((moved - base).double().norm() / base.double().norm())
        assert abs(found.relative - exact) < 4 * found.relative_error
