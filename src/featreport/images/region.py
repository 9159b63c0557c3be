"""Which part of a photo a transform hands to the network."""

from __future__ import annotations

from collections.abc import Callable

from featreport.plan.types import TransformSpec

WHOLE = [0.0, 0.0, 1.0, 1.0]
PLACES = 9  # of a share: the shortest side of the longest strip is still more than nothing
Region = Callable[[int, int], list[float] | None]  # of a photo's width and height


def region_of(spec: TransformSpec, model_name: str | None = None) -> Region:
    """Return the function from a photo's size to what the network sees of it: left, top, width, height as shares.

    It is None where that is not known: a callable, or a published transform that does not say.
    """
    if spec.kind == "weights":
        return _published(spec, model_name)
    if spec.kind == "python":
        return lambda _width, _height: None
    exact = spec.size
    if exact is not None and spec.crop is not None:
        return lambda _width, _height: cut(exact[1], exact[0], spec.crop or 0)
    if spec.crop is None:
        return lambda _width, _height: WHOLE
    return lambda width, height: cut(*_resized(width, height, spec.resize), spec.crop or 0)


def stretched(spec: TransformSpec) -> float | None:
    """Return width by height that every photo's part is brought to; None: the photo keeps its proportions."""
    if spec.kind != "spec" or spec.size is None:
        return None
    height, width = (min(side, spec.crop or side) for side in spec.size)
    return width / height


def cut(width: int, height: int, crop: int) -> list[float]:
    """Return the share that a crop of the centre leaves of a picture, as torchvision places it; none where it pads."""
    across, down = min(width, crop), min(height, crop)
    left, top = (round((side - kept) / 2.0) for side, kept in ((width, across), (height, down)))
    return [round(share, PLACES) for share in (left / width, top / height, across / width, down / height)]


def _resized(width: int, height: int, shorter: int | None) -> tuple[int, int]:
    if shorter is None:
        return width, height
    longer = int(shorter * max(width, height) / min(width, height))
    return (shorter, longer) if width <= height else (longer, shorter)


def _published(spec: TransformSpec, model_name: str | None) -> Region:
    """Return the region of torchvision's transforms for classification, which carry their two sizes."""
    if model_name is None or model_name.startswith("timm:"):
        return lambda _width, _height: None
    from torchvision import models

    transform = models.get_model_weights(model_name)[spec.weights or "DEFAULT"].transforms()
    resize, crop = (getattr(transform, name, None) or [] for name in ("resize_size", "crop_size"))
    if len(resize) != 1 or len(crop) != 1:
        return lambda _width, _height: None
    return lambda width, height: cut(*_resized(width, height, resize[0]), crop[0])
