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

from featreport.collect.layout import Layout, Layouts, as_rows
from featreport.collect.maps import ShownMaps
from featreport.collect.taps import Tap
from featreport.results.schema import Activation, Histogram
from featreport.statistics import Seen, Settings, State, Statistic, Workspace, all_statistics, blocks


@dataclass
class _Stream:
    """What is kept of one tap: its layout, O(channels) numbers per statistic, the few maps to show."""

    tap: Tap
    layout: Layout
    shape: tuple[int, ...]
    channels: int
    states: list[State]
    maps: ShownMaps
    images: int = 0
    positions: int = 0
    varies: bool = False


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

    def __post_init__(self) -> None:
        self.statistics: list[Statistic] = all_statistics(self.settings)
        self._streams: dict[tuple[str, int, str | None], _Stream] = {}
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
        layout = self._layouts.of(
            module, output, count
        )  # also for layers not wanted: channels pass through them
        key = (tap.layer, tap.call, tap.output)
        if key in self._dropped or not self.wants(tap.layer):
            return
        rows = as_rows(output, layout)
        stream = self._streams.get(key)
        if stream is None:
            stream = self._open(key, tap, layout, output, rows)
        elif not self._accept(key, stream, layout, output, rows):
            return
        for block in blocks(rows, self._workspace):
            for statistic, state in zip(self.statistics, stream.states, strict=True):
                statistic.update(state, block)
        stream.images += count
        stream.positions += rows.shape[0] * rows.shape[2]
        if stream.layout.batch is not None:
            stream.maps.take(output, layout, first)

    def _open(
        self, key: tuple[str, int, str | None], tap: Tap, layout: Layout, output: Tensor, rows: Tensor
    ) -> _Stream:
        channels = rows.shape[1]
        stream = _Stream(
            tap=tap,
            layout=layout,
            shape=_without_batch(output, layout),
            channels=channels,
            states=[statistic.start(channels, output.device) for statistic in self.statistics],
            maps=ShownMaps(self.shown_images, self.shown_channels),
        )
        self._streams[key] = stream
        return stream

    def _accept(
        self, key: tuple[str, int, str | None], stream: _Stream, layout: Layout, output: Tensor, rows: Tensor
    ) -> bool:
        if rows.shape[1] != stream.channels:
            self._dropped.add(key)
            del self._streams[key]
            self.skipped[stream.tap.layer] = (
                f"its number of channels changes from batch to batch ({stream.channels}, then {rows.shape[1]})"
            )
            return False
        if (
            layout.batch is None or stream.layout.batch is None
        ):  # one batch without an image axis spoils the count
            stream.layout = Layout(None, stream.layout.channel)
        elif _without_batch(output, layout) != stream.shape:
            stream.varies = True
        return True

    @property
    def value_count(self) -> int:
        """How many taps have numbers."""
        return len(self._streams)

    def value(self) -> tuple[list[Activation], list[tuple[Tap, Layout, ShownMaps]]]:
        """Return every tap's results in the order the network ran, and the maps to show."""
        streams = list(self._streams.values())
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


def _without_batch(output: Tensor, layout: Layout) -> tuple[int, ...]:
    return tuple(size for axis, size in enumerate(output.shape) if axis != layout.batch)


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
