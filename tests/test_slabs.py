"""Promises of the measuring of weights: NumPy's float64 numbers of a whole tensor, in bounded memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from featreport.collect.weights import measure_buffers, measure_tensors, measure_weights
from featreport.statistics import Settings
from featreport.statistics.weights import slabs
from featreport.statistics.weights.reading import Numbers, measure, spread

REAL = [torch.float32, torch.float16, torch.bfloat16, torch.float64]


@pytest.fixture
def small_slabs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slabs.boxes, "__defaults__", (7,))


def make(seed: int, shape: tuple[int, ...], dtype: torch.dtype, spoil: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    tensor = torch.randn(shape, generator=generator) * 10.0 ** (seed % 5 - 2) + seed % 3
    flat = tensor.reshape(-1)
    for position in range(min(spoil, flat.numel())):
        flat[position * 5 % flat.numel()] = (0.0, float("nan"), float("inf"), -float("inf"), 5e-4)[
            position % 5
        ]
    return flat.reshape(shape).to(dtype)


def agree(tensor: torch.Tensor, found: Numbers) -> None:
    """Hold `found` to NumPy's float64 numbers of the whole tensor."""
    array = tensor.double().numpy()
    finite = array[np.isfinite(array)]
    assert found.count == array.size
    assert found.finite == finite.size
    assert found.zeros == np.count_nonzero(array == 0)
    assert found.near_zeros == np.count_nonzero(np.abs(array) <= 1e-3)
    assert (found.nan, found.posinf, found.neginf) == (
        np.isnan(array).sum(),
        np.isposinf(array).sum(),
        np.isneginf(array).sum(),
    )
    second = spread(tensor, found)
    histogram, relative = second, second.near
    if not finite.size:
        assert not histogram.counts.size
        return
    assert found.mean == pytest.approx(finite.mean(), rel=1e-12, abs=1e-12 * np.abs(finite).max())
    assert (found.low, found.high) == (finite.min(), finite.max())
    if found.high > found.low:
        counts, edges = np.histogram(finite, bins=50)
        assert np.array_equal(histogram.counts, counts)
        assert np.array_equal(histogram.edges, edges)
    assert sum(histogram.counts) == finite.size
    if finite.size > 1:
        std = finite.std(ddof=1)
        assert found.std == pytest.approx(std, rel=1e-12, abs=1e-15 * np.abs(finite).max())
        assert relative == np.count_nonzero(np.abs(array) <= 0.01 * (found.std or 0))
    if array.ndim > 1:
        rows = array.reshape(array.shape[0], -1)
        peaks = np.abs(rows).max(1)
        assert np.array_equal(found.peaks, peaks, equal_nan=True)


LAYOUTS = {
    "as it is": lambda t: t,
    "transposed": lambda t: t.transpose(0, -1),
    "every second": lambda t: t[::2],
    "expanded": lambda t: t[:1].expand(9, *t.shape[1:]),
    "flipped inside": lambda t: torch.cat([t, t], -1)[..., 1:-1],
}
CASES = {
    "seed": st.integers(0, 10**6),
    "shape": st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple),
    "dtype": st.sampled_from(REAL),
    "spoil": st.integers(0, 6),
    "layout": st.sampled_from(sorted(LAYOUTS)),
}


@pytest.mark.usefixtures("small_slabs")
@given(**CASES)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_every_number_is_numpys_however_the_tensor_is_cut(
    seed: int, shape: tuple[int, ...], dtype: torch.dtype, spoil: int, layout: str
) -> None:
    tensor = LAYOUTS[layout](make(seed, shape, dtype, spoil))
    agree(tensor, measure(tensor, 1e-3))


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("shape", [(200_001,), (3, 70_000), (70_000, 3), (37, 5, 1001)], ids=str)
def test_every_number_is_numpys_of_slabs_as_they_are(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    tensor = make(3, shape, dtype, 5)
    agree(tensor, measure(tensor, 1e-3))


@given(
    values=st.lists(st.sampled_from([k / 50 for k in range(-50, 51)] + [1 / 3, 1e-9, -1e-9]), min_size=2),
    scale=st.sampled_from([1.0, 0.02, 3e-20, 7e30, 1e-37]),
    repeat=st.sampled_from([1, 40]),
)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_values_at_the_edges_of_bins_are_counted_as_numpy_counts_them(
    values: list[float], scale: float, repeat: int
) -> None:
    tensor = torch.cat([torch.tensor(values) * scale, torch.randn(repeat * len(values)).clamp(-1, 1) * scale])
    agree(tensor, measure(tensor, 1e-3))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int32, torch.int64, torch.bool])
def test_integers_are_measured_as_numbers(dtype: torch.dtype) -> None:
    tensor = torch.arange(3000).reshape(60, 50).to(dtype)
    agree(tensor, measure(tensor, 1e-3))


def test_of_complex_numbers_the_real_part_is_measured() -> None:
    real, imaginary = torch.randn(40, 3), torch.randn(40, 3)
    found = measure(torch.complex(real, imaginary), 1e-3)
    assert (found.low, found.high) == (float(real.min()), float(real.max()))


