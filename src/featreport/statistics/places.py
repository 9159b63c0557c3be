"""Which values of an output its histogram is counted from: the same of every image, so few that they cost little."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

PER_IMAGE = 2048  # values of one image's output that are counted, at most
SEED = 0
Places = NDArray[np.int64]


@lru_cache(maxsize=64)
def positions(total: int) -> Tensor:
    """Return the places `[min(total, PER_IMAGE)]` of `total` values that are looked at, in order.

    The values are cut into 2,048 equal stretches, and one place is drawn from each (stratified, seeded): no period of
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
def sample_of(channels: int, per_channel: int) -> tuple[Places, Places, Places]:
    """Return channel and position of each place in an image `[c, p]`, and where each channel begins among them."""
    places = positions(channels * per_channel).numpy()
    bounds = np.searchsorted(places, np.arange(channels + 1) * per_channel)
    return places // per_channel, places % per_channel, bounds
