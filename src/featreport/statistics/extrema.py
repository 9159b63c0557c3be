"""Minimum and maximum, and the channels that never change."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from featreport.statistics.base import HostState, Seen, State, Statistic, number, register, zeros
from featreport.statistics.block import Block


@register
class Extrema(Statistic):
    """Least and greatest finite value per channel."""

    metric = "constant"
    label = "min … max, constant"

    def sentence(self) -> str:
        return (
            "Least and greatest finite value. A channel is constant when its least and greatest value are the same "
            "number, over at least two values, and it is not dead: it still carries a bias."
        )

    def start(self, channels: int, device: torch.device) -> State:
        return {
            "low": zeros(channels, device, float("inf")),
            "high": zeros(channels, device, float("-inf")),
            "strays": zeros(channels, device),
        }

    def update(self, state: State, block: Block) -> None:
        low, high = state["low"][block.channels], state["high"][block.channels]
        torch.minimum(low, block.low.amin(0).to(low.dtype), out=low)
        torch.maximum(high, block.high.amax(0).to(high.dtype), out=high)
        if block.finite is not None:
            missing = block.values.shape[2] - block.finite_count
            state["strays"][block.channels] += missing.sum(0)

    def merge(self, into: State, other: State) -> None:
        torch.minimum(into["low"], other["low"], out=into["low"])
        torch.maximum(into["high"], other["high"], out=into["high"])
        into["strays"] += other["strays"]

    def value(self, state: HostState, seen: Seen) -> dict[str, Any]:
        low, high = state["low"], state["high"]
        if low.size == 0:
            return {"min": None, "max": None, "constant": []}
        loud = np.maximum(np.abs(low), np.abs(high)) > self.settings.dead
        same = (low == high) & loud & (state["strays"] == 0)
        constant = np.flatnonzero(same).tolist() if seen.positions > 1 else []
        return {"min": number(low.min()), "max": number(high.max()), "constant": constant}
