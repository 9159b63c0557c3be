"""Promises of the weight statistics: each number is an independent NumPy float64 one, whatever the layer."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from featreport.collect import weights
from featreport.collect.summary import definitions
from featreport.collect.weights import measure_buffers, measure_tensors, measure_weights
from featreport.memory import Budget
from featreport.results.schema import Weight
from featreport.statistics import Settings
from featreport.statistics.weights import Subject, all_weight_statistics, spectrum
from featreport.statistics.weights.alpha import fit
from featreport.statistics.weights.gram import Gram
from featreport.statistics.weights.reading import measure, measure_all
from featreport.statistics.weights.untrained import SMALLEST

Array = NDArray[np.float64]
ALL = Settings(alpha=True)


def filters(layer: nn.Module) -> Array:
    """The filters of a layer as NumPy sees them: `[out, in, positions]`."""
    w = layer.weight.detach().double().numpy()
    if isinstance(layer, (nn.ConvTranspose1d, nn.ConvTranspose2d)):
        parts = np.split(w, layer.groups)  # [in / groups, out / groups, …] each
        w = np.concatenate([np.swapaxes(part, 0, 1) for part in parts])
    return w.reshape(*w.shape[:2], -1) if w.ndim > 2 else w[..., None]


def measured(layer: nn.Module, settings: Settings = ALL) -> Weight:
    return next(one for one in measure_weights(layer, settings) if one.name == "weight")


def planted(layer: nn.Module, seed: int, dtype: torch.dtype, zeros: float = 0.3) -> nn.Module:
    """Give a layer tenth-scaled noise, zeros, a dead filter, a quiet one and a copy."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        w = layer.weight
        w.copy_(torch.randn(w.shape, generator=generator) * 0.1)
        w[torch.rand(w.shape, generator=generator) < zeros] = 0
        rows = w.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else w
        if rows.shape[0] > 4:
            rows[1], rows[2], rows[3] = 0, rows[0] * 1e-3, rows[0] * -0.5
    return layer.to(dtype)


