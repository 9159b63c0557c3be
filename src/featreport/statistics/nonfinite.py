"""Values that are no numbers."""

from __future__ import annotations

from typing import Any

import torch

from featreport.statistics.base import HostState, Seen, State, Statistic, register, zeros
from featreport.statistics.block import Block


@register
class NonFinite(Statistic):
    """NaN, +Inf and −Inf, counted apart."""

    metric = "nonfinite"
    label = "non-finite"

    def sentence(self) -> str:
        return "Count of NaN, +Inf and −Inf; they are left out of moments, extrema and histograms."

    def start(self, channels: int, device: torch.device) -> State:
        return {name: zeros(channels, device) for name in ("nan", "posinf", "neginf")}

    def update(self, state: State, block: Block) -> None:
        if block.finite is None:
            return
        values, part = block.values, block.channels
        state["nan"][part] += torch.isnan(values).sum((0, 2))
        state["posinf"][part] += torch.isposinf(values).sum((0, 2))
        state["neginf"][part] += torch.isneginf(values).sum((0, 2))

    def merge(self, into: State, other: State) -> None:
        for name in into:
            into[name].add_(other[name])

    def value(self, state: HostState, seen: Seen) -> dict[str, Any]:  # noqa: ARG002
        counts = {name: int(state[name].sum()) for name in ("nan", "posinf", "neginf")}
        return {"nonfinite": sum(counts.values()), **counts}
