"""Whether loaded weights still look as if nothing had trained them.

Every weight of a convolution or linear layer is compared with the model's own fresh one by the two-sample
Kolmogorov-Smirnov test: two draws of one initialisation differ by no more than chance allows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parameter import is_lazy

SAMPLE = 16_384  # elements of one tensor
SMALLEST = 64
ALPHA = 1e-3  # how often a network fresh from its initialisation may be taken for a trained one


@dataclass(frozen=True)
class Fresh:
    """The model's parameters before anything was loaded: samples of weights, and the value of constant ones."""

    samples: dict[str, Tensor]
    constants: dict[str, float]


def fresh(parameters: Mapping[str, Tensor], names: Iterable[str]) -> Fresh:
    """Return what `looks_untrained` needs of the parameters that will be loaded."""
    samples: dict[str, Tensor] = {}
    constants: dict[str, float] = {}
    for name in names:
        parameter = parameters[name]
        if not isinstance(parameter, nn.Parameter) or is_lazy(parameter) or not parameter.is_floating_point():
            continue
        sample = _sample(parameter)
        if not sample.numel():
            continue
        low, high = (float(end) for end in sample.aminmax())
        if low == high:
            constants[name] = low
        elif parameter.ndim > 1 and parameter.numel() >= SMALLEST:
            samples[name] = sample.clone()
    return Fresh(samples, constants)


def looks_untrained(before: Fresh, loaded: Mapping[str, Tensor]) -> bool:
    """Say whether every loaded weight has the distribution of a fresh one.

    A parameter that starts as a constant (a norm's scale and shift) and has left it was trained.
    """
    if not before.samples:
        return False
    if any(bool((_sample(loaded[name]) != value).any()) for name, value in before.constants.items()):
        return False
    level = ALPHA / len(before.samples)  # Bonferroni's correction: one layer told apart is enough
    return all(_alike(sample, _sample(loaded[name]), level) for name, sample in before.samples.items())


def idle_norms(model: nn.Module) -> list[str]:
    """Return the batch norms whose running statistics are those they begin with."""
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm)
        and (mean := module.running_mean) is not None
        and (variance := module.running_var) is not None
        and mean.numel()
        and not bool(mean.any())
        and bool((variance == 1).all())
    ]


def distance(one: Tensor, other: Tensor) -> float:
    """Return the Kolmogorov-Smirnov statistic: the largest distance of the two empirical distributions."""
    n, m = one.numel(), other.numel()
    values, order = torch.cat([one, other]).sort()
    steps = torch.tensor([1 / n, -1 / m], dtype=torch.float64)
    gap = steps[(order >= n).long()].cumsum(0)
    last = torch.ones_like(values, dtype=torch.bool)  # of equal values
    torch.ne(values[1:], values[:-1], out=last[:-1])
    return float(gap[last].abs().max())


def _alike(one: Tensor, other: Tensor, level: float) -> bool:
    """Say whether the test does not tell the samples apart at `level` (the asymptotic critical value)."""
    if not bool(other.isfinite().all()):
        return False
    n, m = one.numel(), other.numel()
    return distance(one, other) <= math.sqrt(-math.log(level / 2) / 2 * (n + m) / (n * m))


def _sample(tensor: Tensor) -> Tensor:
    """Return at most `SAMPLE` elements in even steps, in float32."""
    flat = tensor.detach().reshape(-1)
    return flat[:: math.ceil(flat.numel() / SAMPLE) or 1].float()
