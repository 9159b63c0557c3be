"""Exact zeros and near-zeros."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from featreport.statistics.base import HostState, Seen, State, Statistic, at_most, register, share, zeros
from featreport.statistics.block import Block


def _nonzero(values: Tensor) -> Tensor:
    """Count of values != 0 per row, `[n, c]`; NaN counts. Exact: a float32 count holds up to 2^24."""
    if values.dtype == torch.float32 and values.shape[2] >= 1 << 24:
        return (values != 0).sum(2)
    count: Tensor = torch.linalg.vector_norm(values, 0, dim=2)
    return count


@register
class Zeros(Statistic):
    """Values that are exactly 0."""

    metric = "zero_fraction"
    label = "zero"

    def sentence(self) -> str:
        return (
            "Share of values that are exactly 0; at a rectifier's output this is APoZ "
            "(Hu et al. 2016, arXiv 1607.03250)."
        )

    def start(self, channels: int, device: torch.device) -> State:
        return {"zeros": zeros(channels, device)}

    def update(self, state: State, block: Block) -> None:
        found = block.values.shape[2] - _nonzero(block.values).to(state["zeros"].dtype)
        state["zeros"][block.channels] += found.sum(0)

    def merge(self, into: State, other: State) -> None:
        into["zeros"] += other["zeros"]

    def value(self, state: HostState, seen: Seen) -> dict[str, Any]:
        found = int(state["zeros"].sum())
        return {"zeros": found, "zero_fraction": share(found, seen.positions * state["zeros"].size)}


@register
class NearZeros(Statistic):
    """Values within `near_zero` of 0, on both sides."""

    metric = "near_zero_fraction"
    label = "near zero"

    def sentence(self) -> str:
        return f"Share of values with |a| ≤ {self.settings.near_zero:g}, both signs, exact zeros included."

    def start(self, channels: int, device: torch.device) -> State:
        return {"near": zeros(channels, device)}

    def update(self, state: State, block: Block) -> None:
        limit = self.settings.near_zero
        limit = at_most(limit) if block.values.dtype == torch.float32 else limit
        far = _nonzero(F.hardshrink(block.values, limit))  # hardshrink keeps |x| > limit, and NaN
        state["near"][block.channels] += (block.values.shape[2] - far.to(state["near"].dtype)).sum(0)

    def merge(self, into: State, other: State) -> None:
        into["near"] += other["near"]

    def value(self, state: HostState, seen: Seen) -> dict[str, Any]:
        found = int(state["near"].sum())
        return {"near_zeros": found, "near_zero_fraction": share(found, seen.positions * state["near"].size)}