LAYERS = {
    "conv": lambda: nn.Conv2d(12, 20, 3),
    "conv1x1 wide": lambda: nn.Conv2d(40, 150, 1),
    "conv deep": lambda: nn.Conv2d(64, 128, 3),
    "conv1d": lambda: nn.Conv1d(9, 7, 5),
    "depthwise": lambda: nn.Conv2d(24, 24, 3, groups=24),
    "grouped": lambda: nn.Conv2d(24, 12, 3, groups=3),
    "transposed": lambda: nn.ConvTranspose2d(16, 10, 3),
    "transposed, grouped": lambda: nn.ConvTranspose2d(16, 12, 3, groups=4),
    "linear": lambda: nn.Linear(130, 110),
    "linear tall": lambda: nn.Linear(30, 200),
    "one unit": lambda: nn.Linear(9, 1),
    "one element": lambda: nn.Linear(1, 1),
}
TYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float64]


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("kind", LAYERS)
def test_every_number_of_every_kind_of_layer_is_numpys(kind: str, dtype: torch.dtype) -> None:
    layer = planted(LAYERS[kind](), len(kind), dtype)
    one, w = measured(layer), filters(layer)
    rows = w.reshape(w.shape[0], -1)
    assert (one.count, one.channels) == (rows.size, rows.shape[0])
    assert one.mean == pytest.approx(rows.mean(), rel=1e-10, abs=1e-16)
    assert one.std == (None if rows.size == 1 else pytest.approx(rows.std(ddof=1), rel=1e-12))
    assert (one.min, one.max) == (rows.min(), rows.max())
    assert (one.zeros, one.near_zeros) == ((rows == 0).sum(), (np.abs(rows) <= 1e-3).sum())

    peaks, norms = np.abs(rows).max(1), np.linalg.norm(rows, axis=1)
    assert one.dead == np.flatnonzero(peaks <= 1e-3).tolist()
    assert [(d.channel, d.peak) for d in one.dead_filters] == [(c, peaks[c]) for c in one.dead]
    assert [d.norm for d in one.dead_filters] == pytest.approx(
        norms[one.dead].tolist(), rel=1e-12, abs=1e-300
    )
    assert one.median_norm == pytest.approx(np.median(norms), rel=1e-12)

    singular = np.linalg.svd(rows, compute_uv=False)
    assert one.matrix == list(rows.shape)
    assert one.spectral_norm == pytest.approx(singular[0], rel=1e-7)
    if singular[0]:
        assert one.stable_rank == pytest.approx((singular**2).sum() / singular[0] ** 2, rel=1e-7)

    alive = rows[norms > 0] / norms[norms > 0, None]
    upper = np.abs((alive @ alive.T)[np.triu_indices(len(alive), 1)])
    assert one.pairs == upper.size
    assert one.redundant_pairs == (upper > 0.95).sum()
    assert one.zero_filters == (norms == 0).sum()
    assert sorted((abs(p.cosine) for p in one.closest), reverse=True) == pytest.approx(
        np.sort(upper[upper > 0.95])[::-1][:5].tolist(), rel=1e-12
    )

    if one.zeros / one.count >= 0.01 and w.shape[1] >= 4:
        whole = w.shape[1] // 4
        groups = w[:, : whole * 4].reshape(w.shape[0], whole, 4, -1)
        pruned = (groups == 0).sum(2) >= 2
        assert (one.two_four_groups, one.two_four) == (pruned.size, pruned.sum())
    else:
        assert one.two_four_fraction is None


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_tensors_read_together_have_the_numbers_they_have_alone(threads: int) -> None:
    generator = torch.Generator().manual_seed(7)
    shapes = [
        (),
        (1,),
        (0, 3),
        (40000,),
        (70, 900),
        (5, 0, 2),
        (900, 70),
        (1, 50000),
        (64, 3, 7, 7),
        (40000, 1),
    ]
    tensors = [(torch.randn(shape, generator=generator), False) for shape in shapes]
    tensors += [(torch.randn(4, 6, 5, 3, 3, generator=generator), True)]
    tensors += [(tensors[4][0].T, False), (tensors[5][0].half(), False), (tensors[8][0].double(), False)]
    for index, bad in ((3, math.nan), (6, math.inf), (7, -math.inf), (10, math.nan)):
        tensors[index][0].view(-1)[17] = bad
    tensors[9][0][-1] = 1e9  # a poor shift
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        together = measure_all(tensors, 1e-3)
        alone = [measure(tensor, 1e-3, transposed=turned) for tensor, turned in tensors]
    finally:
        torch.set_num_threads(before)
    for (tensor, turned), one, other in zip(tensors, together, alone, strict=True):
        w = tensor.double().numpy()
        fine = w[np.isfinite(w)]
        assert (one.count, one.finite, one.nonfinite) == (w.size, fine.size, w.size - fine.size)
        assert (one.zeros, one.near_zeros) == ((w == 0).sum(), (np.abs(w) <= 1e-3).sum())
        assert (one.low, one.high) == ((fine.min(), fine.max()) if fine.size else (math.inf, -math.inf))
        assert one.mean == (pytest.approx(fine.mean(), rel=1e-9) if fine.size else None)
        assert one.std == (pytest.approx(fine.std(ddof=1), rel=1e-9) if fine.size > 1 else None)
        rows = np.swapaxes(w, 1, 2) if turned else w
        rows = rows.reshape((-1, *rows.shape[2:])) if turned else rows
        rows = rows.reshape(rows.shape[0], math.prod(rows.shape[1:])) if w.ndim > 1 else rows.reshape(1, -1)
        if w.size:
            np.testing.assert_array_equal(one.peaks, np.abs(rows).max(1))
        assert (one.mean, one.std) == (other.mean, other.std)
        np.testing.assert_array_equal(one.peaks, other.peaks)
        np.testing.assert_array_equal(one.norms, other.norms)


