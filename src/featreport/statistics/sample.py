"""The values a histogram is counted from: the same positions of every image, few enough to cost next to nothing."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from featreport.statistics import kernel
from featreport.statistics.cells import cells_of

PER_IMAGE = 4096  # values of one image's output that are counted, at most
SEED = 0


@lru_cache(maxsize=64)
def positions(total: int) -> Tensor:
    """Return the places `[min(total, PER_IMAGE)]` of `total` values that are looked at, in order.

    The values are cut into 4,096 equal stretches, and one place is drawn from each (stratified, seeded): no period of
    the layer falls in step with them.
    """
    with torch.inference_mode(mode=False):
        if total <= PER_IMAGE:
            return torch.arange(total)
        draw = torch.Generator().manual_seed(SEED)
        within = torch.rand(PER_IMAGE, generator=draw, dtype=torch.float64)
        places = (torch.arange(PER_IMAGE, dtype=torch.float64) + within) * (total / PER_IMAGE)
        return places.long().clamp_(max=total - 1)


@lru_cache(maxsize=128)
def offsets(channels: int, per_channel: int, steps: tuple[int, int]) -> NDArray[np.int64]:
    """Return where the sampled values of an image `[c, p]` lie in memory, given the steps of its axes."""
    places = positions(channels * per_channel)
    found: NDArray[np.int64] = (
        (places // per_channel) * steps[0] + (places % per_channel) * steps[1]
    ).numpy()
    return found


@lru_cache(maxsize=64)
def _on(device: torch.device, total: int) -> Tensor:
    """Return the places on a device: copied once, from memory that the copy need not wait for."""
    places = positions(total)
    return places.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else places.to(device)


def count_into(cells: Tensor, values: Tensor) -> None:
    """Add the sample of `[n, c, p]` to `cells`, `[CELLS + 1]` of int32; it waits for nothing."""
    if not values.numel():
        return
    _, c, p = values.shape
    if kernel.runs(values) and values.dtype == torch.float32:
        kernel.count_into(cells, values, offsets(c, p, values.stride()[1:]))
        return
    places = _on(values.device, c * p)
    found = cells_of(values[:, places // p, places % p]).reshape(-1)
    cells.index_add_(0, found, torch.ones_like(found, dtype=cells.dtype))
