"""Gram matrices of images by what a layer gave for them: from two of them follows how alike two layers see images."""

from __future__ import annotations

import torch
from torch import Tensor

ROOM = 1 << 18  # values that are copied at a time: they stay in the cache
FEWEST = 4  # images: the unbiased estimate divides by n − 3
WITH_FLOAT64 = {"cpu", "cuda", "xpu"}


def gram(rows: Tensor) -> Tensor:
    """Return X Xᵀ of the features of a batch, each with its mean over the batch taken away.

    Args:
        rows: `[n, c, p]`: images, channels, positions; any strides, any device.

    Returns:
        `[n, n]` in float64, in float32 where the device has nothing wider. The mean is taken away so that no digits
        are lost to it; a debiased estimate is the same with and without.
    """
    n, channels, positions = rows.shape
    kind = torch.float64 if rows.device.type in WITH_FLOAT64 else torch.float32
    total = torch.zeros((n, n), dtype=kind, device=rows.device)
    width = max(1, ROOM // max(1, n))
    step = max(1, width // max(1, positions))
    for channel in range(0, channels, step):
        for start in range(0, positions, width):
            part = rows[:, channel : channel + step, start : start + width].reshape(n, -1).to(kind)
            part = part - part.mean(0)
            total.addmm_(part, part.T)
    return total
