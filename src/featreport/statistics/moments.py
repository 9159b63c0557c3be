"""Mean and standard deviation, exact to float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from featreport.statistics.base import HostState, Seen, State, Statistic, register, zeros
from featreport.statistics.block import Block


@register
class Moments(Statistic):
    """Count, mean and sum of squared deviations per channel, merged pairwise (Chan, Golub and LeVeque 1979)."""

    metric = "mean"
    label = "mean ± std"

    def sentence(self) -> str:
        return "Mean and population standard deviation over all images and positions, of finite values only."

    def start(self, channels: int, device: torch.device) -> State:
        return {name: zeros(channels, device) for name in ("count", "mean", "spread")}

    def update(self, state: State, block: Block) -> None:
        rows = block.finite_count  # [n, c]
        safe = rows.clamp(min=1.0)
        offset = block.shifted_sum / safe
        square = torch.linalg.vector_norm(block.shifted, 2, dim=2) ** 2
        spread = (square - offset * block.shifted_sum).clamp(min=0.0)
        mean = torch.where(rows > 0, offset + block.shift[..., 0], 0.0)
        # The n rows of each channel become one group, around their own mean.
        count = rows.sum(0)
        centre = (mean * rows).sum(0) / count.clamp(min=1.0)
        spread = (spread + rows * (mean - centre) ** 2).sum(0)
        part = {name: tensor[block.channels] for name, tensor in state.items()}  # views: written in place
        self.merge(part, {"count": count, "mean": centre, "spread": spread})

    def merge(self, into: State, other: State) -> None:
        total = into["count"] + other["count"]
        gap = other["mean"] - into["mean"]
        weight = other["count"] / total.clamp(min=1.0)
        into["spread"] += other["spread"] + gap**2 * into["count"] * weight
        into["mean"] += gap * weight
        into["count"].copy_(total)

    def value(self, state: HostState, seen: Seen) -> dict[str, Any]:  # noqa: ARG002
        count = state["count"].sum()
        if count == 0:
            return {"mean": None, "std": None}
        mean = float((state["mean"] * state["count"]).sum() / count)
        spread = (state["spread"] + state["count"] * (state["mean"] - mean) ** 2).sum()
        return {"mean": mean, "std": float(np.sqrt(spread / count))}
