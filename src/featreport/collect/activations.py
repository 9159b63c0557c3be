"""Activations of one run: every statistic of every tap, over every batch, in constant memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from featreport.collect.layout import TOKENS, Layout, Layouts, as_rows
from featreport.collect.maps import ShownMaps
from featreport.collect.taps import Tap
from featreport.results.schema import Activation, Histogram
from featreport.statistics import Seen, Settings, State, Statistic, Workspace, all_statistics, blocks


@dataclass
class _Stream:
    """What is kept of one tap: its layout, O(channels) numbers per statistic, the few maps to show.

    The layout is decided once and held for the run. Where the batch may be either of two axes (`[8, 8, C]` of 8
    images) each has a stream of its own, until a batch of another size tells them apart.
    """

    tap: Tap
    layout: Layout
    full: tuple[int, ...]  # the first output's shape, the batch included
    channels: int
    states: list[State]
    maps: ShownMaps
    images: int = 0
    positions: int = 0
    varies: bool = False
    sizes: set[int] = field(default_factory=set)  # numbers of images in the batches seen

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape for one image, or the whole first output's where no axis is known as the batch."""
        return _without_batch(self.full, self.layout)

    def fits(self, output: Tensor, images: int) -> bool:
        """Whether the batch can still stand where it was first seen."""
        axis = self.layout.batch
        return axis is None or (output.ndim > axis and output.shape[axis] == images)

    def certain(self) -> bool:
        """Whether the batch axis is known, and not only of the right size by chance."""
        if len(self.sizes) > 1:  # it followed the batch's size
            return True
        if self.tap.batch is not None and len(self.full) == TOKENS:
            return self.layout.batch == self.tap.batch
        # [N · windows, tokens, C] with as many tokens as images looks the same as [T, N, C]
        return self.layout.batch != 1 or self.full[0] % max(self.sizes) != 0


