"""From the maps and kernels of a run to its sprites, within a byte budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from featreport.collect.maps import Shown, may_show
from featreport.images.pictures import encode
from featreport.images.sprites import kernel_sprite, matrix_picture, sprite_of_maps, strip_of_units
from featreport.plan.types import Choice, Showing, Which
from featreport.results.schema import FeatureMaps, KernelNorms, Kernels

BYTES_PER_PIXEL = 0.5  # of lossless sprites in base64, measured on MobileNetV2 and ResNet-50 over photos
TILES = (48, 40, 32, 24, 16)
SECOND_TILE = 32  # of layers that are no rectifiers: they have the most values, and are looked at last
GAP = 1
UNIT_COLUMNS = 64
ENCODERS = 2
MATRIX = 2  # axes


@dataclass
class Gallery:
    """The pictures of one run."""

    maps: list[FeatureMaps] = field(default_factory=list)
    kernels: Kernels | None = None
    norms: list[KernelNorms] = field(default_factory=list)
    pictures: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Wanted:
    """One tap to show, and how many images of it at most."""

    shown: Shown
    images: int
    first: bool  # a rectifier, or as good as one


@dataclass(frozen=True)
class _Size:
    """How many images and how many pixels a side are shown."""

    images: int
    tile: int


def make_gallery(model: nn.Module, shown: Sequence[Shown], asked: int, budget: int, how: Showing) -> Gallery:
    """Return sprites of feature maps and of the first layer's kernels in about `budget` bytes of base64.

    Args:
        model: the network.
        shown: what was kept of each tap, in the order of the network.
        asked: how many images are shown at most.
        budget: bytes.
        how: which channels were chosen, and of which taps: `all`, `none`, or `auto`, which is rectifiers with every
            image and the other layers with one, smaller, but norms, which shift and scale the maps before them, sums,
            and taps that hand on another's tensor. Without a rectifier all but norms count as one.
    """
    gallery = Gallery()
    wanted = _wanted(shown, asked, how.maps)
    size = _plan(wanted, asked, budget)
    seen = max((len(one.shown.maps.rows) for one in wanted), default=0)
    if size.images < min(asked, seen):
        gallery.notes.append(
            f"Feature maps show {size.images} of the {min(asked, seen)} images asked for, at most {size.tile} pixels "
            "a side, to keep the report light."
        )
    with ThreadPoolExecutor(ENCODERS) as pool:  # Pillow lets go of the interpreter while it encodes
        for one, drawn in zip(wanted, pool.map(lambda one: _draw(one, size), wanted), strict=True):
            gallery.pictures |= drawn.pictures
            gallery.maps.append(_described(one, drawn, how.channels))
    gallery.kernels = _kernels(gallery, model)
    gallery.norms = list(_norms(gallery, model, how.kernels))
    return gallery


def _wanted(shown: Sequence[Shown], asked: int, which: Which) -> list[_Wanted]:
    if which == "all":
        return [_Wanted(one, asked, first=True) for one in shown if one.maps.kind is not None]
    seen: set[int] = set()
    own = []
    for one in shown:  # of taps of one tensor the first stands for all, also where it is not shown
        if id(one.channels) not in seen and one.maps.kind is not None and may_show(one.tap, which):
            own.append(one)
        seen.add(id(one.channels))
    rectified = any(one.tap.rectifier for one in own)
    firsts = [
        (one, one.tap.rectifier or not rectified)
        for one in own
        if not (rectified and one.tap.kind == "F.add")
    ]
    return [_Wanted(one, asked if first else 1, first) for one, first in firsts]


def _plan(wanted: list[_Wanted], asked: int, budget: int) -> _Size:
    """The largest showing whose estimated bytes fit: fewer images first, then smaller tiles."""
    shapes = [(one.images, one.shown.maps.shape) for one in wanted if one.shown.maps.kind == "maps"]
    for tile in TILES:
        for images in range(max(asked, 1), 0, -1):
            pixels = sum(
                min(images, most, rows) * channels * min(h, tile) * min(w, tile)
                for most, (rows, channels, h, w) in shapes
            )
            if pixels * BYTES_PER_PIXEL <= budget and (images > 1 or asked == 1 or tile == TILES[-1]):
                return _Size(images, tile)
    return _Size(1, TILES[-1])


@dataclass(frozen=True)
class _Drawn:
    """One tap's sprite, and the veil that brings its tiles to one scale."""

    sprite: str
    contrast: str | None
    pictures: dict[str, str]
    tile: list[int]
    rows: list[int]
    channels: list[int]
    low: float
    high: float


