"""Norms: what their scale and their running statistics do together, channel by channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from featreport.statistics.base import median, share
from featreport.statistics.weights.base import Described, describe

SMALL = 1e-2  # |γ|, network slimming
EPS = 1e-5  # PyTorch's, where no module says

Array = NDArray[np.float64]


@dataclass(frozen=True)
class NormTensors:
    """What a norm holds; None for what it lacks. `eps` is None where no module tells it."""

    scale: Tensor | None
    shift: Tensor | None
    mean: Tensor | None
    variance: Tensor | None
    counter: Tensor | None
    eps: float | None


@describe
class NormScale(Described):
    """Small γ."""

    metric = "norms.small_scale"
    label = "small norm scale"

    def sentence(self) -> str:
        return (
            f"Channels of a norm with |γ| ≤ {SMALL:g} (network slimming, Liu et al. 2017, arXiv 1708.06519); of these, "
            "“closed” have a shift β ≤ 0: a rectifier behind them sees nothing above it but γ's remainder."
        )


@describe
class NormEffective(Described):
    """Effective scale."""

    metric = "norms.effective_median"
    label = "effective norm scale"

    def sentence(self) -> str:
        return (
            "γ / √(running variance + eps), what a batch norm multiplies its input by: least, median and greatest; "
            "γ is 1 where the norm has none. None for norms without running statistics."
        )


@describe
class NormVariance(Described):
    """Running variance near zero."""

    metric = "norms.still"
    label = "running variance ≈ 0"

    def sentence(self) -> str:
        return (
            "Channels whose running variance is at most the norm's eps (1e-05 where no module tells it): the input "
            "hardly varied while training."
        )


@describe
class NormUntouched(Described):
    """Nothing loaded."""

    metric = "norms.untouched"
    label = "untouched norm"

    def sentence(self) -> str:
        return (
            "Running mean 0, running variance 1 and γ 1 exactly, counter 0: as it is made. A sign that nothing was "
            "loaded, not of death."
        )


def norm_fields(norm: NormTensors) -> dict[str, Any]:
    """Return the numbers of one norm."""
    scale, shift, mean, variance = (_array(t) for t in (norm.scale, norm.shift, norm.mean, norm.variance))
    channels = next((part.size for part in (scale, variance, mean, shift) if part is not None), 0)
    eps = EPS if norm.eps is None else norm.eps
    small = None if scale is None else np.flatnonzero(np.abs(scale) <= SMALL)
    closed = None
    if small is not None and shift is not None and shift.size == channels:
        closed = small[shift[small] <= 0].tolist()
    still = None if variance is None else np.flatnonzero(variance <= eps).tolist()
    return {
        "channels": channels,
        "eps": norm.eps,
        "counter": None if norm.counter is None else int(norm.counter),
        "small_scale": None if small is None else small.tolist(),
        "small_scale_fraction": None if small is None else share(small.size, channels),
        "closed": closed,
        "still": still,
        "untouched": _untouched(scale, mean, variance, norm.counter),
        **_effective(scale, variance, eps),
    }


def _effective(scale: Array | None, variance: Array | None, eps: float) -> dict[str, float | None]:
    names = ("effective_min", "effective_median", "effective_max")
    if variance is None or (scale is not None and scale.size != variance.size):
        return dict.fromkeys(names)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        found = (1.0 if scale is None else scale) / np.sqrt(variance + eps)
    found = found[np.isfinite(found)]
    if not found.size:
        return dict.fromkeys(names)
    return dict(zip(names, (float(found.min()), median(found), float(found.max())), strict=True))


def _untouched(
    scale: Array | None, mean: Array | None, variance: Array | None, counter: Tensor | None
) -> bool | None:
    """None where there are no running statistics."""
    if mean is None or variance is None or not mean.size:
        return None
    as_made = not mean.any() and bool((variance == 1).all()) and (scale is None or bool((scale == 1).all()))
    return as_made and (counter is None or int(counter) == 0)


def _array(tensor: Tensor | None) -> Array | None:
    if tensor is None:
        return None
    found: Array = tensor.detach().to("cpu", torch.float64).numpy().reshape(-1)
    return found
