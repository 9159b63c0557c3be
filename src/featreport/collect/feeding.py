"""How a network wants its batch: as one tensor, or, torchvision's detectors, as a list of images."""

from __future__ import annotations

import inspect
from typing import Any

from torch import Tensor, nn

LISTS = ("GeneralizedRCNN", "RetinaNet", "FCOS", "SSD")
HOME = "torchvision.models.detection."


def takes_list(model: nn.Module) -> bool:
    """Whether a network is documented to take a list of images `[C, H, W]`: it is one of torchvision's detectors."""
    return any(
        kind.__name__ in LISTS and kind.__module__.startswith(HOME) for kind in inspect.getmro(type(model))
    )


def fed(model: nn.Module, batch: Tensor) -> Any:
    """Return a batch `[N, C, H, W]` as the network takes it."""
    return list(batch) if takes_list(model) else batch
