"""Laws that every registered statistic keeps, and agreement with NumPy in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from featreport.statistics import Seen, Settings, all_statistics, blocks
from featreport.statistics import block as block_room

SETTINGS = Settings(dead=0.0, near_zero=1e-3)


def measure(
    values: torch.Tensor, cuts: int = 1, merge: bool = False, chosen: Settings = SETTINGS
) -> dict[str, Any]:
    """Every statistic of `[n, c, p]`, streamed in `cuts` batches, or measured apart and merged."""
    statistics = all_statistics(chosen)
    parts = [part for part in values.tensor_split(cuts) if part.numel()] or [values]
    states = [
        [s.start(values.shape[1], values.device) for s in statistics] for _ in (parts if merge else [0])
    ]
    for index, part in enumerate(parts):
        for block in blocks(part):
            for statistic, state in zip(statistics, states[index if merge else 0], strict=True):
                statistic.update(state, block)
    for other in states[1:]:
        for statistic, state, more in zip(statistics, states[0], other, strict=True):
            statistic.merge(state, more)
    seen = Seen(values.shape[0], values.shape[0] * values.shape[2])
    out: dict[str, Any] = {}
    for statistic, state in zip(statistics, states[0], strict=True):
        out |= statistic.value({name: tensor.numpy() for name, tensor in state.items()}, seen)
    return out


def reference(values: NDArray[np.floating[Any]], chosen: Settings = SETTINGS) -> dict[str, Any]:
    """The same numbers by plain NumPy in float64."""
    a = values.astype(np.float64)
    finite = a[np.isfinite(a)]
    magnitude = np.abs(a)
    with np.errstate(invalid="ignore"):
        fired = (~(magnitude <= chosen.dead)).any(2).sum(0)
    per_channel = [a[:, c].ravel() for c in range(a.shape[1])]
    constant = [
        c for c, v in enumerate(per_channel)
        if v.size > 1 and np.isfinite(v).all() and v.min() == v.max() and np.abs(v).max() > chosen.dead
    ]  # fmt: skip
    return {
        "mean": finite.mean() if finite.size else None,
        "std": finite.std() if finite.size else None,
        "min": finite.min() if finite.size else None,
        "max": finite.max() if finite.size else None,
        "zeros": int((a == 0).sum()),
        "near_zeros": int((magnitude <= chosen.near_zero).sum()),
        "nan": int(np.isnan(a).sum()),
        "posinf": int((a == np.inf).sum()),
        "neginf": int((a == -np.inf).sum()),
        "dead": np.flatnonzero(fired == 0).tolist(),
        "fired_images": fired.tolist(),
        "constant": constant,
    }


def assert_agree(got: dict[str, Any], want: dict[str, Any], scale: float = 0.0) -> None:
    for name, value in want.items():
        if name in {"mean", "std"} and value is not None:
            assert got[name] == pytest.approx(value, rel=1e-9, abs=1e-9 * scale), name
        else:
            assert got[name] == value, name


def tensor(seed: int, shape: tuple[int, int, int], scale: float = 1.0, offset: float = 0.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(shape, generator=generator) * scale + offset
    values[:, ::3] = values[:, ::3].relu()
    if shape[1] > 4:
        values[:, 1] = 0.0
        values[:, 4] = 0.25
    return values


@pytest.mark.parametrize(
    ("scale", "offset"), [(1, 0), (1, 1e4), (1e-3, -5), (1e-30, 0), (1e30, 0), (1e-41, 0), (1e-2, 100)]
)
def test_every_number_agrees_with_numpy_in_float64(scale: float, offset: float) -> None:
    values = tensor(0, (5, 7, 1000), scale, offset)
    values[:, 1] = 0.0
    got = measure(values, cuts=2)
    a = values.double().numpy()
    assert_agree(got, reference(a), scale=float(np.abs(a).max()))
    edges = np.array(got["histogram"]["edges"])
    assert np.histogram(a, edges)[0].tolist() == got["histogram"]["counts"]
    assert sum(got["histogram"]["counts"]) == a.size
    assert 0.0 in edges or edges[0] > 0 or edges[-1] < 0


@pytest.mark.parametrize("merge", [False, True])
@pytest.mark.parametrize("cuts", [1, 2, 3, 8])
def test_cutting_into_batches_and_merging_changes_nothing(cuts: int, merge: bool) -> None:
    values = tensor(1, (8, 6, 50))
    got = measure(values, cuts, merge)
    assert_agree(got, reference(values.numpy()), scale=4.0)
    assert got["histogram"] == measure(values)["histogram"]


def test_cutting_into_slabs_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values = tensor(2, (4, 9, 33))
    whole = measure(values)
    for room in (1, 40, 100, 300):
        monkeypatch.setattr(block_room, "CPU_SLAB", room)
        got = measure(values)
        assert got.pop("mean") == pytest.approx(whole["mean"], rel=1e-12)
        assert got.pop("std") == pytest.approx(whole["std"], rel=1e-12)
        assert got == {name: value for name, value in whole.items() if name not in {"mean", "std"}}


def test_permuting_images_changes_nothing_and_permuting_channels_moves_indices() -> None:
    values = tensor(3, (6, 8, 20))
    assert_agree(measure(values.flip(0)), reference(values.numpy()), scale=4.0)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    got = measure(values[:, order])
    assert_agree(got, reference(values[:, order].numpy()), scale=4.0)
    assert sorted(order[got["dead"]].tolist()) == measure(values)["dead"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gives_what_its_float32_copy_gives(dtype: torch.dtype) -> None:
    values = tensor(4, (3, 6, 4000), scale=200.0).to(dtype)  # a float16 sum would overflow
    assert measure(values) == measure(values.float())
    assert_agree(measure(values), reference(values.float().numpy()), scale=1000.0)


def test_nonfinite_values_are_counted_apart_and_left_out() -> None:
    values = tensor(5, (3, 6, 10))
    values[0, 0, 0] = float("nan")
    values[1, 2, 3] = float("inf")
    values[2, 3, 4:6] = float("-inf")
    values[:, 5] = float("nan")
    got = measure(values, cuts=3)
    a = values.numpy()
    assert_agree(got, reference(a), scale=4.0)
    assert got["nonfinite"] == 1 + 1 + 2 + 30
    edges = np.array(got["histogram"]["edges"])
    assert np.histogram(a[np.isfinite(a)].astype(np.float64), edges)[0].tolist() == got["histogram"]["counts"]
    assert 5 not in got["dead"]


def test_a_channel_without_any_number_is_null_never_nan() -> None:
    got = measure(torch.full((2, 3, 4), float("nan")))
    assert [got[name] for name in ("mean", "std", "min", "max")] == [None] * 4
    assert got["histogram"] == {"edges": [], "counts": []}
    assert got["dead"] == []


def test_one_element() -> None:
    got = measure(torch.full((1, 1, 1), 2.5))
    assert (got["mean"], got["std"], got["min"], got["max"]) == (2.5, 0.0, 2.5, 2.5)
    assert got["constant"] == []  # one value cannot show that it never changes
    assert sum(got["histogram"]["counts"]) == 1


def test_strided_views_measure_as_their_copies() -> None:
    base = tensor(6, (4, 5, 30))
    view = base.transpose(1, 2).contiguous().transpose(1, 2)
    assert not view.is_contiguous()
    assert_agree(measure(view), reference(base.numpy()), scale=4.0)


def test_thresholds_decide_as_exact_numbers_do() -> None:
    just_over = np.float32(0.001)  # 0.0010000000475, above 0.001
    values = torch.tensor([[[float(just_over), float(np.nextafter(just_over, np.float32(0)))]]])
    assert measure(values)["near_zeros"] == 1
    loud = Settings(dead=0.1, near_zero=0.5)
    values = torch.tensor([[[0.1, -0.05], [-0.2, 0.0]]])  # float32(0.1) is above 0.1
    assert measure(values, chosen=loud)["dead"] == []
    assert measure(values * 0.5, chosen=loud)["dead"] == [0]  # channel 1 reaches float32(0.1) again


def test_a_small_variance_far_from_zero_survives() -> None:
    generator = torch.Generator().manual_seed(7)
    values = (100 + 0.01 * torch.randn((4, 2, 5000), generator=generator)).float()
    want = values.double().numpy().std()
    assert measure(values)["std"] == pytest.approx(want, rel=1e-9)


@pytest.mark.parametrize(
    ("name", "data", "mean", "std"),
    [  # NIST StRD univariate: certified mean and sample standard deviation
        ("NumAcc1", [10000001, 10000003, 10000002], 10000002.0, 1.0),
        ("NumAcc2", [1.2] + [1.1, 1.3] * 500, 1.2, 0.1),
        ("NumAcc3", [1000000.2] + [1000000.1, 1000000.3] * 500, 1000000.2, 0.1),
        ("NumAcc4", [10000000.2] + [10000000.1, 10000000.3] * 500, 10000000.2, 0.1),
    ],
)
def test_moments_agree_with_nist_reference_sets(
    name: str, data: list[float], mean: float, std: float
) -> None:
    values = torch.tensor(data, dtype=torch.float64).reshape(-1, 1, 1)
    got = measure(values, cuts=7)
    assert got["mean"] == pytest.approx(mean, rel=1e-15)
    sample = got["std"] * np.sqrt(len(data) / (len(data) - 1))
    assert sample == pytest.approx(std, rel=1e-7), name


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 5),
    st.integers(1, 6),
    st.integers(1, 9),
    st.sampled_from([1e-38, 1e-6, 1.0, 1e6, 1e37]),
    st.integers(0, 2**16),
)
def test_any_shape_and_scale_agrees_with_numpy(n: int, c: int, p: int, scale: float, seed: int) -> None:
    values = torch.randn((n, c, p), generator=torch.Generator().manual_seed(seed)) * scale
    got = measure(values, cuts=min(n, 2))
    a = values.numpy()
    assert_agree(got, reference(a), scale=float(np.abs(a).max()))
    assert (
        np.histogram(a.astype(np.float64), np.array(got["histogram"]["edges"]))[0].tolist()
        == (got["histogram"]["counts"])
    )


def test_every_statistic_says_what_it_means_with_its_threshold() -> None:
    sentences = {s.metric: s.sentence() for s in all_statistics(Settings(dead=0.125, near_zero=0.0625))}
    assert all(text.strip().endswith(".") for text in sentences.values())
    assert "0.125" in sentences["dead_fraction"]
    assert "0.0625" in sentences["near_zero_fraction"]


def test_negative_zero_is_zero_in_every_number() -> None:
    values = torch.tensor([[[-0.0, 0.0, 1.0, -1.0]]])
    for data in (values, torch.cat([values, torch.full((1, 1, 4), float("nan"))], dim=2)):
        got = measure(data)
        assert got["zeros"] == 2
        edges, counts = got["histogram"]["edges"], got["histogram"]["counts"]
        assert counts[edges.index(0.0)] == 2
        assert sum(counts) == 4


@pytest.mark.parametrize("offset", [3_000.0, 100_000.0])
@pytest.mark.parametrize("spoilt", [[0], [0, 1, 2], [500], [0, 500, 999]])
@pytest.mark.parametrize("value", [float("inf"), -float("inf"), float("nan")])
def test_values_that_are_no_numbers_do_not_spoil_a_small_variance(
    offset: float, spoilt: list[int], value: float
) -> None:
    values = (offset + 0.02 * torch.randn(3, 4, 1000, generator=torch.Generator().manual_seed(1))).float()
    values[:, :, spoilt] = value
    values[1, 2] = float("nan")  # a row without any number
    got = measure(values)
    numbers = values.double().numpy()
    numbers = numbers[np.isfinite(numbers)]
    assert got["mean"] == pytest.approx(numbers.mean(), rel=1e-14)
    assert got["std"] == pytest.approx(numbers.std(), rel=1e-9)
