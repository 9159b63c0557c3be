"""What one reading of a tensor leaves of each channel: a table that adds up over batches, and over machines."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cache

import numpy as np
import torch
from torch import Tensor

from featreport import memory


class Field(IntEnum):
    """A row of the table `[fields, channels]`. Moments, extrema and magnitude are of finite values only."""

    COUNT = 0  # finite values
    MEAN = 1
    SPREAD = 2  # sum of squared deviations from the mean
    MAGNITUDE = 3  # sum of |a|
    LOW = 4  # +inf where there is no finite value
    HIGH = 5  # -inf where there is none
    ZEROS = 6
    NEAR = 7  # |a| ≤ near_zero
    NAN = 8
    POSINF = 9
    NEGINF = 10
    FIRED = 11  # images on which some |a| > dead, or is not finite
    BOUND = 12  # values at or above the layer's upper bound
    PEAK = 13  # the greatest |a|
    PEAK_IMAGE = 14  # the first image that has it


SPACE = 24  # columns between fields: those of one channel, powers of two apart, would crowd each other out of caches
ADDED = slice(Field.ZEROS, Field.BOUND + 1)
START = dict.fromkeys(Field, 0.0) | {
    Field.LOW: float("inf"),
    Field.HIGH: float("-inf"),
    Field.PEAK: -1.0,  # below every |a|
    Field.PEAK_IMAGE: -1.0,
}


@dataclass(frozen=True)
class Limits:
    """The thresholds one reading counts against; `upper` is the bound of a layer that has one (6 of a ReLU6)."""

    dead: float = 0.0
    near_zero: float = 1e-3
    upper: float | None = None


def at_most(threshold: float) -> float:
    """The greatest float32 ≤ threshold: with it, a float32 comparison decides as the exact one would."""
    single = np.float32(threshold)
    if float(single) > threshold:
        single = np.nextafter(single, np.float32(-np.inf))
    return float(single)


def precise(device: torch.device) -> torch.dtype:
    """The dtype of sums: float64, or float32 on a device that has no float64 (Apple's MPS)."""
    return torch.float32 if device.type == "mps" else torch.float64


@cache
def _column(device: torch.device) -> Tensor:
    """The fields of one channel, `[fields, 1]`, before anything was seen."""
    with torch.inference_mode(mode=False):
        column = torch.tensor([START[field] for field in Field], dtype=precise(device))
        return column.to(device)[:, None]


def blank(channels: int, device: torch.device) -> Tensor:
    """Return the table `[fields, channels]` before anything was seen."""
    return _column(device).expand(-1, channels).clone(memory_format=torch.contiguous_format)


def lasting(channels: int, device: torch.device) -> Tensor:
    """Return a blank table that stays while a network runs (see `memory`)."""
    apart = channels + SPACE
    return memory.zeros((len(Field), apart), precise(device), device).copy_(_column(device))[:, :channels]


def merge(into: Tensor, other: Tensor) -> None:
    """Add what `other` saw to `into`, both `[fields, channels]`, in place; it waits for nothing.

    Means and squared deviations are joined pairwise (Chan, Golub and LeVeque 1979), so that no precision is lost.
    Which of two equal peaks counts does not depend on the order: the one of the earlier image.
    """
    count, more = into[Field.COUNT], other[Field.COUNT]
    weight = more / (count + more).clamp(min=1.0)
    gap = other[Field.MEAN] - into[Field.MEAN]
    into[Field.SPREAD] += other[Field.SPREAD] + gap * (count * weight) * gap  # gap² may leave the range
    into[Field.MEAN] += gap * weight
    into[Field.COUNT] += more
    into[Field.MAGNITUDE] += other[Field.MAGNITUDE]
    torch.minimum(into[Field.LOW], other[Field.LOW], out=into[Field.LOW])
    torch.maximum(into[Field.HIGH], other[Field.HIGH], out=into[Field.HIGH])
    into[ADDED] += other[ADDED]
    ours, theirs = into[Field.PEAK], other[Field.PEAK]
    earlier = (theirs == ours) & (other[Field.PEAK_IMAGE] < into[Field.PEAK_IMAGE])
    taken = (theirs > ours) | earlier
    into[Field.PEAK_IMAGE] = torch.where(taken, other[Field.PEAK_IMAGE], into[Field.PEAK_IMAGE])
    into[Field.PEAK] = torch.where(taken, theirs, ours)