@pytest.mark.parametrize("shape", [(300, 700), (700, 300), (97, 1500), (1500, 97), (256, 256)], ids=str)
@pytest.mark.parametrize(
    "spectrum", ["flat", "one direction", "two alike", "decaying", "rank one", "identity"]
)
def test_the_spectral_norm_is_numpys_to_1e_7_whatever_the_spectrum(
    shape: tuple[int, int], spectrum: str
) -> None:
    noise = np.random.default_rng(5)
    size = min(shape)
    left = np.linalg.qr(noise.normal(size=(shape[0], size)))[0]
    right = np.linalg.qr(noise.normal(size=(shape[1], size)))[0]
    values = {
        "flat": np.linspace(1, 0.9, size),
        "one direction": np.r_[50.0, np.ones(size - 1)],
        "two alike": np.r_[1 + 1e-6, 1.0, np.linspace(0.99, 0.1, size - 2)],
        "decaying": 1.0 / np.arange(1, size + 1),
        "rank one": np.r_[1.0, np.zeros(size - 1)],
        "identity": np.ones(size),
    }[spectrum]
    tensor = torch.from_numpy((left * values) @ right.T * 3e-4).float()
    (one,), _ = measure_tensors({"a.weight": tensor}, Settings())
    singular = np.linalg.svd(tensor.double().numpy(), compute_uv=False)
    assert one.spectral_norm == pytest.approx(singular[0], rel=1e-7)
    assert one.stable_rank == pytest.approx((singular**2).sum() / singular[0] ** 2, rel=2e-7)


def blocks(size: int) -> Tensor:
    """Two blocks of ones: σ₁ twice."""
    half = size // 2
    tensor = torch.zeros(size, size)
    tensor[:half, :half] = tensor[half:, half:] = 1
    return tensor


def live(shape: tuple[int, int], filters: int) -> Tensor:
    tensor = torch.zeros(shape)
    tensor[3 : 3 + filters] = torch.randn(filters, shape[1], generator=torch.Generator().manual_seed(8))
    return tensor


def loud(shape: tuple[int, int]) -> Tensor:
    tensor = torch.randn(shape, generator=torch.Generator().manual_seed(9))
    tensor[17] *= 1e6
    return tensor


CLOSED = {
    "ones": lambda: torch.ones(150, 170),
    "ones, tall": lambda: torch.ones(170, 150),
    "two blocks": lambda: blocks(256),
    "all the same": lambda: torch.full((200, 200), 0.1),
    "four live filters": lambda: live((256, 512), 4),
    "four live filters, tall": lambda: live((512, 256), 4),
    "four live inputs": lambda: live((256, 512), 4).T,
    "one loud filter": lambda: loud((199, 200)),
    "one loud filter, tall": lambda: loud((260, 200)),
}


@pytest.mark.parametrize("whole", [spectrum.WHOLE, 16])
@pytest.mark.parametrize("kind", CLOSED)
def test_the_spectral_norm_is_numpys_where_few_directions_are_alive(
    kind: str, whole: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spectrum, "WHOLE", whole)  # 16: by vectors
    tensor = CLOSED[kind]()
    (one,), _ = measure_tensors({"a.weight": tensor}, Settings())
    assert one.spectral_norm == pytest.approx(np.linalg.norm(tensor.double().numpy(), 2), rel=1e-7)


LARGE = {
    "ones": lambda: torch.ones(2100, 2150),
    "ones, tall": lambda: torch.ones(2150, 2100),
    "two blocks": lambda: blocks(2100),
    "all the same": lambda: torch.full((2100, 2100), 0.1),
    "four live filters": lambda: live((2100, 2200), 4),
    "four live filters, tall": lambda: live((2200, 2100), 4),
    "noise": lambda: torch.randn(2100, 2100, generator=torch.Generator().manual_seed(2)),
    "one loud filter": lambda: loud((2100, 2100)),
}


@pytest.mark.parametrize("kind", LARGE)
def test_the_spectral_norm_of_a_large_matrix_is_numpys(kind: str) -> None:
    tensor = LARGE[kind]()
    w = tensor.double().numpy()
    (one,), _ = measure_tensors({"a.weight": tensor}, Settings())
    assert one.spectral_norm == pytest.approx(math.sqrt(np.linalg.eigvalsh(w @ w.T)[-1]), rel=1e-7)


