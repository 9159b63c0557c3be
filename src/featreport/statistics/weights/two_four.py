"""2:4 structured sparsity."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from featreport.statistics.base import share
from featreport.statistics.weights.base import Subject, WeightStatistic, register

GROUP, NEEDED = 4, 2
LEAST = 0.01  # of zeros: below it nobody has pruned
CHANCE = 0.6875  # of a group of 4 at 50 % random sparsity: 1 − 0.5^4 − 4 · 0.5^4
BLOCK = 1 << 20


@register
class TwoFour(WeightStatistic):
    """Groups of four weights with at least two zeros."""

    metric = "weights.two_four_fraction"
    label = "2:4 sparsity"

    def sentence(self) -> str:
        return (
            "Share of aligned groups of 4 along the input axis with at least 2 exact zeros, as sparse tensor cores "
            "need it (a convolution's group holds 4 input channels at one position of the kernel; an incomplete last "
            f"group does not count). At 50 % random sparsity it is {100 * CHANCE:.2f} % by chance. Given where at "
            f"least {100 * LEAST:g} % of the weights are zero."
        )

    def value(self, subject: Subject) -> dict[str, Any]:
        nothing = {
            "two_four_groups": None,
            "two_four": None,
            "two_four_fraction": None,
            "two_four_chance": None,
        }
        zeros = share(subject.numbers.zeros, subject.numbers.count)
        if not subject.filters or not zeros or zeros < LEAST:
            return nothing
        view = subject.view if subject.transposed is None else subject.view.movedim(2, 1).flatten(0, 1)
        groups = view.shape[1] // GROUP
        if not groups:
            subject.reasons["two_four_fraction"] = f"fewer than {GROUP} inputs"
            return nothing
        whole = view.shape[0] * groups * view[0, 0].numel()
        found = _sparse(view, groups)
        keep = 1 - zeros
        return {
            "two_four_groups": whole,
            "two_four": found,
            "two_four_fraction": found / whole,
            "two_four_chance": 1 - keep**4 - 4 * zeros * keep**3,
        }


def _sparse(view: Tensor, groups: int) -> int:
    """Count the groups of `[out, in, …]` with enough zeros."""
    found = 0
    step = max(1, BLOCK // max(1, view[0].numel()))
    for start in range(0, view.shape[0], step):
        zero = view[start : start + step, : groups * GROUP] == 0
        found += int((torch.unflatten(zero, 1, (groups, GROUP)).sum(2) >= NEEDED).sum())
    return found
