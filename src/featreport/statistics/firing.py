"""Dead channels, on how many images each channel fires, and what that proves."""

from __future__ import annotations

from typing import Any

import numpy as np

from featreport.statistics.base import Measured, Statistic, indices, register, share
from featreport.statistics.table import Field

CONFIDENCE = 0.95
ENOUGH = 300  # images from which on a channel may be called rare
RARE = 0.01  # of the images


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

    def value(self, tap: Measured) -> dict[str, Any]:
        fired = tap[Field.FIRED]
        dead = indices(tap.dead)
        return {
            "dead": dead,
            "dead_fraction": share(len(dead), fired.size) if tap.positions else None,
            "fired_images": fired.astype(int).tolist() if tap.images is not None else None,
        }


@register
class Evidence(Statistic):
    """How rarely a channel that was never seen to fire can fire."""

    metric = "firing_rate_bound"
    label = "evidence"

    def sentence(self) -> str:
        return (
            "A channel that fires on none of N images fires on fewer than 1 − 0.05^(1/N) of all images, with 95 % "
            "confidence (Clopper–Pearson). Positions of one image are correlated, so N counts images."
        )

    def value(self, tap: Measured) -> dict[str, Any]:
        images = tap.images
        bound = None if not images else -float(np.expm1(np.log1p(-CONFIDENCE) / images))
        return {"firing_rate_bound": bound}


@register
class Rare(Statistic):
    """Channels that fire on very few images."""

    metric = "rare"
    label = "rare"

    def sentence(self) -> str:
        return (
            f"Channels that fire on some image, but on fewer than {RARE:.0%} of them, each with the image on which its "
            f"|a| is greatest; claimed only where the images are {ENOUGH} or more."
        )

    def value(self, tap: Measured) -> dict[str, Any]:
        if tap.images is None or tap.images < ENOUGH:
            return {"rare": None}
        fired = tap[Field.FIRED]
        found = indices((fired > 0) & (fired < RARE * tap.images))
        image = tap[Field.PEAK_IMAGE]
        return {
            "rare": [
                {
                    "channel": c,
                    "images": int(fired[c]),
                    "loudest_image": int(image[c]) if image[c] >= 0 else None,
                }
                for c in found
            ]
        }