@dataclass
class ActivationCollector:
    """Receives taps (see `Taps`) and reduces each at once. `value` moves everything to the host in one go."""

    settings: Settings
    shown_images: int
    shown_channels: int
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    skipped: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, bool] = field(default_factory=dict)  # layers not wanted, and whether they rectify

    def __post_init__(self) -> None:
        self.statistics: list[Statistic] = all_statistics(self.settings)
        self._streams: dict[tuple[str, int, str | None], list[_Stream]] = {}
        self._workspace = Workspace()
        self._dropped: set[tuple[str, int, str | None]] = set()
        self._layouts = Layouts()
        self._images: tuple[int, int] = (0, 0)

    def wants(self, layer: str) -> bool:
        """Whether the manifest's `layers` ask for this layer."""
        included = not self.include or any(fnmatchcase(layer, glob) for glob in self.include)
        return included and not any(fnmatchcase(layer, glob) for glob in self.exclude)

    def begin_batch(self, first: int, count: int) -> None:
        """The next taps come from images `first … first + count − 1` of the run."""
        self._images = (first, count)
        self._layouts = Layouts()

    def observe(self, tap: Tap, module: nn.Module | None, output: Tensor) -> None:
        """Reduce one tensor now: the next in-place op may overwrite it."""
        first, count = self._images
        layouts = self._layouts.of(
            module, output, count, tap.channel
        )  # also for layers not wanted: channels pass through
        key = (tap.layer, tap.call, tap.output)
        if not self.wants(tap.layer):
            self.left_out[tap.layer] = self.left_out.get(tap.layer, False) or tap.rectifier
            return
        if key in self._dropped:
            return
        known = self._streams.get(key)
        if known is None:
            streams = [self._open(tap, layout, output) for layout in layouts]
        else:
            streams = self._going_on(known, layouts[0], output)
        self._streams[key] = streams
        for stream in streams:
            rows = as_rows(output, stream.layout)
            if rows.shape[1] != stream.channels:
                self._drop(key, stream, rows.shape[1])
                return
            self._add(stream, output, rows, first, count)

    def _add(self, stream: _Stream, output: Tensor, rows: Tensor, first: int, count: int) -> None:
        for block in blocks(rows, self._workspace):
            for statistic, state in zip(self.statistics, stream.states, strict=True):
                statistic.update(state, block)
        stream.images += count
        stream.positions += rows.shape[0] * rows.shape[2]
        stream.sizes.add(count)
        if stream.layout.batch is not None:
            stream.varies |= _without_batch(output.shape, stream.layout) != stream.shape
            stream.maps.take(output, stream.layout, first)

    def _open(self, tap: Tap, layout: Layout, output: Tensor) -> _Stream:
        channels = as_rows(output, layout).shape[1]
        return _Stream(
            tap=tap,
            layout=layout,
            full=tuple(output.shape),
            channels=channels,
            states=[statistic.start(channels, output.device) for statistic in self.statistics],
            maps=ShownMaps(self.shown_images, self.shown_channels),
        )

    def _going_on(self, streams: list[_Stream], layout: Layout, output: Tensor) -> list[_Stream]:
        """Keep the streams whose batch axis follows the batch; where none does, no axis is the batch."""
        kept = [stream for stream in streams if stream.fits(output, self._images[1])]
        if not kept:
            kept = streams[:1]
            kept[0].layout = Layout(None, kept[0].layout.channel)
        for stream in kept:
            if output.ndim != len(stream.full):
                stream.layout = layout if stream.layout.batch is not None else Layout(None, layout.channel)
        return kept

    def _drop(self, key: tuple[str, int, str | None], stream: _Stream, channels: int) -> None:
        self._dropped.add(key)
        del self._streams[key]
        self.skipped[stream.tap.layer] = (
            f"its number of channels changes from batch to batch ({stream.channels}, then {channels})"
        )

    @property
    def value_count(self) -> int:
        """How many taps have numbers."""
        return len(self._streams)

    def value(self) -> tuple[list[Activation], list[tuple[Tap, Layout, ShownMaps]]]:
        """Return every tap's results in the order the network ran, and the maps to show."""
        streams = [_decided(streams) for streams in self._streams.values()]
        host = iter(
            _to_host(tensor for stream in streams for state in stream.states for tensor in state.values())
        )
        taps = []
        for stream in streams:
            seen = Seen(stream.images if stream.layout.batch is not None else None, stream.positions)
            fields: dict[str, Any] = {}
            for statistic, state in zip(self.statistics, stream.states, strict=True):
                fields |= statistic.value({name: next(host) for name in state}, seen)
            taps.append(_activation(stream, fields))
        return taps, [(s.tap, s.layout, s.maps) for s in streams if s.layout.batch is not None]


def _decided(streams: list[_Stream]) -> _Stream:
    """The stream whose batch axis is known; where it cannot be known, one that counts no images."""
    declared = [stream for stream in streams if stream.layout.batch == stream.tap.batch]
    stream = declared[0] if len(streams) > 1 and declared else streams[0]
    if (len(streams) > 1 and not declared) or not stream.certain():
        stream.layout = Layout(None, stream.layout.channel)
    return stream


def _without_batch(shape: tuple[int, ...], layout: Layout) -> tuple[int, ...]:
    return tuple(size for axis, size in enumerate(shape) if axis != layout.batch)


def _activation(stream: _Stream, fields: dict[str, Any]) -> Activation:
    batch, channel = stream.layout.batch, stream.layout.channel
    axis = channel - 1 if batch is not None and channel > batch else channel
    fields["histogram"] = Histogram(**fields["histogram"])
    return Activation(
        layer=stream.tap.layer,
        call=stream.tap.call,
        output=stream.tap.output,
        module=stream.tap.kind,
        rectifier=stream.tap.rectifier,
        same_as=stream.tap.same_as[0] if stream.tap.same_as else None,
        shape=list(stream.shape),
        shape_varies=stream.varies,
        channel_axis=max(axis, 0),
        channels=stream.channels,
        images=stream.images,
        count=stream.positions * stream.channels,
        **fields,
    )


def _to_host(tensors: Iterable[Tensor]) -> list[NDArray[np.float64]]:
    """Copy many small tensors of one device to the host in a single transfer."""
    kept = list(tensors)
    if not kept:
        return []
    flat = torch.cat(kept).cpu().double().numpy()
    ends = np.cumsum([tensor.numel() for tensor in kept])
    return np.split(flat, ends[:-1])