@pytest.mark.parametrize(
    "values",
    [[1e20, 1e20], [-3.4e38, 3.4e38], [-1e300, 1e300], [1e308, 1.1e308], [5e-324, 0.0], [1.0, 1.0 + 2**-52]],
    ids=str,
)
def test_no_number_is_too_large_or_too_near_to_another(values: list[float]) -> None:
    tensor = torch.tensor(values, dtype=torch.float64)
    found = measure(tensor, 1e-3)
    assert sum(spread(tensor, found).counts) == 2
    assert found.mean is None or np.isfinite(found.mean)
    assert found.std is None or np.isfinite(found.std)
    assert (found.low, found.high, found.nonfinite) == (min(values), max(values), 0)


def test_an_empty_tensor_has_no_numbers() -> None:
    found = measure(torch.empty(0, 3), 1e-3)
    assert (found.count, found.finite, found.mean, found.std) == (0, 0, None, None)
    assert not spread(torch.empty(0, 3), found).counts.size
    (weight,), _ = measure_tensors({"a.weight": torch.empty(4, 0)}, Settings())
    assert (weight.channels, weight.dead) == (4, [])


@pytest.mark.usefixtures("small_slabs")
@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(3, 1).expand(3, 50).transpose(0, 1),
        torch.zeros(2, 3, 40).transpose(0, 2),
        torch.zeros(1).expand(1000),
        torch.zeros(1, 100).expand(4, 100),
    ],
    ids=lambda tensor: str(tuple(tensor.shape)),
)
def test_no_piece_is_larger_than_a_slab_whatever_the_layout(tensor: torch.Tensor) -> None:
    pieces = [slab.size for slab in slabs.slabs(tensor)]
    assert max(pieces) <= 7
    assert sum(pieces) == tensor.numel()


def test_an_expanded_tensor_is_never_held_whole() -> None:
    huge = torch.full((1, 1), 0.25).expand(3000, 3000).transpose(0, 1)  # 36 MB as float32
    tracemalloc.start()  # NumPy's buffers are counted, as torch's would not be
    measure(huge, 1e-3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 2**20


@pytest.mark.usefixtures("small_slabs")
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_dead_filters_of_a_transposed_convolution_are_output_channels(groups: int) -> None:
    layer = nn.ConvTranspose2d(8, 12, 3, groups=groups)
    with torch.no_grad():
        shaped = layer.weight.view(groups, 8 // groups, 12 // groups, 3, 3)
        shaped[groups - 1, :, 1] = 0
    (weight, _) = measure_weights(layer, Settings())
    assert weight.channels == 12
    assert weight.dead == [(groups - 1) * (12 // groups) + 1]


def test_half_precision_is_measured_as_the_file_stores_it_under_every_name_and_in_buffers() -> None:
    model = nn.ModuleDict(
        {"a": nn.Linear(3, 3, bias=False), "b": nn.Linear(3, 3, bias=False), "n": nn.BatchNorm1d(3)}
    )
    model["b"].weight = model["a"].weight
    stored = {"b.weight": torch.randn(3, 3).half(), "n.running_mean": torch.randn(3).half()}
    weights = {weight.name: weight for weight in measure_weights(model, Settings(), stored)}
    buffers = {buffer.name: buffer for buffer in measure_buffers(model, stored)}
    assert (weights["a.weight"].dtype, weights["a.weight"].tied) == ("float16", ["b.weight"])
    assert weights["a.weight"].max == stored["b.weight"].double().max()
    assert (buffers["n.running_mean"].dtype, buffers["n.running_var"].dtype) == ("float16", "float32")


def test_names_and_shapes_tell_what_a_tensor_is() -> None:
    tensors = {
        "patch_embed.proj.weight": torch.randn(4, 3, 2, 2),
        "patch_embed.proj.bias": torch.randn(4),
        "pos_embed": torch.randn(1, 5, 4),
        "token_embedding.weight": torch.randn(9, 4),
        "norm.weight": torch.randn(4),
        "norm.bias": torch.randn(4),
        "attn.in_proj_weight": torch.randn(12, 4),
        "attn.in_proj_bias": torch.randn(12),
        "layer_scale.gamma": torch.randn(4),
        "logit_scale": torch.tensor(1.0),
    }
    tied = {"head.weight": tensors["token_embedding.weight"]}
    buffers = {
        "bn.running_var": torch.ones(4),
        "bn.num_batches_tracked": torch.tensor(3),
        "index": torch.arange(4),
    }
    weights, found = measure_tensors(tensors | tied | buffers, Settings())
    assert {weight.name: weight.kind for weight in weights} == {
        "patch_embed.proj.weight": "weight",
        "patch_embed.proj.bias": "bias",
        "pos_embed": "embedding",
        "token_embedding.weight": "embedding",
        "norm.weight": "norm",
        "norm.bias": "norm",
        "attn.in_proj_weight": "weight",
        "attn.in_proj_bias": "bias",
        "layer_scale.gamma": "norm",
        "logit_scale": "other",
    }
    assert [weight.tied for weight in weights if weight.name == "token_embedding.weight"] == [["head.weight"]]
    assert [buffer.name for buffer in found] == list(buffers)
