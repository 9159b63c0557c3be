"""Pixels become the network's input, as the manifest's `transform` says, bit for bit as torchvision does."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from featreport.errors import ImagesError, Terminated
from featreport.images.callable import load_callable, raised
from featreport.images.decode import MAX_PIXELS, ImageUnusable
from featreport.images.pixels import in_mode
from featreport.plan.types import TransformSpec

IMAGE_AXES = 3  # [C, H, W]
Transform = Callable[[Image.Image], torch.Tensor]


def make_transform(spec: TransformSpec, model_name: str | None = None) -> Transform:
    """Return the function from one PIL image to one float32 tensor [C, H, W].

    Args:
        spec: the manifest's transform, with its defaults filled in.
        model_name: torchvision's name of the model, or timm:NAME; only kind "weights" needs it.

    Raises:
        ImagesError: the transform cannot be made; from the returned function: its result cannot be used.
    """
    if spec.kind == "weights":
        return _checked(_published(spec, model_name), "the published transform", spec)
    if spec.kind == "python":
        name = spec.python_name or ""
        return _checked(load_callable(spec), f"the transform {name!r}", spec)
    if spec.kind == "none":
        scaled = _scaling(spec)
        return lambda image: scaled(in_mode(image, spec.color))
    return _from_keys(spec)


def _from_keys(spec: TransformSpec) -> Transform:
    """Build size or resize → crop → [0, 1] → (x − mean) / std with torchvision's functions on PIL images."""
    from torchvision.transforms import InterpolationMode, functional

    scaled = _scaling(spec)
    interpolation = InterpolationMode(spec.interpolation)

    def transform(image: Image.Image) -> torch.Tensor:
        image = in_mode(image, spec.color)
        if spec.size is not None:
            image = functional.resize(image, list(spec.size), interpolation)
        elif spec.resize is not None:
            _refuse_huge(image, spec.resize)
            image = functional.resize(image, [spec.resize], interpolation)
        if spec.crop is not None:
            image = functional.center_crop(image, [spec.crop, spec.crop])
        return scaled(image)

    return transform


def _scaling(spec: TransformSpec) -> Transform:
    """Return the function from 8-bit pixels to [0, 1] and (x − mean) / std, by a table of its 256 values a channel.

    torchvision's own functions fill the table once, so the bits are theirs; looking it up is one pass over the pixels
    where they take four, and NumPy, unlike torch, does not start a team of threads in every decoding thread.
    """
    from torchvision.transforms import functional

    channels = 1 if spec.color == "L" else 3
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 256, 1).repeat(channels, axis=2)
    values: torch.Tensor = functional.to_tensor(ramp)
    mean, std = (None, None) if spec.kind == "none" else _per_channel(spec, channels)
    if mean is not None and std is not None:
        values = functional.normalize(values, mean, std, inplace=True)
    table: NDArray[np.float32] = values.reshape(channels, 256).numpy()

    def scaled(image: Image.Image) -> torch.Tensor:
        pixels = np.asarray(image).reshape(image.height, image.width, channels)
        result = np.empty((channels, image.height, image.width), dtype=np.float32)
        for channel in range(
            channels
        ):  # "clip" writes into `result` without a buffer; every byte is in the table
            np.take(table[channel], pixels[:, :, channel], out=result[channel], mode="clip")
        return torch.from_numpy(result)

    return scaled


def _per_channel(spec: TransformSpec, channels: int) -> tuple[list[float] | None, list[float] | None]:
    if spec.mean is None and spec.std is None:
        return None, None

    def spread(values: Sequence[float] | None, default: float, key: str) -> list[float]:
        numbers = list(values) if values is not None else [default]
        if len(numbers) not in {1, channels}:
            raise ImagesError(
                f"transform: {key} has {len(numbers)} values, the images are {spec.color}",
                f"give one number or one per channel ({channels}), or change `color`",
            )
        return numbers * (channels // len(numbers))

    std = spread(spec.std, 1.0, "std")
    if not all(math.isfinite(value) and value != 0 for value in std):
        raise ImagesError(
            "transform: std has a value that is zero or not finite", "std divides: give positive numbers"
        )
    return spread(spec.mean, 0.0, "mean"), std


def _refuse_huge(image: Image.Image, shorter: int) -> None:
    """Refuse an image so narrow that resizing its shorter side would blow up the longer one."""
    width, height = image.size
    scale = shorter / min(width, height)
    if width * scale * height * scale > MAX_PIXELS:
        size = f"{round(width * scale)} × {round(height * scale)}"
        raise ImageUnusable(
            f"{width} × {height} pixels would become {size}, over the limit of {MAX_PIXELS:,}"
        )


def _published(spec: TransformSpec, model_name: str | None) -> Callable[[Image.Image], Any]:
    from torchvision import models

    if model_name is None:
        raise ImagesError(
            "transform: `weights` needs a model from torchvision or timm",
            "write the transform's keys (resize, crop, mean, std) instead",
        )
    if model_name.startswith("timm:"):
        return _of_timm(model_name.removeprefix("timm:"), spec.weights or "DEFAULT")
    try:
        published = models.get_model_weights(model_name)
    except ValueError:
        raise ImagesError(
            f"transform: torchvision publishes no weights for {model_name!r}",
            "write the transform's keys (resize, crop, mean, std) instead",
        ) from None
    name = spec.weights or "DEFAULT"
    if name not in published.__members__:
        known = ", ".join([*published.__members__])
        raise ImagesError(f"transform: {model_name} has no published weights {name!r}", f"known: {known}")
    transform: Callable[[Image.Image], Any] = published[name].transforms()
    return transform


def _of_timm(name: str, tag: str) -> Callable[[Image.Image], Any]:
    """Return the transform of evaluation that timm publishes with the weights: its pretrained data config."""
    import timm.data

    named = name if tag == "DEFAULT" else f"{name.partition('.')[0]}.{tag}"
    data: Any = timm.data
    config: Any = timm.get_pretrained_cfg(named)
    if config is None:
        raise ImagesError(
            f"transform: timm publishes none for {named!r}", "write the transform's keys instead"
        )
    settings = data.resolve_data_config(config.to_dict())
    transform: Callable[[Image.Image], Any] = data.create_transform(**settings, is_training=False)
    return transform


def _checked(function: Callable[[Image.Image], Any], what: str, spec: TransformSpec) -> Transform:
    """Wrap a function not our own: its exceptions become one line, its result is held to float [C, H, W]."""
    promise = "it takes a PIL image and returns a float tensor [C, H, W]"

    def transform(image: Image.Image) -> torch.Tensor:
        try:
            result = function(in_mode(image, spec.color).copy())
        except (KeyboardInterrupt, Terminated):
            raise
        except BaseException as error:
            raise ImagesError(f"{what} {raised(error)}", promise) from error
        if not isinstance(result, torch.Tensor):
            raise ImagesError(f"{what} returned {type(result).__name__}, expected torch.Tensor", promise)
        if result.ndim != IMAGE_AXES or 0 in result.shape:
            shape = list(result.shape)
            raise ImagesError(
                f"{what} returned shape {shape}, expected [C, H, W]", "leave the batch axis out"
            )
        if not result.is_floating_point():
            dtype = str(result.dtype).removeprefix("torch.")
            raise ImagesError(
                f"{what} returned {dtype}, expected float32", "scale to the range the network expects"
            )
        return result.detach().to("cpu", torch.float32).contiguous()

    return transform
