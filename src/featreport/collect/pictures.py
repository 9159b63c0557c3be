"""From the maps and kernels of a run to its sprites, within a byte budget."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from featreport.collect.layout import Layout
from featreport.collect.maps import ShownMaps, fetch
from featreport.collect.taps import Tap
from featreport.images.pictures import encode
from featreport.images.sprites import kernel_sprite, sprite_of_maps, strip_of_units
from featreport.results.schema import FeatureMaps, Kernels

BYTES_PER_PIXEL = (
    0.5  # of lossless 32-level sprites in base64, measured on MobileNetV2 and ResNet-50 over photos
)
TILES = (48, 40, 32, 24, 16)
GAP = 1
UNIT_COLUMNS = 64
ENCODERS = 2
Shown = list[tuple[Tap, Layout, ShownMaps]]


@dataclass
class Gallery:
    """The pictures of one run."""

    maps: list[FeatureMaps] = field(default_factory=list)
    kernels: Kernels | None = None
    pictures: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Size:
    """How many images and how many pixels a side are shown."""

    images: int
    tile: int


def make_gallery(model: nn.Module, shown: Shown, asked: int, budget: int) -> Gallery:
    """Return sprites of every tap's maps and of the first layer's kernels in about `budget` bytes of base64."""
    gallery = Gallery()
    fetch(maps for _, _, maps in shown)
    size = _plan(shown, asked, budget)
    seen = max((len(maps.rows) for _, _, maps in shown), default=0)
    if size.images < min(asked, seen):
        gallery.notes.append(
            f"Feature maps show {size.images} of the {min(asked, seen)} images asked for, at most {size.tile} pixels "
            "a side, to keep the report light."
        )
    kept = [(tap, maps) for tap, _layout, maps in shown if maps.kind is not None]
    with ThreadPoolExecutor(ENCODERS) as pool:  # Pillow lets go of the interpreter while it encodes
        for (tap, maps), drawn in zip(kept, pool.map(lambda one: _draw(one[1], size), kept), strict=True):
            gallery.pictures[drawn.key] = drawn.uri
            gallery.maps.append(_described(tap, maps, drawn, size))
    gallery.kernels = _kernels(gallery, model)
    return gallery


def _plan(shown: Shown, asked: int, budget: int) -> _Size:
    """The largest showing whose estimated bytes fit: fewer images first, then smaller tiles."""
    shapes = [maps.shape for _, _, maps in shown if maps.kind == "maps"]
    for tile in TILES:
        for images in range(max(asked, 1), 0, -1):
            pixels = sum(
                min(images, rows) * channels * min(h, tile) * min(w, tile) for rows, channels, h, w in shapes
            )
            if pixels * BYTES_PER_PIXEL <= budget and (images > 1 or asked == 1 or tile == TILES[-1]):
                return _Size(images, tile)
    return _Size(1, TILES[-1])


@dataclass(frozen=True)
class _Drawn:
    """One tap's sprite."""

    key: str
    uri: str
    tile: list[int]
    channels: int
    low: float
    high: float


def _draw(maps: ShownMaps, size: _Size) -> _Drawn:
    """One scale for the whole tap: from the least to the greatest finite value shown."""
    values = maps.value()[: size.images]
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if maps.kind == "maps":
        sprite, tile = sprite_of_maps(values, low, high, gap=GAP, max_tile=size.tile)
    else:
        sprite, tile = strip_of_units(values, low, high, min(UNIT_COLUMNS, values.shape[1]), gap=GAP)
    return _Drawn(*encode(sprite), tile, values.shape[1], low, high)


def _described(tap: Tap, maps: ShownMaps, drawn: _Drawn, size: _Size) -> FeatureMaps:
    return FeatureMaps(
        layer=tap.layer,
        call=tap.call,
        output=tap.output,
        kind=maps.kind or "maps",
        picture=drawn.key,
        images=maps.rows[: size.images],
        channels=list(range(drawn.channels)),
        tile=drawn.tile,
        gap=GAP,
        low=drawn.low,
        high=drawn.high,
    )


def _kernels(gallery: Gallery, model: nn.Module) -> Kernels | None:
    """The first 2-D convolution's kernels, where they see a picture (3 channels) or a grey one (1)."""
    for name, module in model.named_modules():
        if isinstance(module, _ConvNd) and module.weight.ndim == 4:  # noqa: PLR2004 - [out, in, kh, kw]
            weight: NDArray[np.float32] = _host(module.weight)
            if weight.shape[1] not in {1, 3} or not np.isfinite(weight).all():
                return None
            made = kernel_sprite(weight, gap=GAP)
            key, uri = encode(made.sprite)
            gallery.pictures[key] = uri
            return Kernels(
                name=f"{name}.weight" if name else "weight",
                picture=key,
                tile=made.tile,
                gap=GAP,
                columns=made.columns,
                shown=made.shown,
                total=weight.shape[0],
                limit=made.limit,
            )
    return None


def _host(tensor: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.detach().cpu().float().numpy()
    return array
