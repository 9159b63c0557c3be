"""Which axis of an output holds the channels, and which the images (STATISTICS 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.instancenorm import _InstanceNorm

from featreport.collect.passed import Fed, Key

if TYPE_CHECKING:
    from featreport.collect.taps import Tap

TOKENS = 3  # axes of [N, T, C] and [T, N, C]
CONVOLVED = {
    *(nn.Conv1d.forward, nn.Conv2d.forward, nn.Conv3d.forward),
    *(nn.ConvTranspose1d.forward, nn.ConvTranspose2d.forward, nn.ConvTranspose3d.forward),
}
SPATIAL = ("MaxPool", "AvgPool", "LPPool", "FractionalMaxPool", "Upsample")


@dataclass(frozen=True)
class Layout:
    """Axes of an output, the batch axis included in the count; `batch` is None where no axis is the batch."""

    batch: int | None
    channel: int


@dataclass(frozen=True)
class Width:
    """What a producer declares: how many channels, and on which side they stand."""

    channels: int
    last: bool


def declared_width(module: nn.Module) -> Width | None:
    """The width a module's own attributes declare, or None for those that only pass channels on."""
    if isinstance(module, (_ConvNd, _ConvTransposeNd)):
        return Width(int(module.out_channels), last=False)
    if isinstance(module, _NormBase):
        return Width(int(module.num_features), last=False)
    if isinstance(module, nn.GroupNorm):
        return Width(int(module.num_channels), last=False)
    if isinstance(
        module, nn.LayerNorm
    ):  # LayerNorm2d of torchvision and timm permutes inside: channels come first
        return Width(int(module.normalized_shape[-1]), last="2d" not in type(module).__name__.lower())
    if isinstance(module, nn.MultiheadAttention):
        return Width(int(module.embed_dim), last=True)
    out = getattr(module, "out_features", None)
    if isinstance(out, int):
        return Width(out, last=True)
    embedding = getattr(module, "embedding_dim", None)
    return Width(embedding, last=True) if isinstance(embedding, int) else None


def batch_axes(module: nn.Module | None, output: Tensor, images: int) -> list[int]:
    """Every axis that may be the batch's: the first one, and the second of `[T, N, C]`; both where T = N."""
    if output.ndim != TOKENS:
        return [0] if output.ndim and output.shape[0] == images else []
    width = declared_width(module) if module is not None else None
    planar = (width is not None and not width.last) or (module is not None and _is_spatial(module))
    return [axis for axis in ((0,) if planar else (0, 1)) if output.shape[axis] == images]


def _is_spatial(module: nn.Module) -> bool:
    return any(name in type(module).__name__ for name in SPATIAL)


def is_single(module: nn.Module, output: Tensor, images: int) -> bool:
    """Whether a layer was given one image without a batch axis, [C, H, W] or [F]: its channels come first.

    Pooling is also given features, [N, F], and planes of the images, [N, H, W].
    """
    if isinstance(module, _ConvNd):  # a class derived from one may flatten what it computes, or sum it up
        own = type(module).forward in CONVOLVED or output.shape[0] != images
        return own and output.ndim == len(module.kernel_size) + 1 and output.shape[0] == module.out_channels
    if output.ndim == 1:
        return isinstance(module, (nn.Linear, nn.LayerNorm)) and output.shape[0] == _features(module)
    pooled = type(module).__module__ == nn.modules.pooling.__name__
    if pooled and (output.ndim < TOKENS or output.shape[0] % max(images, 1) == 0):
        return False
    named = type(module).__name__.endswith(f"{output.ndim - 1}d")
    return named and (pooled or isinstance(module, _InstanceNorm))


def _features(module: nn.Linear | nn.LayerNorm) -> int:
    return module.out_features if isinstance(module, nn.Linear) else module.normalized_shape[-1]


