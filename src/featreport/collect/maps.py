"""The few feature maps that will be shown: copied inside the hook, already reduced to the size they are shown at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor

from featreport import memory
from featreport.collect.layout import Layout
from featreport.collect.taps import Tap
from featreport.plan.types import Which
from featreport.statistics import Field, Measured

LARGEST_TILE = 48
MOST_UNITS = 4096
CHUNK = 1 << 20  # values


def may_show(tap: Tap, which: Which) -> bool:
    """Whether maps of a tap can be shown: by themselves those of norms, which shift and scale others, never are."""
    return which == "all" or (which == "auto" and "Norm" not in tap.kind)


@dataclass(frozen=True)
class Channelwise:
    """What is known of each channel of a tap, all `[channels]`: by it channels are chosen to be shown."""

    size: NDArray[np.float64]  # mean |a| of the finite values
    fired: NDArray[np.int64]  # on how many images
    loudest: NDArray[np.int64]  # the image with the greatest |a|; -1: it never fires
    dead: NDArray[np.bool_]

    @classmethod
    def of(cls, tap: Measured) -> Channelwise:
        """Return it for a tap."""
        image = np.where(tap.dead, -1, tap[Field.PEAK_IMAGE]).astype(np.int64)
        return cls(tap.sizes, tap[Field.FIRED].astype(np.int64), image, tap.dead)


class Room:
    """Memory for the maps of many taps side by side.

    One by one they would lie between the network's own tensors, and what is free around them could not be used again.
    """

    def __init__(self) -> None:
        self._free: Tensor | None = None

    def copy(self, values: Tensor) -> Tensor:
        """Return a float32 copy that stays."""
        size = values.numel()
        if self._free is None or self._free.numel() < size:
            self._free = memory.zeros((max(size, CHUNK),), torch.float32, values.device)
        own, self._free = self._free[:size].view(values.shape), self._free[size:]
        return own.copy_(values)


class ShownMaps:
    """Maps of the first images and channels of one tap, on the device until asked for."""

    def __init__(self, images: int, channels: int, room: Room, chosen: Sequence[int] | None = None) -> None:
        self._images = images
        self._room = room
        self._channels = channels
        self.chosen = None if chosen is None else list(chosen)  # the channels of "maps"; None: the first ones
        self.parts: list[Tensor] = []  # on the device; `receive` takes them back from the host
        self._host: list[NDArray[np.float32]] = []
        self._kind: str | None = None
        self.rows: list[int] = []

    def take(self, output: Tensor, layout: Layout, first: int) -> None:
        """Copy what is shown of a batch whose first image is number `first` of the run."""
        wanted = min(self._images - first, output.shape[layout.batch or 0])
        if wanted > 0:
            self.keep(output, layout, range(first, first + wanted), None)

    def keep(self, output: Tensor, layout: Layout, rows: Sequence[int], channels: Tensor | None) -> None:
        """Copy the first images of an output, which are numbers `rows` of the run; of maps `channels`, or the first."""
        if layout.batch is None or layout.channel < 0:
            return
        few = output.movedim((layout.batch, layout.channel), (0, 1))[: len(rows)]
        kind = "units" if few.ndim == 2 else "maps"  # noqa: PLR2004
        if kind == "units":
            few = few[:, :MOST_UNITS]
        else:
            few = _as_maps(few[:, : self._channels] if channels is None else few.index_select(1, channels))
        if self.parts and (kind != self._kind or few.shape[1:] != self.parts[0].shape[1:]):
            return  # images of another size are not shown beside these
        self._kind = kind
        self.parts.append(self._room.copy(few.detach()))
        self.rows += rows

    @property
    def kind(self) -> str | None:
        """Either "maps" `[images, channels, h, w]`, "units" `[images, units]`, None for nothing to show."""
        return self._kind

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """`(images, channels, h, w)` of what was kept of "maps"."""
        _, channels, height, width = self.parts[0].shape
        return len(self.rows), channels, height, width

    def receive(self, host: list[NDArray[np.float32]]) -> None:
        """Take the parts as they came to the host."""
        self._host = host

    def value(self) -> NDArray[np.float32]:
        """The maps on the host."""
        return np.concatenate(self._host)


@dataclass(frozen=True)
class Shown:
    """What can be shown of one tap: its maps, where its axes are, and what its channels did over all images."""

    tap: Tap
    layout: Layout
    maps: ShownMaps
    channels: Channelwise


def _as_maps(values: Tensor) -> Tensor:
    """Reduce `[n, c, …]` to `[n, c, h, w]` with h, w ≤ 48: tokens on their grid, volumes by their first slice."""
    if values.ndim == 3:  # noqa: PLR2004 - tokens [n, c, t], perhaps with a class token in front
        tokens = values.shape[2]
        for extra in (0, 1):
            side = round((tokens - extra) ** 0.5)
            if side > 1 and side * side == tokens - extra:
                values = values[:, :, extra:].reshape(*values.shape[:2], side, side)
                break
        else:
            values = values[:, :, None, :]
    elif values.ndim > 4:  # noqa: PLR2004
        values = values.flatten(2, -3)[:, :, 0]
    height, width = values.shape[2:]
    scale = max(height, width) / LARGEST_TILE
    if scale > 1:
        size = (max(1, round(height / scale)), max(1, round(width / scale)))
        values = F.adaptive_avg_pool2d(values.float(), size)
    return values
