"""What every number of the table means, in torch: the one definition that the compiled forms are held against."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from featreport.statistics.table import Field, Limits, precise


@dataclass(frozen=True)
class Reduced:
    """The table of one tensor `[fields, channels]`, and each image's sum per channel `[images, channels]`."""

    table: Tensor
    sums: Tensor

    def __getitem__(self, field: Field) -> Tensor:
        """Return one field, `[channels]`."""
        return self.table[field]


def definition(values: Tensor, limits: Limits, first: int) -> Reduced:
    """What every field of the table means, in torch: `[n, c, p]` → `[fields, c]`. It waits for nothing."""
    exact = values.to(precise(values.device))
    finite = torch.isfinite(exact)
    numbers = torch.where(finite, exact, 0.0)
    magnitude = numbers.abs()
    count = finite.sum((0, 2)).to(exact.dtype)
    sums = numbers.sum(2)
    mean = sums.sum(0) / count.clamp(min=1.0)
    deviation = torch.where(finite, exact - mean[:, None], 0.0)
    mean = mean + deviation.sum((0, 2)) / count.clamp(min=1.0)  # what the rounding of the first sum left over
    loudest = torch.where(finite, magnitude, -1.0).amax(2)  # [n, c]
    peak, image = loudest.max(0)
    strays = values.shape[2] - finite.sum(2)
    rows = {
        Field.COUNT: count,
        Field.MEAN: mean,
        Field.SPREAD: (deviation * deviation).sum((0, 2)),
        Field.MAGNITUDE: magnitude.sum((0, 2)),
        Field.LOW: torch.where(finite, exact, float("inf")).amin((0, 2)),
        Field.HIGH: torch.where(finite, exact, float("-inf")).amax((0, 2)),
        Field.ZEROS: (exact == 0).sum((0, 2)),
        Field.NEAR: (exact.abs() <= limits.near_zero).sum((0, 2)),
        Field.NAN: torch.isnan(exact).sum((0, 2)),
        Field.POSINF: torch.isposinf(exact).sum((0, 2)),
        Field.NEGINF: torch.isneginf(exact).sum((0, 2)),
        Field.FIRED: ((loudest > limits.dead) | (strays > 0)).sum(0),
        Field.BOUND: torch.zeros_like(count)
        if limits.upper is None
        else (finite & (exact >= limits.upper)).sum((0, 2)),
        Field.PEAK: peak,
        Field.PEAK_IMAGE: torch.where(peak >= 0, (image + first).to(exact.dtype), -1.0),
    }
    return Reduced(torch.stack([rows[field].to(exact.dtype) for field in Field]), sums)