class Layouts:
    """Follows channels through the network.

    They are where a module's own attributes say; else, of what computes without a width of its own, where they were in
    what it was given; else on the side where the latest layer with as many channels has them.
    """

    def __init__(self) -> None:
        self._latest: list[Width] = []  # most recent producers last
        self._axes: dict[Key, int] = {}  # where the channels of each tap are
        self._widths: dict[Key, Width | None] = {}  # what the modules of taps declare

    def begin(self) -> None:
        """Another forward pass begins."""
        self._latest.clear()

    def of_tap(self, tap: Tap, module: nn.Module | None, output: Tensor, images: int) -> list[Layout]:
        """Return every possible layout of a tap's output, as `of`; what is computed from it inherits it."""
        layouts = self.of(module, output, images, tap.channel, tap.fed)
        axes = {layout.channel for layout in layouts}
        if len(axes) == 1:
            self._axes[tap.key] = axes.pop()
        return layouts

    def of(
        self,
        module: nn.Module | None,
        output: Tensor,
        images: int,
        channel: int | None = None,
        fed: Sequence[Fed | None] = (),
    ) -> list[Layout]:
        """Return every possible layout of an output of N images, in the order the network runs; never none.

        `channel` is the axis on which a function puts the channels, where it fixes it (`F.conv2d`, `F.linear`); `fed`
        what the output was computed from.
        """
        inherited = self._inherited(output, fed)
        width = declared_width(module) if module is not None else None
        self._passed(width, output, channel)
        first = inherited == 0 and width is None and channel in {None, 1}
        if first or (module is not None and is_single(module, output, images)):
            turned = first and any(one is not None and self._axes.get(one.key) != 0 for one in fed)
            return [Layout(1 if turned and output.shape[1:2] == (images,) else None, 0)]
        possible: list[int | None] = [*batch_axes(module, output, images)]
        if channel is not None and output.ndim > abs(channel):
            axis = channel % output.ndim
            fixed = [Layout(batch, axis) for batch in possible or [None] if batch != axis]
            if fixed:
                return fixed
        return [
            Layout(batch, self._channel(module, width, output, batch, inherited))
            for batch in possible or [None]
        ]

    def again(self, tap: Tap, module: nn.Module | None, output: Tensor) -> None:
        """Note what channels the output of a tap has that was seen in an earlier batch."""
        if tap.key not in self._widths:
            self._widths[tap.key] = declared_width(module) if module is not None else None
        self._passed(self._widths[tap.key], output, tap.channel)

    def _passed(self, width: Width | None, output: Tensor, channel: int | None) -> None:
        """Note what channels an output has, for what comes after it."""
        if channel in {1, -1} and output.ndim > 1:
            width = Width(output.shape[channel % output.ndim], last=channel == -1)
        if width is not None:
            self._latest = [*self._latest[-7:], width]

    def _channel(
        self,
        module: nn.Module | None,
        width: Width | None,
        output: Tensor,
        batch: int | None,
        inherited: int | None,
    ) -> int:
        axes = [axis for axis in range(output.ndim) if axis != (batch or 0)]
        if not axes:  # one number per image, or a scalar
            return -1
        if len(axes) == 1:
            return axes[0]
        if width is not None:
            return self._place(width, output, axes)
        if module is not None and _is_spatial(module):
            return axes[0]
        if inherited in axes:
            return inherited
        for known in reversed(self._latest):
            usual = axes[-1] if known.last else axes[0]
            if output.shape[usual] == known.channels:
                return usual
        return axes[0] if output.ndim > TOKENS else axes[-1]

    def _inherited(self, output: Tensor, fed: Sequence[Fed | None]) -> int | None:
        """Return the axis of the channels in what an output was computed from, where all of it agrees on one."""
        found = set()
        for one in fed:
            axis = None if one is None else self._axes.get(one.key)
            axis = None if one is None or axis is None or axis < 0 else one.axis(axis)
            if one is not None and axis is not None and len(one.now[0]) == output.ndim:
                found.add(_after(axis, one.now[0], tuple(output.shape)))
        return found.pop() if len(found) == 1 else None

    @staticmethod
    def _place(width: Width, output: Tensor, axes: list[int]) -> int:
        usual = axes[-1] if width.last else axes[0]
        if output.shape[usual] == width.channels:
            return usual
        fitting = [axis for axis in axes if output.shape[axis] == width.channels]
        return fitting[0] if fitting else usual


def _after(axis: int, before: tuple[int, ...], after: tuple[int, ...]) -> int:
    """Return where an axis is after a computation that keeps the number of axes, or puts them in another order."""
    size = before[axis]
    if after[axis] != size and sorted(after) == sorted(before):
        return after.index(size)
    return axis


def as_rows(output: Tensor, layout: Layout) -> Tensor:
    """View an output as `[n, channels, positions]`; without a batch axis n is 1."""
    if output.ndim == 0:
        return output.reshape(1, 1, 1)
    if layout.channel < 0:
        return output.reshape(output.shape[0], 1, 1)
    if layout.batch == 0 and layout.channel == 1 and output.is_contiguous() and output.numel():
        return output.view(output.shape[0], output.shape[1], -1)
    if layout.batch is None:
        return output.movedim(layout.channel, 0).reshape(1, output.shape[layout.channel], -1)
    rest = output.movedim((layout.batch, layout.channel), (0, 1))
    return rest.reshape(rest.shape[0], rest.shape[1], -1)
