"""The sample of every image that histograms are counted from (see `places`), in torch."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from featreport.statistics.cells import cells_of
from featreport.statistics.places import positions


@lru_cache(maxsize=64)
def places_on(device: torch.device, total: int) -> Tensor:
    """Return the places on a device: copied once, from memory that the copy need not wait for."""
    places = positions(total)
    return places.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else places.to(device)


def count_into(cells: Tensor, values: Tensor) -> None:
    """Add the sample of `[n, c, p]` to `cells`, `[CELLS + 1]` of int32; it waits for nothing."""
    p = values.shape[2]
    places = places_on(values.device, values.shape[1] * p)
    found = cells_of(values[:, places // p, places % p]).reshape(-1)
    cells.index_add_(0, found, torch.ones_like(found, dtype=cells.dtype))
