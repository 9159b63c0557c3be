"""Exact zeros and near-zeros."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from featreport.statistics.base import HostState, Seen, State, Statistic, at_most, register, share, zeros
from featreport.statistics.block import Block


def _count(found: Tensor) -> Tensor:
    """Sum of a `[n, c, p]` mask of 0.0 and 1.0 over positions, exact: float32 holds every count up to 2^24."""
    return found.sum(2, dtype=torch.float64 if found.shape[2] > 1 << 24 else None)


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
        # The comparison writes floats at once: summing them is six times as fast as counting booleans.
        found = torch.eq(
            block.values, 0.0, out=block.workspace.take("mask", block.values, block.values.dtype)
        )
        state["zeros"][block.channels] += _count(found).to(state["zeros"].dtype).sum(0)

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
        buffer = block.workspace.take("mask", block.values, block.values.dtype)
        magnitude = torch.abs(block.values, out=buffer)
        found = torch.le(magnitude, limit, out=magnitude)  # NaN is not ≤ anything
        state["near"][block.channels] += _count(found).to(state["near"].dtype).sum(0)

    def merge(self, into: State, other: State) -> None:
        into["near"] += other["near"]

    def value(self, state: HostState, seen: Seen) -> dict[str, Any]:
        found = int(state["near"].sum())
        return {"near_zeros": found, "near_zero_fraction": share(found, seen.positions * state["near"].size)}
