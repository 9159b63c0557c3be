"""Laws that every registered statistic keeps, and agreement with NumPy in float64, in both engines."""

from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from featreport.statistics import (
    Field,
    Ledger,
    Limits,
    Measured,
    Settings,
    all_statistics,
    counters,
    kernel,
    reduction,
    to_host,
)
from featreport.statistics.cells import CELLS, cells_of, median_magnitude
from featreport.statistics.histogram import binned
from featreport.statistics.native import build
from featreport.statistics.native.library import Library, library
from featreport.statistics.places import PER_IMAGE, positions
from featreport.statistics.table import merge as merge_tables
from featreport.statistics.transfer import pack, unpack

SETTINGS = Settings(dead=0.0, near_zero=1e-3)


@pytest.fixture(params=["compiled", "eager"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test on the compiled loops and on the definition in torch."""
    if request.param == "eager":
        monkeypatch.setattr(kernel, "_loops", lambda: None)
    else:
        assert kernel._loops() is not None, "make compiles them"
    return str(request.param)


def measure(
    values: torch.Tensor,
    cuts: int = 1,
    merge: bool = False,
    chosen: Settings = SETTINGS,
    upper: float | None = None,
) -> dict[str, Any]:
    """Every statistic of `[n, c, p]`, streamed in `cuts` batches, or measured apart and merged backwards."""
    statistics = all_statistics(chosen)
    parts = [part for part in values.tensor_split(cuts) if part.shape[0]] or [values]
    firsts = np.cumsum([0, *(part.shape[0] for part in parts)]).tolist()
    ledgers = [Ledger(statistics, values.device) for _ in (parts if merge else [0])]
    accounts = [ledger.open(values.shape[1], chosen.limits(upper)) for ledger in ledgers]
    for index, part in enumerate(parts):
        place = index if merge else 0
        ledgers[place].record(accounts[place], part, firsts[index])
        ledgers[place].end_batch()
    apart = [
        next(ledger.measured(to_host(ledger.tensors()), [account], [values.shape[0]]))
        for ledger, account in zip(ledgers, accounts, strict=True)
    ]
    out: dict[str, Any] = {}
    for place, statistic in enumerate(statistics):
        last, *others = [found[place] for found in reversed(apart)]
        for other in others:
            last = merged(statistic, last, other)
        out |= statistic.value(last)
    return out


def merged(statistic: Any, one: Measured, other: Measured) -> Measured:
    table = torch.from_numpy(one.table.copy())
    merge_tables(table, torch.from_numpy(other.table.copy()))
    own = {name: torch.from_numpy(array.copy()) for name, array in one.own.items()}
    statistic.merge(own, {name: torch.from_numpy(array.copy()) for name, array in other.own.items()})
    return Measured(
        table.numpy(),
        one.cells + other.cells,
        one.images,
        one.positions + other.positions,
        one.upper,
        {name: tensor.numpy() for name, tensor in own.items()},
    )


def reference(
    values: NDArray[np.floating[Any]], chosen: Settings = SETTINGS, upper: float | None = None
) -> dict[str, Any]:
    """The same numbers by plain NumPy in float64."""
    a = values.astype(np.float64)
    finite = a[np.isfinite(a)]
    magnitude = np.abs(a)
    n, c, p = a.shape
    with np.errstate(invalid="ignore"):
        fired = (~(magnitude <= chosen.dead)).any(2).sum(0)
    per_channel = [a[:, k].ravel() for k in range(c)]
    constant = [
        k for k, v in enumerate(per_channel)
        if v.size > 1 and np.isfinite(v).all() and v.max() - v.min() <= chosen.constant
        and np.abs(v).max() > chosen.dead
    ]  # fmt: skip
    size = np.array(
        [np.abs(v[np.isfinite(v)]).mean() if np.isfinite(v).any() else np.nan for v in per_channel]
    )
    known = np.isfinite(size)
    dormant = {t: [k for k in range(c) if size[k] <= t * size[known].mean()] for t in (0.0, 0.025, 0.1)}
    rare = None
    if n >= 300:
        peaks = np.where(np.isfinite(magnitude), magnitude, -1.0).max(2)
        rare = [
            {"channel": k, "images": int(fired[k]), "loudest_image": int(peaks[:, k].argmax())}
            for k in range(c) if 0 < fired[k] < 0.01 * n
        ]  # fmt: skip
    rank = None
    if n >= 4 * c and np.isfinite(a).all() and (a != 0).any() and chosen.images == n:
        singular = np.linalg.svd(a.mean(2), compute_uv=False)
        shares = singular[singular > 0] / singular.sum()
        rank = np.exp(-(shares * np.log(shares)).sum())
    return {
        "mean": finite.mean() if finite.size else None,
        "std": finite.std() if finite.size else None,
        "min": finite.min() if finite.size else None,
        "max": finite.max() if finite.size else None,
        "zeros": int((a == 0).sum()),
        "zero_fraction": (a == 0).mean() if a.size else None,
        "near_zeros": int((magnitude <= chosen.near_zero).sum()),
        "near_zero_fraction": (magnitude <= chosen.near_zero).mean() if a.size else None,
        "nonfinite": a.size - finite.size,
        "nan": int(np.isnan(a).sum()),
        "posinf": int((a == np.inf).sum()),
        "neginf": int((a == -np.inf).sum()),
        "dead": np.flatnonzero(fired == 0).tolist() if a.size else [],
        "dead_fraction": (fired == 0).mean() if a.size else None,
        "fired_images": fired.tolist(),
        "firing_rate_bound": 1 - 0.05 ** (1 / n) if n else None,
        "constant": constant,
        "rare": rare,
        "dormant": {f"{t:g}": k for t, k in dormant.items()} if known.any() else None,
        "dormant_fraction": len(dormant[0.025]) / c if known.any() else None,
        "saturated": None
        if upper is None or not a.size
        else np.flatnonzero((a >= upper).sum((0, 2)) > 0.99 * n * p).tolist(),
        "effective_rank": rank,
    }


def assert_agree(got: dict[str, Any], want: dict[str, Any], scale: float = 0.0) -> None:
    for name, value in want.items():
        if name == "effective_rank" and value is not None:
            assert got[name] == pytest.approx(value, rel=1e-6), name
        elif isinstance(value, float):
            assert got[name] == pytest.approx(
                value, rel=1e-9, abs=1e-9 * scale if name in {"mean", "std"} else 0.0
            ), name
        else:
            assert got[name] == value, name


def assert_sampled(histogram: dict[str, Any], values: NDArray[np.floating[Any]]) -> None:
    """The histogram counts the stated sample of each image, exactly."""
    a = values.astype(np.float64).reshape(values.shape[0], -1)
    places = positions(a.shape[1]).numpy()
    few = a[:, places]
    few = few[np.isfinite(few)]
    edges = np.array(histogram["edges"])
    assert sum(histogram["counts"]) == few.size
    if few.size:
        assert np.histogram(few, edges)[0].tolist() == histogram["counts"]


def tensor(seed: int, shape: tuple[int, int, int], scale: float = 1.0, offset: float = 0.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(shape, generator=generator) * scale + offset
    values[:, ::3] = values[:, ::3].relu()
    if shape[1] > 4:
        values[:, 1] = 0.0
        values[:, 4] = 0.25
    return values


def channels_last(values: torch.Tensor) -> torch.Tensor:
    return values.transpose(1, 2).contiguous().transpose(1, 2)


@pytest.mark.parametrize(
    ("scale", "offset"), [(1, 0), (1, 1e4), (1e-3, -5), (1e-30, 0), (1e30, 0), (1e-41, 0), (1e-2, 100)]
)
@pytest.mark.parametrize("shape", [(5, 7, 1000), (9, 130, 3), (40, 5, 1)])
def test_every_number_agrees_with_numpy_in_float64(
    engine: str, scale: float, offset: float, shape: tuple[int, int, int]
) -> None:
    values = tensor(0, shape, scale, offset)
    values[:, 1] = 0.0
    a = values.double().numpy()
    chosen = Settings(images=shape[0])
    for data in (
        values,
        channels_last(values),
        values.double(),
        values.repeat(1, 1, 2)[..., ::2][..., : shape[2]],
    ):
        got = measure(data, cuts=2, chosen=chosen, upper=0.25)
        reading = data.double().numpy()
        assert_agree(got, reference(reading, chosen, upper=0.25), scale=float(np.abs(a).max()))
    assert_sampled(measure(values)["histogram"], a)


@pytest.mark.parametrize("merge", [False, True])
@pytest.mark.parametrize("cuts", [1, 2, 3, 8])
def test_cutting_into_batches_and_merging_in_any_order_changes_nothing(
    engine: str, cuts: int, merge: bool
) -> None:
    chosen = Settings(images=40)
    values = tensor(1, (40, 6, 200))
    got = measure(values, cuts, merge, chosen)
    assert_agree(got, reference(values.numpy(), chosen), scale=4.0)
    assert got["effective_rank"] is not None
    assert got["histogram"] == measure(values)["histogram"]


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.float16])
def test_a_batch_is_joined_to_those_before_as_two_tables_are(
    engine: str, kind: torch.dtype, last: bool
) -> None:
    """Bit for bit: also channels without a number, with poor first values, never seen before, and equally loud."""
    values = tensor(4, (12, 9, 70)).double()
    values[:, 1] += 300.0
    values[0, 2, 0] = 6e4  # a poor shift
    values[:4, 3] = float("nan")
    values[2, 4, 5] = float("inf")
    values[5:, 5] = float("nan")
    values[:, 6] = 0.0
    values[3, 7, 3] = values[9, 7, 4] = values[10, 7, 4] = 90.0
    values[6:, 8] *= -1e-4
    values = channels_last(values.to(kind)) if last else values.to(kind)
    limits = Limits(0.5, 1e-3, 1.0)
    table = reduction.reduce(values[:0], limits).table
    apart = table.clone()
    for start, stop in ((4, 8), (0, 4), (8, 9), (9, 12)):
        part = values[start:stop]
        sums = torch.zeros(part.shape[:2], dtype=torch.float64)
        reduction.reduce_into(table, 0, sums, part, limits, start)
        merge_tables(apart, reduction.reduce(part, limits, start).table)
    assert torch.equal(table, apart)
    assert table[Field.PEAK_IMAGE, 7] == 3


def test_rare_channels_and_their_loudest_image_survive_cuts_and_merges(engine: str) -> None:
    values = torch.zeros(320, 5, 3)
    values[:, 0] = 1.0
    values[7, 1, 0], values[200, 1, 2] = 0.5, 0.75
    values[300, 2, 0] = values[20, 2, 1] = 3.0  # equally loud: the earlier one
    values[:4, 3] = 1.0  # 1.25 % of the images
    for cuts, merge in ((1, False), (7, False), (7, True)):
        got = measure(values, cuts, merge)
        assert got["rare"] == reference(values.numpy())["rare"]
        assert [found["loudest_image"] for found in got["rare"]] == [200, 20]
    assert measure(values[:299])["rare"] is None


def test_slabs_of_the_definition_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "_loops", lambda: None)
    values = tensor(2, (6, 9, 33))
    whole = measure(values)
    for room in (1, 300, 700):
        monkeypatch.setitem(reduction.SLAB, "cpu", room)
        assert_agree(measure(values), reference(values.numpy()), scale=4.0)
        assert measure(values)["histogram"] == whole["histogram"]


def test_permuting_images_changes_nothing_and_permuting_channels_moves_indices(engine: str) -> None:
    values = tensor(3, (36, 8, 20))
    chosen = Settings(images=36)
    assert_agree(measure(values.flip(0), chosen=chosen), reference(values.numpy(), chosen), scale=4.0)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    got = measure(values[:, order], chosen=chosen)
    assert_agree(got, reference(values[:, order].numpy(), chosen), scale=4.0)
    assert sorted(order[got["dead"]].tolist()) == measure(values)["dead"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gives_what_its_float32_copy_gives(engine: str, dtype: torch.dtype) -> None:
    values = tensor(4, (3, 6, 4000), scale=200.0).to(dtype)  # a float16 sum would overflow
    got, want = measure(values), measure(values.float())
    for name in ("mean", "std", "dormant_fraction"):
        assert got.pop(name) == pytest.approx(want.pop(name), rel=1e-13)
    assert got == want
    for data in (values, channels_last(values)):
        assert_agree(measure(data), reference(values.float().numpy()), scale=1000.0)


@pytest.mark.parametrize("last", [False, True])
def test_nonfinite_values_are_counted_apart_and_left_out(engine: str, last: bool) -> None:
    values = tensor(5, (3, 6, 10))
    values[0, 0, 0] = float("nan")
    values[1, 2, 3] = float("inf")
    values[2, 3, 4:6] = float("-inf")
    values[:, 5] = float("nan")
    for data in (values, values.double(), values.half()):
        got = measure(channels_last(data) if last else data, cuts=3, upper=0.5)
        a = data.double().numpy()
        want = reference(a, upper=0.5)
        assert_agree(got, want, scale=4.0)
        assert got["nonfinite"] == 1 + 1 + 2 + 30
        assert_sampled(got["histogram"], a)
        assert 5 not in got["dead"]


def test_a_channel_without_any_number_is_null_never_nan(engine: str) -> None:
    got = measure(torch.full((2, 3, 4), float("nan")))
    for name in ("mean", "std", "min", "max", "dormant", "massive", "median_magnitude", "effective_rank"):
        assert got[name] is None, name
    assert got["histogram"] == {"edges": [], "counts": [], "scale": "linear", "zeros": 0}
    assert got["dead"] == []


@pytest.mark.parametrize(("tolerance", "want"), [(0.0, [0]), (0.25, [0, 1]), (0.5, [0, 1, 3])])
def test_constant_is_what_varies_by_no_more_than_the_tolerance(
    engine: str, tolerance: float, want: list[int]
) -> None:
    steps = torch.tensor([0.0, 0.25, 0.75, 0.5, 0.0])  # how far each channel varies; the last one is dead
    a = torch.tensor([-1.0, -1.0, -1.0, -1.0, 0.0])[None, :, None].repeat(2, 1, 6)
    a[1, :, 3] += steps
    got = measure(a, chosen=Settings(constant=tolerance))
    assert got["constant"] == want
    assert_agree(got, reference(a.numpy(), Settings(constant=tolerance)))


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("scale", [1e150, 1e200, 1e307])
def test_float64_whose_squares_leave_its_range_has_a_mean_and_no_false_deviation(
    engine: str, scale: float, last: bool
) -> None:
    values = torch.tensor([[[9.0, -9.0, 0.5, 1.0], [1.0, 1.0, 1.0, 1.0]]], dtype=torch.float64) * scale
    got = reduction.reduce(channels_last(values) if last else values, Limits())
    assert got[Field.MEAN].tolist() == pytest.approx([0.375 * scale, scale], rel=1e-14)
    spread = [162.6875 * scale**2 if scale < 1e154 else np.inf, 0.0]
    assert got[Field.SPREAD].tolist() == pytest.approx(spread, rel=1e-14)
    assert got.sums.tolist() == [pytest.approx([1.5 * scale, 4 * scale], rel=1e-14)]


def test_one_element(engine: str) -> None:
    got = measure(torch.full((1, 1, 1), 2.5))
    assert (got["mean"], got["std"], got["min"], got["max"]) == (2.5, 0.0, 2.5, 2.5)
    assert got["constant"] == []  # one value cannot show that it never changes
    assert sum(got["histogram"]["counts"]) == 1
    assert got["firing_rate_bound"] == pytest.approx(0.95)


@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 3, 0), (2, 0, 4)])
def test_an_empty_batch_adds_nothing(engine: str, shape: tuple[int, int, int]) -> None:
    got = measure(torch.zeros(shape))
    assert got["mean"] is got["min"] is got["zero_fraction"] is got["dormant"] is None
    assert got["dead"] == []
    assert got["nonfinite"] == 0
    if shape[1]:
        values = tensor(6, (4, 3, 4))
        ledger = Ledger(all_statistics(SETTINGS), values.device)
        account = ledger.open(3, SETTINGS.limits())
        for part in (torch.zeros(shape), values, torch.zeros(shape)):
            ledger.record(account, part, 0)
            ledger.end_batch()
        tap = next(ledger.measured(to_host(ledger.tensors()), [account], [4]))[0]
        assert tap[Field.COUNT].tolist() == [16.0] * 3
        assert tap[Field.MEAN] == pytest.approx(values.double().mean((0, 2)).numpy(), rel=1e-12)


def test_thresholds_decide_as_exact_numbers_do(engine: str) -> None:
    just_over = np.float32(0.001)  # 0.0010000000475, above 0.001
    values = torch.tensor([[[float(just_over), float(np.nextafter(just_over, np.float32(0)))]]])
    assert measure(values)["near_zeros"] == 1
    assert measure(values.double())["near_zeros"] == 1
    loud = Settings(dead=0.1, near_zero=0.5)
    values = torch.tensor([[[0.1, -0.05], [-0.2, 0.0]]])  # float32(0.1) is above 0.1
    assert measure(values, chosen=loud)["dead"] == []
    assert measure(values * 0.5, chosen=loud)["dead"] == [0]  # channel 1 reaches float32(0.1) again


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("ratio", [1e2, 1e4, 1e6])
def test_a_small_variance_far_from_zero_survives_in_every_precision(
    engine: str, ratio: float, last: bool
) -> None:
    generator = torch.Generator().manual_seed(7)
    exact = ratio + torch.randn((4, 2, 5000), generator=generator, dtype=torch.float64)
    exact[0, 0, 0] = 0.0  # the first value of a channel is the worst of shifts
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        values = exact.to(dtype)
        a = values.double().numpy()
        got = measure(channels_last(values) if last else values)
        assert got["mean"] == pytest.approx(a.mean(), rel=1e-12)
        assert got["std"] == pytest.approx(a.std(), rel=1e-9)


def test_a_thousand_million_values_lose_no_digit() -> None:
    base = 1e4 + torch.randn((1, 2, 62_500), generator=torch.Generator().manual_seed(11))
    many = base.expand(8000, -1, -1)
    assert many.numel() == 10**9
    a = base.double().numpy()
    table = reduction.reduce(many, Limits()).table.numpy()
    assert table[Field.COUNT].tolist() == [5e8, 5e8]
    assert table[Field.MEAN] == pytest.approx(a.mean((0, 2)), rel=1e-13)
    assert np.sqrt(table[Field.SPREAD] / 5e8) == pytest.approx(a.std((0, 2)), rel=1e-9)
    assert table[Field.MAGNITUDE] == pytest.approx(8000 * a.sum((0, 2)), rel=1e-12)


NIST = [  # NIST StRD univariate: certified mean and sample standard deviation
    ("NumAcc1", [10000001, 10000003, 10000002], 10000002.0, 1.0),
    ("NumAcc2", [1.2] + [1.1, 1.3] * 500, 1.2, 0.1),
    ("NumAcc3", [1000000.2] + [1000000.1, 1000000.3] * 500, 1000000.2, 0.1),
    ("NumAcc4", [10000000.2] + [10000000.1, 10000000.3] * 500, 10000000.2, 0.1),
]


@pytest.mark.parametrize("shape", [(-1, 1, 1), (1, 1, -1)])
@pytest.mark.parametrize(("name", "data", "mean", "std"), NIST)
def test_moments_agree_with_nist_reference_sets(
    engine: str, name: str, data: list[float], mean: float, std: float, shape: tuple[int, int, int]
) -> None:
    values = torch.tensor(data, dtype=torch.float64).reshape(shape)
    got = measure(values, cuts=7 if shape[0] < 0 else 1)
    assert got["mean"] == pytest.approx(mean, rel=1e-15)
    sample = got["std"] * np.sqrt(len(data) / (len(data) - 1))
    assert sample == pytest.approx(std, rel=1e-7), name


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 5),
    st.integers(1, 70),
    st.integers(1, 9),
    st.sampled_from([1e-38, 1e-6, 1.0, 1e6, 1e37]),
    st.sampled_from(["rows", "columns", "strided"]),
    st.floats(0.0, 0.3),
    st.integers(0, 2**16),
)
def test_both_engines_agree_on_any_shape_scale_and_stride(
    n: int, c: int, p: int, scale: float, order: str, spoilt: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn((n, c, p), generator=generator) * scale
    draw = torch.rand((n, c, p), generator=generator)
    values[draw < spoilt] = float("nan")
    values[(draw > 0.9) & (draw < 0.9 + spoilt / 4)] = float("inf")
    values[draw > 0.99] = 0.0
    data = {
        "rows": values,
        "columns": channels_last(values),
        "strided": values.repeat_interleave(2, 2)[..., ::2],
    }[order]
    limits = Limits(0.0, 1e-3 * scale, 0.5 * scale)
    compiled, eager = reduction.reduce(data, limits, 3), reduction.definition(data, limits, 3)
    size = float(values.double().nan_to_num(0, 0, 0).abs().max())
    for field in Field:
        got, want = compiled[field], eager[field]
        if field in {Field.MEAN, Field.SPREAD, Field.MAGNITUDE}:
            power = 2 if field is Field.SPREAD else 1
            torch.testing.assert_close(got, want, rtol=1e-11, atol=1e-13 * size**power)
        else:
            assert got.tolist() == want.tolist(), field
    torch.testing.assert_close(compiled.sums, eager.sums, rtol=1e-11, atol=1e-12 * size)


def test_every_statistic_says_what_it_means_with_its_threshold() -> None:
    sentences = {s.metric: s.sentence() for s in all_statistics(Settings(dead=0.125, near_zero=0.0625))}
    assert all(text.strip().endswith(".") for text in sentences.values())
    assert "0.125" in sentences["dead_fraction"]
    assert "0.0625" in sentences["near_zero_fraction"]
    assert f"{PER_IMAGE:,}" in sentences["histogram"]


def test_negative_zero_is_zero_in_every_number(engine: str) -> None:
    values = torch.tensor([[[-0.0, 0.0, 1.0, -1.0]]])
    for data in (values, torch.cat([values, torch.full((1, 1, 4), float("nan"))], dim=2)):
        got = measure(data)
        assert got["zeros"] == 2
        edges, counts = got["histogram"]["edges"], got["histogram"]["counts"]
        assert counts[edges.index(0.0)] == 2
        assert sum(counts) == 4
    assert str(measure(torch.full((1, 1, 2), -0.0))["min"]) == "0.0"


@pytest.mark.parametrize("offset", [3_000.0, 100_000.0])
@pytest.mark.parametrize("spoilt", [[0], [0, 1, 2], [500], [0, 500, 999]])
@pytest.mark.parametrize("value", [float("inf"), -float("inf"), float("nan")])
def test_values_that_are_no_numbers_do_not_spoil_a_small_variance(
    engine: str, offset: float, spoilt: list[int], value: float
) -> None:
    values = (offset + 0.02 * torch.randn(3, 4, 1000, generator=torch.Generator().manual_seed(1))).float()
    values[:, :, spoilt] = value
    values[1, 2] = float("nan")  # a row without any number
    got = measure(values)
    numbers = values.double().numpy()
    numbers = numbers[np.isfinite(numbers)]
    assert got["mean"] == pytest.approx(numbers.mean(), rel=1e-14)
    assert got["std"] == pytest.approx(numbers.std(), rel=1e-9)


def test_a_sample_stands_for_its_output_and_does_not_depend_on_the_batch() -> None:
    places = positions(300_000)
    assert places.numel() == PER_IMAGE
    assert bool((places[1:] > places[:-1]).all())
    assert torch.equal(
        places // (300_000 // PER_IMAGE + 1) < PER_IMAGE, torch.ones_like(places, dtype=torch.bool)
    )
    assert positions(100).tolist() == list(range(100))
    a = torch.randn((16, 60, 5000), generator=torch.Generator().manual_seed(2))
    edges, counts, _ = binned(measured_cells(a))
    exact = np.histogram(a.double().numpy(), edges)[0] / a.numel()
    gap = np.abs(np.cumsum(exact) - np.cumsum(counts / counts.sum())).max()
    assert gap < np.sqrt(
        np.log(2 / 1e-6) / (2 * counts.sum())
    )  # Dvoretzky–Kiefer–Wolfowitz, one in a million


def measured_cells(values: torch.Tensor) -> NDArray[np.int64]:
    ledger = Ledger(all_statistics(SETTINGS)[:1], values.device)
    account = ledger.open(values.shape[1], Limits())
    ledger.record(account, values, 0)
    return next(ledger.measured(to_host(ledger.tensors()), [account], [values.shape[0]]))[0].cells


def test_a_histogram_takes_doublings_where_equal_bins_would_show_nothing() -> None:
    generator = torch.Generator().manual_seed(3)
    heavy = torch.randn((4, 8, 100), generator=generator) * 0.01
    heavy[0, 0, 0] = -900.0
    got = measure(heavy)["histogram"]
    assert got["scale"] == "log"
    assert_sampled(got, heavy.numpy())
    edges = np.array(got["edges"])
    assert 0.0 in edges
    assert edges[0] == -1024.0
    positive = edges[edges > 0]
    assert np.array_equal(positive[1:], 2 * positive[:-1])
    assert measure(torch.randn((4, 8, 100), generator=generator).relu())["histogram"]["scale"] == "linear"


@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_the_median_of_a_sample_is_right_to_the_width_of_a_cell(shift: float) -> None:
    a = torch.randn(20_001, generator=torch.Generator().manual_seed(4)) + shift
    cells = torch.bincount(cells_of(a), minlength=len(measured_cells(a[None, None])) + 1)[:-1].numpy()
    assert median_magnitude(cells) == pytest.approx(float(a.abs().median()), rel=0.032)
    assert median_magnitude(np.zeros_like(cells)) is None
    relu = torch.cat([a.relu(), torch.zeros(30_000)])
    assert median_magnitude(torch.bincount(cells_of(relu), minlength=cells.size + 1)[:-1].numpy()) == 0.0


def test_massive_needs_both_size_and_distance_from_the_median(engine: str) -> None:
    values = 1.0 + torch.rand((2, 4, 50), generator=torch.Generator().manual_seed(5))
    values[0, 1, 3] = -5000.0  # a thousand times the median
    values[1, 2, 3] = 500.0  # large, but not that far
    assert measure(values)["massive"] == [1]
    small = values / 100  # far beyond the median, but not above 100
    assert measure(small)["massive"] == []


def test_saturated_counts_the_upper_bound_on_more_than_99_percent(engine: str) -> None:
    values = torch.full((1, 3, 200), 6.0)
    values[0, 1, :2] = 5.9  # 99 % exactly: not more
    values[0, 2, :1] = 0.0
    assert measure(values, upper=6.0)["saturated"] == [0, 2]
    assert measure(values)["saturated"] is None


def test_a_layer_dead_as_a_whole_is_dormant_as_a_whole(engine: str) -> None:
    got = measure(torch.zeros(3, 5, 4))
    assert got["dormant"] == {"0": [0, 1, 2, 3, 4], "0.025": [0, 1, 2, 3, 4], "0.1": [0, 1, 2, 3, 4]}
    assert got["dormant_fraction"] == 1.0


def test_channels_too_large_to_be_added_up_are_not_dormant_beside_infinity(engine: str) -> None:
    values = torch.tensor([[[1.5e308], [-1.5e308], [1e300]]], dtype=torch.float64)
    assert measure(values)["dormant"] == {"0": [], "0.025": [2], "0.1": [2]}
    assert measure(values.repeat(2, 1, 1))["dormant"] is None  # nor can one channel's own


def test_effective_rank_is_of_means_and_refuses_too_few_images(engine: str) -> None:
    generator = torch.Generator().manual_seed(6)
    low = (torch.randn((64, 2), generator=generator) @ torch.randn((2, 8), generator=generator))[..., None]
    assert 1.0 <= measure(low, 4, chosen=Settings(images=64))["effective_rank"] <= 2.0 + 1e-6
    few = measure(low[:31], chosen=Settings(images=31))
    assert few["effective_rank"] is None
    assert few["effective_rank_reason"] == "needs 4 × 8 = 32 images, saw 31"


def test_the_definition_compiles_without_a_break() -> None:
    """On an accelerator torch.compile fuses the definition; a graph break there would be a synchronisation."""
    values = tensor(9, (3, 6, 50))
    compiled = torch.compile(reduction.definition, backend="eager", fullgraph=True, dynamic=True)
    got, want = (
        compiled(values, Limits(0.0, 1e-3, 6.0), 2),
        reduction.definition(values, Limits(0.0, 1e-3, 6.0), 2),
    )
    assert torch.equal(got.table, want.table)


def test_one_transfer_brings_back_tensors_of_every_type() -> None:
    tensors = [
        torch.randn(3, 2).T,
        torch.arange(5, dtype=torch.int32),
        torch.zeros(0),
        torch.randn(4).double(),
    ]
    for array, tensor in zip(unpack(pack(tensors).numpy(), tensors), tensors, strict=True):
        assert array.dtype == tensor.numpy().dtype
        assert np.array_equal(array, tensor.numpy())


@pytest.mark.parametrize("halves", [True, False])
@pytest.mark.parametrize("room", [1, 100, 500, 3000])
def test_a_copy_is_bounded_within_an_image_too_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, room: int, halves: bool
) -> None:
    values = tensor(10, (3, 13, 90))
    values[1, 5, 3] = float("nan")
    data = values.bfloat16() if halves else values.repeat_interleave(2, 2)[..., ::2]
    whole = reduction.reduce(data, Limits(), 7)
    copies: list[int] = []
    read = kernel._read

    def noted(table: Any, at: int, sums: Any, copy: torch.Tensor, *rest: Any, **how: Any) -> None:
        copies.append(copy.numel())
        read(table, at, sums, copy, *rest, **how)

    monkeypatch.setattr(kernel, "_read", noted)
    monkeypatch.setattr(kernel, "COPIED", room)
    cut = reduction.reduce(data, Limits(), 7)
    assert sum(copies) == values.numel()
    assert max(copies) <= max(room, 90)  # a channel of an image is the least that is read
    for field in Field:
        if field in {Field.MEAN, Field.SPREAD, Field.MAGNITUDE}:
            torch.testing.assert_close(cut[field], whole[field], rtol=1e-12, atol=1e-15)
        else:
            assert cut[field].tolist() == whole[field].tolist(), field
    torch.testing.assert_close(cut.sums, whole.sums, rtol=1e-12, atol=1e-12)


def test_a_large_image_in_half_precision_agrees_with_numpy_and_is_never_copied_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = torch.randn((1, 64, 512 * 512), generator=torch.Generator().manual_seed(11)).bfloat16()
    copies: list[int] = []
    read = kernel._read
    monkeypatch.setattr(kernel, "_read", lambda *a, **how: (copies.append(a[3].numel()), read(*a, **how)))
    found = reduction.reduce(values, Limits())
    assert max(copies) <= kernel.COPIED
    a = values.double().numpy()
    np.testing.assert_allclose(found[Field.MEAN].numpy(), a.mean((0, 2)), rtol=1e-10)
    np.testing.assert_allclose(found[Field.SPREAD].numpy(), a.var((0, 2)) * a.shape[2], rtol=1e-10)
    np.testing.assert_allclose(found.sums.numpy(), a.sum(2), rtol=1e-9)
    assert found[Field.HIGH].tolist() == a.max((0, 2)).tolist()
    assert found[Field.NEAR].tolist() == (np.abs(a) <= 0.001).sum((0, 2)).tolist()


def test_tensors_read_by_several_threads_at_once_give_the_same_bits() -> None:
    drawn = [tensor(at, (4, 3 + 40 * at, 200), 1.0 + at) for at in range(4)]
    want = [reduction.reduce(values, Limits()).table for values in drawn]
    with ThreadPoolExecutor(len(drawn)) as pool:
        for _ in range(20):
            for found, table in zip(
                pool.map(lambda one: reduction.reduce(one, Limits()), drawn), want, strict=True
            ):
                assert torch.equal(found.table, table)


def test_counters_of_a_long_run_do_not_overflow(engine: str) -> None:
    ledger = Ledger(all_statistics(SETTINGS), torch.device("cpu"))
    account, other = ledger.open(2, Limits()), ledger.open(2, Limits())
    zeros, ones = torch.zeros(3, 2, 1024), torch.ones(1, 2, 1024)
    ledger.record(account, zeros, 0)
    ledger.record(other, ones, 0)
    before = 2**31 - 3 * PER_IMAGE  # as after 2^20 images of zeros
    chunk = ledger._cells._chunks[0]
    chunk.counts[account.row, CELLS // 2] = before
    chunk.counted[account.row] = before
    seen = []
    for _ in range(3):
        found = list(ledger.measured(to_host(ledger.tensors()), [account, other], [1, 1]))
        seen.append(int(found[0][0].cells[CELLS // 2]))
        assert found[1][0].cells.sum() == found[1][0].cells.max() == 2048
        ledger.record(account, zeros, 3)
    assert seen == [before, before + 6144, before + 2 * 6144]
    assert chunk.carry is not None


def test_more_taps_than_a_chunk_holds_keep_their_histograms_and_move_none() -> None:
    statistics = [one for one in all_statistics(SETTINGS) if one.metric == "histogram"]
    ledger = Ledger(statistics, torch.device("cpu"))
    taps = [tensor(at, (2, 3, 40), 1.0 + at) for at in range(200)]
    accounts = []
    places: list[int] = []
    for values in taps:
        account = ledger.open(3, Limits())
        accounts.append(account)
        ledger.record(account, values, 0)
        places.append(ledger._cells.row(account.row, 0).data_ptr())
    assert places == [ledger._cells.row(account.row, 0).data_ptr() for account in accounts]
    assert ledger._cells.chunks == -(-200 // counters.ROWS)
    found = ledger.measured(to_host(ledger.tensors()), accounts[::-1], [2] * 200)
    for values, (one,) in zip(taps[::-1], found, strict=True):
        counts = torch.bincount(cells_of(values).flatten(), minlength=CELLS + 1)[:CELLS]
        assert one.cells.tolist() == counts.tolist()


MEASURES = """
import torch
from featreport.statistics import Limits, engine, reduce
values = torch.arange(24.0).reshape(2, 3, 4)
assert reduce(values, Limits()).table[1].tolist() == values.mean((0, 2)).tolist()
print(engine(values.device))
"""


def output(code: str) -> str:
    """What a process of its own prints."""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def test_the_loops_are_those_of_the_sources_beside_them() -> None:
    loops = library()
    assert loops is not None, "not compiled: make installs featreport, and compiles it"
    assert loops.made_of == build.digest(), "edited since: python src/featreport/statistics/native/build.py"
    assert output(MEASURES) == loops.name
    assert loops.name.startswith("C, ")


@pytest.mark.parametrize("kind", sorted(build.KINDS))
def test_the_loops_for_every_kind_of_cpu_agree_with_the_definition(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if (library() or pytest.fail("not compiled")).kind < kind:  # any < avx2 < avx512
        pytest.skip(f"this CPU has no {kind}: its instructions cannot run here")
    (path,) = Path(build.HERE).glob(f"reading-{kind}.*")
    loops = Library(path)
    monkeypatch.setattr(kernel, "_loops", lambda: loops)
    limits = Limits(0.0, 1e-3, 6.0)
    for shape in ((5, 7, 300), (4, 300, 7), (3, 130, 1), (2, 1, 1000)):
        for data in (tensor(1, shape, 2.0).clamp(-3, 6), tensor(2, shape[::-1], 2.0).transpose(0, 2)):
            for values in (data, data.double(), data.transpose(1, 2)):
                got, want = reduction.reduce(values, limits, 3), reduction.definition(values, limits, 3)
                exact = [field for field in Field if field not in {Field.MEAN, Field.SPREAD, Field.MAGNITUDE}]
                assert torch.equal(got.table[exact], want.table[exact])
                torch.testing.assert_close(got.table, want.table, rtol=1e-12, atol=1e-12)
                torch.testing.assert_close(got.sums, want.sums, rtol=1e-11, atol=1e-11)


def test_a_compiler_that_fails_is_passed_over_and_without_one_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / f"reading-any{build.SUFFIX}"
    old.write_bytes(b"of the last installation")
    monkeypatch.setattr(build, "compilers", lambda: iter([["false"], [sys.executable, "-c", "sys.exit(1)"]]))
    said = build.compile_into(tmp_path)
    assert len(said) == 2
    assert said[0] == "false: exit status 1"
    assert "NameError" in said[1]
    assert [path.name for path in tmp_path.iterdir()] == [old.name], "nothing is left behind, nothing is lost"
    monkeypatch.setattr(build, "compilers", lambda: iter([[str(tmp_path)]]))
    assert build.compile_into(tmp_path)[0].startswith(f"{tmp_path}: "), "it is a folder"
    monkeypatch.setattr(build, "compilers", lambda: iter(()))
    assert build.compile_into(tmp_path) == ["there is no C compiler"]
    monkeypatch.undo()
    monkeypatch.setenv("CC", "false")
    assert next(build.compilers()) == ["false"]
    assert build.compile_into(tmp_path) == []
    assert sorted(path.stem for path in tmp_path.iterdir()) == [
        f"reading-{kind}" for kind in sorted(build.KINDS)
    ]


@pytest.mark.parametrize("found", [[], [["false"]]])
def test_a_compiler_is_fetched_where_none_works_and_only_there(
    found: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    hook: Any = build.ReadingHook("", {}, {}, None, "", "wheel")
    assert hook.dependencies() == []
    monkeypatch.setattr(build, "compilers", lambda: iter(found))
    assert hook.dependencies() == ["ziglang>=0.13"]


def test_what_was_compiled_names_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same sources and compiler give the same bytes, which are part of every run's key."""
    for folder in (tmp_path / "one", tmp_path / "another"):
        folder.mkdir()
        for name in build.SOURCES:
            shutil.copy(build.HERE / name, folder)
    made = []
    traced = [*next(build.compilers()), "-g"]  # as zig's does unasked
    monkeypatch.setattr(build, "compilers", lambda: iter([traced]))
    for folder in (tmp_path / "one", tmp_path / "another"):
        monkeypatch.setattr(build, "HERE", folder)
        assert build.compile_into(folder, ["any"]) == []
        made.append((folder / f"reading-any{build.SUFFIX}").read_bytes())
    assert made[0] == made[1]


@pytest.mark.parametrize("broken", ["", "not a library"])
def test_a_run_measures_by_the_definition_where_nothing_was_compiled_or_cannot_be_loaded(
    broken: str, tmp_path: Path
) -> None:
    if broken:
        (tmp_path / "reading-any.so").write_text(broken)
    code = f"""
import pathlib, warnings
from featreport.statistics.native import library
library.HERE = pathlib.Path({str(tmp_path)!r})
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
{"".join(f"    {line}{chr(10)}" for line in MEASURES.strip().splitlines())}
print(*[str(one.message).split(":")[0] for one in told if "compiled" in str(one.message)])
"""
    assert output(code).splitlines() == [
        "torch",
        *(["measuring without the compiled loops"] if broken else []),
    ]


def test_a_library_of_other_sources_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in build.SOURCES:
        shutil.copy(build.HERE / name, tmp_path)
    text = (tmp_path / "reading.c").read_text()
    (tmp_path / "reading.c").write_text(text.replace("int64_t n, c, p;", "int64_t n, c, p, more;"))
    made = tmp_path / "made"
    made.mkdir()
    monkeypatch.setattr(build, "HERE", tmp_path)
    assert build.compile_into(made) == []
    with pytest.raises(RuntimeError, match="compiled of other sources: install featreport again"):
        Library(next(made.glob("reading-any.*")))


@pytest.mark.parametrize("threads", [2, 3, 5])
def test_no_number_of_a_tensor_depends_on_how_many_threads_read_it(threads: int) -> None:
    limits = Limits(0.0, 1e-3, 2.0)
    data = tensor(7, (6, 70, 900), 1.5)
    before = torch.get_num_threads()
    for values in (data, data.transpose(1, 2), data.double()):
        try:
            torch.set_num_threads(1)
            one = reduction.reduce(values, limits)
            torch.set_num_threads(threads)
            more = reduction.reduce(values, limits)
        finally:
            torch.set_num_threads(before)
        assert torch.equal(one.table, more.table)
        assert torch.equal(one.sums, more.sums)


def test_no_number_of_a_tensor_depends_on_where_in_memory_it_lies() -> None:
    data = tensor(12, (3, 5, 333), 1.5)
    for values in (data, data.double()):
        room = torch.empty(values.numel() + 8, dtype=values.dtype)
        for order in ((0, 1, 2), (0, 2, 1)):
            read = []
            for at in range(8):
                place = room[at : at + values.numel()].view(values.shape)
                read.append(reduction.reduce(place.copy_(values).permute(order), Limits(0.0, 1e-3, 2.0)))
            for one in read:
                assert torch.equal(one.table, read[0].table)
                assert torch.equal(one.sums, read[0].sums)


THREADS = """
import os, numpy, torch
from featreport.statistics import Limits, reduce
torch.set_num_threads(4)
values = torch.from_numpy(numpy.ones((8, 256, 200), numpy.float32))  # by torch itself its threads would fill it
def team():
    return set(os.listdir("/proc/self/task"))
before = team()
reduce(values, Limits())
print(len(team() - before))
torch.relu(values)
before = team()
reduce(values.transpose(1, 2).contiguous().transpose(1, 2), Limits())  # two blocks of channels for four threads
torch.relu(values)
print(len(team() - before))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts the threads of a process in /proc")
def test_the_loops_run_on_torchs_own_threads_and_none_of_them_is_started_anew() -> None:
    assert output(THREADS).split() == ["3", "0"]


def test_measuring_leaves_the_number_of_threads_as_the_user_set_it() -> None:
    """On a shared machine one a core would take other people's cores."""
    script = (
        "import torch; torch.set_num_threads(3); torch.get_num_threads()  # so that it is in force\n"
        "from featreport.statistics import Limits, reduction\n"
        "for shape in ((4, 8, 5), (8, 64, 3136)):\n"
        "    reduction.reduce(torch.randn(shape), Limits(0.0, 1e-3)); print(torch.get_num_threads())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stdout.split() == ["3", "3"]
