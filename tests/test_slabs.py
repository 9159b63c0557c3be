"""Promises of `collect.slabs`: NumPy's float64 numbers of a whole tensor, in bounded memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from featreport.collect import slabs


@pytest.fixture(autouse=True)
def small_slabs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slabs, "SLAB", 7)


def make(seed: int, shape: tuple[int, ...], dtype: torch.dtype, spoil: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    tensor = torch.randn(shape, generator=generator) * 10.0 ** (seed % 5 - 2) + seed % 3
    flat = tensor.reshape(-1)
    for position in range(min(spoil, flat.numel())):
        flat[position * 5 % flat.numel()] = (0.0, float("nan"), float("inf"), -float("inf"), 5e-4)[
            position % 5
        ]
    return flat.reshape(shape).to(dtype)


LAYOUTS = {
    "as it is": lambda t: t,
    "transposed": lambda t: t.transpose(0, -1),
    "every second": lambda t: t[::2],
    "expanded": lambda t: t[:1].expand(9, *t.shape[1:]),
    "flipped inside": lambda t: torch.cat([t, t], -1)[..., 1:-1],
}


@given(
    seed=st.integers(0, 10**6),
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple),
    dtype=st.sampled_from([torch.float32, torch.float16, torch.bfloat16, torch.float64]),
    spoil=st.integers(0, 6),
    layout=st.sampled_from(sorted(LAYOUTS)),
)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_every_number_is_numpys(
    seed: int, shape: tuple[int, ...], dtype: torch.dtype, spoil: int, layout: str
) -> None:
    tensor = LAYOUTS[layout](make(seed, shape, dtype, spoil))
    array = tensor.double().numpy()
    finite = array[np.isfinite(array)]
    found = slabs.measure(tensor, 1e-3)
    assert found.count == array.size
    assert found.finite == finite.size
    assert found.zeros == np.count_nonzero(array == 0)
    assert found.near_zeros == np.count_nonzero(np.abs(array) <= 1e-3)
    assert (found.nan, found.posinf, found.neginf) == (
        np.isnan(array).sum(),
        np.isposinf(array).sum(),
        np.isneginf(array).sum(),
    )
    histogram, relative = slabs.spread(tensor, found)
    if not finite.size:
        assert histogram.counts == []
        return
    assert found.mean == pytest.approx(finite.mean(), rel=1e-12, abs=1e-12 * np.abs(finite).max())
    assert (found.low, found.high) == (finite.min(), finite.max())
    assert sum(histogram.counts) == finite.size
    if found.high > found.low:
        counts, edges = np.histogram(finite, bins=50)
        assert histogram.counts == counts.tolist()
        assert histogram.edges == edges.tolist()
    if finite.size > 1:
        std = finite.std(ddof=1)
        assert found.std == pytest.approx(std, rel=1e-12, abs=1e-15 * np.abs(finite).max())
        assert relative == np.count_nonzero(np.abs(array) <= 0.01 * (found.std or 0))
    rows = np.abs(array.reshape(array.shape[0], -1)).max(1)
    if tensor.ndim > 1:
        assert np.array_equal(slabs.row_maxima(tensor).numpy(), rows, equal_nan=True)


def test_an_empty_tensor_has_no_numbers() -> None:
    found = slabs.measure(torch.empty(0, 3), 1e-3)
    assert (found.count, found.finite, found.std) == (0, 0, None)
    assert slabs.spread(torch.empty(0, 3), found)[0].counts == []


def test_no_piece_is_larger_than_a_slab_whatever_the_layout() -> None:
    big = torch.zeros(3, 1).expand(3, 50).transpose(0, 1)
    for tensor in (
        big,
        torch.zeros(2, 3, 40).transpose(0, 2),
        torch.zeros(1).expand(1000),
        torch.zeros(1, 100).expand(4, 100),
    ):
        pieces = [piece for piece, _ in slabs.slabs(tensor)]
        assert max(piece.numel() for piece in pieces) <= 7
        assert sum(piece.numel() for piece in pieces) == tensor.numel()