def _draw(one: _Wanted, size: _Size) -> _Drawn:
    """One scale for the whole tap: from the least to the greatest finite value shown."""
    values = one.shown.maps.value()[: min(size.images, one.images)]
    largest = size.tile if one.first else min(size.tile, SECOND_TILE)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    contrast = None
    if one.shown.maps.kind == "maps":
        sprite, tile, veil = sprite_of_maps(values, low, high, gap=GAP, max_tile=largest)
        contrast, uri = encode(veil)
        pictures = {contrast: uri}
    else:
        columns = min(UNIT_COLUMNS, values.shape[1])
        sprite, tile = strip_of_units(values, low, high, columns, gap=GAP)
        pictures = {}
    key, uri = encode(sprite)
    rows = one.shown.maps.rows[: len(values)]
    channels = one.shown.maps.chosen if contrast else None
    return _Drawn(
        key, contrast, {key: uri, **pictures}, tile, rows, channels or list(range(values.shape[1])), low, high
    )


def _described(one: _Wanted, drawn: _Drawn, how: Choice) -> FeatureMaps:
    return FeatureMaps(
        layer=one.shown.tap.layer,
        call=one.shown.tap.call,
        output=one.shown.tap.output,
        kind=one.shown.maps.kind or "maps",
        picture=drawn.sprite,
        contrast=drawn.contrast,
        images=drawn.rows,
        channels=drawn.channels,
        loudest=_loudest(one.shown, drawn.channels) if drawn.contrast else [],
        chosen="first" if one.shown.maps.chosen is None or not drawn.contrast else how,
        tile=drawn.tile,
        gap=GAP,
        low=drawn.low,
        high=drawn.high,
    )


def _loudest(one: Shown, channels: list[int]) -> list[int | None]:
    """Return for each channel the image that fires it most."""
    found = (int(one.channels.loudest[channel]) for channel in channels)
    return [image if image >= 0 else None for image in found]


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


def _norms(gallery: Gallery, model: nn.Module, globs: Sequence[str]) -> Iterator[KernelNorms]:
    """Yield the kernels' norms of the convolutions and linear layers that `globs` name, as pictures."""
    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        full = f"{name}.weight" if name else "weight"
        wanted = any(fnmatchcase(full, glob) or fnmatchcase(name, glob) for glob in globs)
        if not wanted or not isinstance(module, (_ConvNd, nn.Linear)) or not isinstance(weight, Tensor):
            continue
        turned = isinstance(module, _ConvTransposeNd)  # [in, out / groups, …]
        flat = (
            weight.detach().double().flatten(2)
            if weight.ndim > MATRIX
            else weight.detach().double()[:, :, None]
        )
        norms = flat.norm(dim=2)
        picture, size, high = matrix_picture(_host(norms.T if turned else norms))
        key, uri = encode(picture)
        gallery.pictures[key] = uri
        outputs, inputs = norms.T.shape if turned else norms.shape
        kernel = list(weight.shape[2:])
        yield KernelNorms(
            name=full, picture=key, outputs=outputs, inputs=inputs, kernel=kernel, size=size, high=high
        )


def _host(tensor: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.detach().cpu().float().numpy()
    return array