@pytest.mark.parametrize("shape", [(900, 1000), (1000, 900)], ids=str)
@pytest.mark.parametrize("power", [2, 3])
def test_the_spectral_norm_is_numpys_where_singular_values_crowd_at_the_top(
    shape: tuple[int, int], power: int
) -> None:
    """As those of a smoothing filter do: hundreds of vectors do not tell the first from those beside it."""
    noise, size = np.random.default_rng(6), min(shape)
    left, right = (np.linalg.qr(noise.normal(size=(side, size)))[0] for side in shape)
    tensor = torch.from_numpy(left * (1 - (np.arange(size) / size) ** power) @ right.T).float()
    (one,), _ = measure_tensors({"a.weight": tensor}, Settings())
    assert one.spectral_norm == pytest.approx(np.linalg.norm(tensor.double().numpy(), 2), rel=5e-7)


@pytest.mark.parametrize("shape", [(1100, 3000), (3000, 1100), (1030, 1025)], ids=str)
def test_the_number_of_threads_changes_no_bit_of_a_large_spectral_norm(shape: tuple[int, int]) -> None:
    tensor, before = torch.randn(shape, generator=torch.Generator().manual_seed(4)), torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            found.append(spectrum.spectral_norm(Subject("w", tensor, "weight")))
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("scale", [1e-35, 1e-20, 1e18, 1e30])
def test_no_scale_is_too_small_or_too_large_for_directions(scale: float) -> None:
    tensor = torch.randn(120, 200, generator=torch.Generator().manual_seed(1))
    tensor[5] = tensor[9] * 3
    (plain,), _ = measure_tensors({"a.weight": tensor}, Settings())
    (one,), _ = measure_tensors({"a.weight": tensor * scale}, Settings())
    assert (one.redundant_pairs, one.pairs) == (1, 120 * 119 // 2) == (plain.redundant_pairs, plain.pairs)
    assert one.spectral_norm == pytest.approx((plain.spectral_norm or 0) * scale, rel=1e-5)
    assert one.stable_rank == pytest.approx(plain.stable_rank, rel=1e-5)


@pytest.mark.parametrize("size", [1, 127, 128, 129, 300])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_gram_matrix_in_tiles_is_the_whole_one(size: int, dtype: torch.dtype) -> None:
    rows = torch.randn(size, 40, dtype=dtype)
    gram = Gram(size, torch.device("cpu"), dtype)
    gram.add(rows[:, :15])
    gram.add(rows[:, 15:])
    whole = rows @ rows.T
    vectors = torch.randn(3, size, dtype=dtype)
    assert torch.allclose(gram.times(vectors), vectors @ whole, rtol=1e-4, atol=1e-4)
    assert torch.allclose(gram.whole().tril(), whole.tril(), rtol=1e-5, atol=1e-5)
    assert sum(tile.numel() for _, tile in gram.tiles()) <= size * (size + 128) / 2


def test_matrices_of_products_are_held_side_by_side_within_a_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of AlexNet's 4,096 filters at once would take as much as its activations."""
    model = nn.Sequential(*(nn.Linear(64, 300) for _ in range(12)))
    plain = measure_weights(model, Settings())
    held: list[Subject] = []
    most: list[int] = []
    made = Subject.cosines.func  # type: ignore[attr-defined]  # a cached property

    def cosines(subject: Subject) -> Any:
        held.append(subject)
        most.append(sum("cosines" in one.__dict__ for one in held) + 1)
        return made(subject)

    counted: Any = cached_property(cosines)
    counted.__set_name__(Subject, "cosines")
    monkeypatch.setattr(Subject, "cosines", counted)
    monkeypatch.setattr(weights, "PRODUCTS", Budget(2 * 300 * 300))
    threads = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        assert measure_weights(model, Settings()) == plain
    finally:
        torch.set_num_threads(threads)
    assert most == [1] * 12
    assert not any("cosines" in one.__dict__ for one in held)


class OfItsOwn(nn.Module):
    """Lists what it trains, as older code does, without the arguments that torch has got since."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def named_parameters(self, prefix: str = "", recurse: bool = True) -> Any:
        return iter([("conv.weight", self.conv.weight)])


def test_a_network_that_lists_its_parameters_itself_has_all_of_them_measured() -> None:
    names = [weight.name for weight in measure_weights(OfItsOwn(), Settings())]
    assert names == ["conv.weight", "conv.bias", "norm.weight", "norm.bias"]
    assert len(weights.measure_buffers(OfItsOwn())) == 3


def test_a_cosine_at_the_threshold_is_decided_exactly() -> None:
    steps = [-(2**k) * 2.0**-40 for k in range(14)] + [2**k * 2.0**-40 for k in range(14)]
    base = torch.zeros(1 + len(steps), 600, dtype=torch.float64)
    base[0, 0] = 1
    for place, step in enumerate(steps, 1):
        base[place, 0], base[place, place] = 0.95 + step, math.sqrt(1 - (0.95 + step) ** 2)
    (one,), _ = measure_tensors({"a.weight": base}, Settings())
    assert one.redundant_pairs == 14
    assert {(pair.one, pair.other) for pair in one.closest} == {(0, place) for place in range(24, 29)}


def test_tensors_without_a_number_have_none_and_say_why() -> None:
    tensors = {
        "nan.weight": torch.full((4, 6), float("nan")),
        "inf.weight": torch.randn(4, 6).index_fill_(0, torch.tensor(2), float("inf")),
        "empty.weight": torch.empty(0, 6),
        "flat.weight": torch.empty(6, 0),
        "zero.weight": torch.zeros(4, 8),
    }
    found = {one.name: one for one in measure_tensors(tensors, ALL)[0]}
    for name in ("nan.weight", "inf.weight", "empty.weight", "flat.weight"):
        one = found[name]
        assert (one.spectral_norm, one.stable_rank, one.redundant_fraction) == (None, None, None)
    assert "not finite" in found["nan.weight"].reasons["spectral_norm"]
    assert (found["nan.weight"].nan, found["nan.weight"].mean, found["nan.weight"].dead) == (24, None, [])
    assert (found["inf.weight"].posinf, found["inf.weight"].dead) == (6, [])
    zero = found["zero.weight"]
    assert (zero.spectral_norm, zero.stable_rank, zero.pairs, zero.zero_filters) == (0.0, None, 0, 4)
    assert (zero.dead, zero.median_norm, zero.two_four_fraction) == ([0, 1, 2, 3], 0.0, 1.0)


def test_a_table_too_large_for_a_gram_matrix_is_left_out_with_the_reason() -> None:
    tensors = {"head.weight": torch.randn(8200, 16), "embed.weight": torch.randn(50_000, 8)}
    found = {one.name: one for one in measure_tensors(tensors, Settings())[0]}
    assert found["head.weight"].reasons["redundant_fraction"] == "more than 8,192 filters"
    assert found["head.weight"].redundant_fraction is None
    for name, one in found.items():
        singular = np.linalg.svd(tensors[name].double().numpy(), compute_uv=False)
        assert one.spectral_norm == pytest.approx(singular[0], rel=1e-7)
    assert (found["embed.weight"].kind, found["embed.weight"].pairs) == ("embedding", None)


def strip(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in {"name", "dtype", "tied"}}


STATISTICS = all_weight_statistics(ALL)


def values(statistic: Any, tensor: Tensor) -> dict[str, Any]:
    return statistic.value(Subject("w", tensor, "weight", near_zero=ALL.near_zero))


def close(one: Any, other: Any) -> None:
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            close(one[name], other[name])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            close(a, b)
    elif isinstance(one, float):
        assert other == pytest.approx(one, rel=1e-9, abs=1e-12)
    else:
        assert one == other


@pytest.mark.parametrize("statistic", STATISTICS, ids=lambda s: s.metric)
@pytest.mark.parametrize("shape", [(64, 400), (400, 64), (160, 8, 3, 3), (600, 700)], ids=str)
class TestLaws:
    def tensor(self, shape: tuple[int, ...]) -> Tensor:
        layer = nn.Linear(1, 1)
        layer.weight = nn.Parameter(torch.empty(shape))
        return planted(layer, 3, torch.float32).weight.detach()

    def test_half_precision_is_measured_as_float32_copies(
        self, statistic: Any, shape: tuple[int, ...]
    ) -> None:
        for dtype in (torch.float16, torch.bfloat16):
            half = self.tensor(shape).to(dtype)
            found, copy = values(statistic, half), values(statistic, half.float())
            close(found, copy)

    def test_the_number_of_threads_changes_no_bit(self, statistic: Any, shape: tuple[int, ...]) -> None:
        tensor, before = self.tensor(shape), torch.get_num_threads()
        found = []
        try:
            for threads in (1, 2, 4):
                torch.set_num_threads(threads)
                found.append(values(statistic, tensor))
        finally:
            torch.set_num_threads(before)
        assert found[0] == found[1] == found[2]

    def test_permuted_filters_permute_indices_only(self, statistic: Any, shape: tuple[int, ...]) -> None:
        tensor = self.tensor(shape)
        order = torch.randperm(shape[0], generator=torch.Generator().manual_seed(1))
        found, moved = values(statistic, tensor), values(statistic, tensor[order])
        for name in ("dead", "dead_filters", "closest", "sketch", "digest"):
            found.pop(name, None)
            indices = moved.pop(name, None)
            if name == "dead" and indices is not None:
                assert sorted(order[indices].tolist()) == values(statistic, tensor)["dead"]
        close(found, moved)

    def test_strides_change_no_bit(self, statistic: Any, shape: tuple[int, ...]) -> None:
        tensor = self.tensor(shape)
        wide = torch.stack([tensor, torch.zeros_like(tensor)], -1)[..., 0]
        assert not wide.is_contiguous()
        assert values(statistic, wide) == values(statistic, tensor)

    def test_nothing_one_element_and_nan_have_an_answer(self, statistic: Any, shape: tuple[int, ...]) -> None:
        for tensor in (torch.empty(0, *shape[1:]), torch.full((1, 1), 2.0), torch.full(shape, float("nan"))):
            for value in values(statistic, tensor).values():
                assert not isinstance(value, float) or math.isfinite(value)


INITIALISATIONS = {
    "PyTorch's default": lambda w: nn.init.kaiming_uniform_(w, a=math.sqrt(5)),
    "Kaiming normal (fan_in)": lambda w: nn.init.kaiming_normal_(w, mode="fan_in"),
    "Kaiming normal (fan_out)": lambda w: nn.init.kaiming_normal_(w, mode="fan_out"),
    "Kaiming uniform (fan_in)": lambda w: nn.init.kaiming_uniform_(w, mode="fan_in"),
    "Xavier normal": lambda w: nn.init.xavier_normal_(w, 1.0),
    "Xavier uniform": lambda w: nn.init.xavier_uniform_(w, 1.0),
    "normal of std 0.02": lambda w: nn.init.trunc_normal_(w, std=0.02),
}


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("init", INITIALISATIONS)
def test_a_tensor_fresh_from_its_initialisation_looks_untrained(init: str, dtype: torch.dtype) -> None:
    torch.manual_seed(7)
    layer = nn.Conv2d(48, 80, 3)
    INITIALISATIONS[init](layer.weight)
    one = measured(layer.to(dtype))
    assert one.looks_untrained is True
    assert (one.initialisation or "").startswith(init)


def test_another_mean_std_or_form_does_not_look_untrained() -> None:
    generator = torch.Generator().manual_seed(0)
    std = math.sqrt(2 / 432)
    fresh = torch.randn(80, 48, 3, 3, generator=generator) * std
    heavy = torch.distributions.Laplace(0.0, 1.0)
    torch.manual_seed(3)
    altered = {
        "shifted": fresh + 0.05 * std,
        "wider": fresh * 1.05,
        "heavy": heavy.sample(fresh.shape) * std / math.sqrt(2),
        "pruned": torch.where(fresh.abs() < 0.3 * std, 0.0, fresh),
    }
    for name, tensor in altered.items():
        (one,), _ = measure_tensors({"a.weight": tensor}, Settings())
        assert one.looks_untrained is False, name
        assert one.initialisation is None
    (small,), _ = measure_tensors({"a.weight": fresh[:8]}, Settings())
    assert small.looks_untrained is None
    assert small.reasons["looks_untrained"] == f"fewer than {SMALLEST:,} elements"


@pytest.mark.parametrize("alpha", [1.8, 2.5, 4.0])
def test_alpha_recovers_the_exponent_of_a_power_law_above_a_bulk(alpha: float) -> None:
    noise = np.random.default_rng(0)
    tail = 3.0 * (1 - noise.random(4000)) ** (-1 / (alpha - 1))
    found = fit(np.r_[tail, noise.uniform(0.5, 3.0, 2000)])
    assert found is not None
    assert found[0] == pytest.approx(alpha, abs=5 * (alpha - 1) / math.sqrt(found[3]))
    assert found[1] > 2.0


def test_alpha_is_off_unless_asked_for() -> None:
    layer = nn.Linear(80, 90)
    assert measured(layer, Settings()).alpha is None
    assert "alpha" not in {d.metric.rpartition(".")[2] for d in definitions(Settings())}
    one = measured(layer, ALL)
    values = np.linalg.svd(layer.weight.detach().double().numpy(), compute_uv=False) ** 2
    assert one.alpha == pytest.approx(fit(values)[0], rel=1e-6)
    assert "alpha" in {d.metric.rpartition(".")[2] for d in definitions(ALL)}


def test_every_statistic_of_weights_is_defined_in_the_report() -> None:
    said = {definition.metric: definition.sentence for definition in definitions(ALL)}
    for statistic in STATISTICS:
        assert len(said[statistic.metric]) > 20
    assert "0.25" in {d.metric: d.sentence for d in definitions(Settings(near_zero=0.25))}["weights.dead"]


@pytest.mark.parametrize(
    "form",
    [
        Tensor.to_sparse,
        Tensor.to_sparse_csr,
        lambda dense: torch.quantize_per_channel(
            dense, torch.full((6,), 0.5), torch.zeros(6), 0, torch.qint8
        ),
    ],
    ids=["coo", "csr", "quantized"],
)
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor", "ignore:Sparse CSR")
def test_sparse_and_quantized_parameters_and_buffers_are_measured_as_what_they_stand_for(
    form: Callable[[Tensor], Tensor],
) -> None:
    values = torch.randint(-4, 5, (6, 8)) * 0.5
    values[2] = 0
    model = nn.Linear(8, 6, bias=False)
    model.weight = nn.Parameter(form(values), requires_grad=False)
    model.register_buffer("table", form(values))
    [weight], [buffer] = measure_weights(model, Settings()), measure_buffers(model)
    assert (weight.zeros, weight.count, weight.dead) == (int((values == 0).sum()), 48, [2])
    assert weight.mean == buffer.mean == pytest.approx(values.double().mean().item(), abs=1e-15)
    assert weight.spectral_norm == pytest.approx(float(np.linalg.norm(values.numpy(), 2)), rel=1e-6)


def test_a_tied_weight_is_measured_once() -> None:
    model = nn.ModuleDict({"a": nn.Embedding(30, 20), "b": nn.Linear(20, 30, bias=False)})
    model["b"].weight = model["a"].weight
    (one,) = measure_weights(model, Settings())
    assert (one.name, one.tied, one.kind) == ("a.weight", ["b.weight"], "embedding")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_tensor_marked_as_negative_is_read_as_its_values(dtype: torch.dtype) -> None:
    """The imaginary part of a conjugate is memory of the other sign, and a mark that says so."""
    marked = torch._neg_view(torch.arange(12, dtype=dtype).reshape(3, 4))
    for tensor in (marked, marked.t(), torch.ones(3).mul(1j).conj().imag):
        assert tensor.is_neg()
        assert measure(tensor, 0.0).mean == tensor.resolve_neg().mean().item() < 0
