"""Dead channels, and on how many images each channel fires."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from featreport.statistics.base import HostState, Seen, State, Statistic, register, share, zeros
from featreport.statistics.block import Block


@register
class Firing(Statistic):
    """On how many images some |a| of the channel exceeds `dead`; on none: the channel is dead on these images."""

    metric = "dead_fraction"
    label = "dead"

    def sentence(self) -> str:
        return (
            f"A channel is dead when |a| ≤ {self.settings.dead:g} at every position of every image "
            "(a non-finite value is not ≤ anything, so such a channel is not dead); the share is dead channels "
            "of all channels. At a rectifier's output: it never fires on these images."
        )

    def start(self, channels: int, device: torch.device) -> State:
        return {"fired": zeros(channels, device)}

    def update(self, state: State, block: Block) -> None:
        loud = torch.maximum(block.high.abs(), block.low.abs()).to(block.precise)
        fired = loud > self.settings.dead  # a row without a finite value is ±inf here and counts as firing
        if block.finite is not None:
            fired = fired | (block.finite_count < block.values.shape[2])
        state["fired"][block.channels] += fired.sum(0)

    def merge(self, into: State, other: State) -> None:
        into["fired"] += other["fired"]

    def value(self, state: HostState, seen: Seen) -> dict[str, Any]:
        fired = state["fired"]
        dead = np.flatnonzero(fired == 0).tolist() if seen.positions else []
        return {
            "dead": dead,
            "dead_fraction": share(len(dead), fired.size) if seen.positions else None,
            "fired_images": fired.astype(int).tolist() if seen.images is not None else None,
        }
