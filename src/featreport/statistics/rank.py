"""Effective rank of what a layer tells images apart by."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from featreport.statistics.base import Measured, State, Statistic, register
from featreport.statistics.table import precise

SAMPLES = 4  # images per channel, at least
WIDEST = 256  # channels: beyond it the matrix of products is not kept


@register
class EffectiveRank(Statistic):
    """The exponential of the entropy of the singular values (Roy & Vetterli 2007)."""

    metric = "effective_rank"
    label = "effective rank"

    def sentence(self) -> str:
        return (
            "exp(−Σ p ln p) with p the singular values over their sum (Roy & Vetterli 2007), of the matrix images × "
            "channels whose entries are means over positions, not centred. From fewer images than "
            f"{SAMPLES} × channels it would measure the number of images, so it is left out and says so; measured up "
            f"to {WIDEST} channels."
        )

    def start(self, channels: int, device: torch.device) -> State:
        if self._why_not(channels, self.settings.images) is not None:
            return {}
        return {"products": torch.zeros((channels, channels), dtype=precise(device), device=device)}

    def update(self, state: State, means: Tensor) -> None:
        if state:
            state["products"].addmm_(means.T, means)

    def value(self, tap: Measured) -> dict[str, Any]:
        why = self._why_not(tap.channels, tap.images)
        if why is None and tap.strays.any():
            why = "some values are no numbers"
        if why is None and "products" not in tap.own:
            why = "the number of images was not known beforehand"
        if why is not None:
            return {"effective_rank": None, "effective_rank_reason": why}
        size = tap.channels
        singular = np.sqrt(np.linalg.eigvalsh(tap.own["products"].reshape(size, size)).clip(min=0.0))
        total = singular.sum()
        if total == 0:
            return {"effective_rank": None, "effective_rank_reason": "every value is 0"}
        p = singular / total
        p = p[p > 0]
        return {"effective_rank": float(np.exp(-(p * np.log(p)).sum())), "effective_rank_reason": None}

    @staticmethod
    def _why_not(channels: int, images: int | None) -> str | None:
        if images is None:
            return "no axis of the output is known as the images"
        if channels > WIDEST:
            return f"{channels:,} channels; measured up to {WIDEST}"
        if images < SAMPLES * channels:
            return f"needs {SAMPLES} × {channels:,} = {SAMPLES * channels:,} images, saw {images:,}"
        return None
