"""Activations of one run: every statistic of every tap, over every batch, in constant memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from featreport.collect.layout import TOKENS, Layout, Layouts, as_rows
from featreport.collect.maps import Channelwise, Room, Shown, ShownMaps, may_show
from featreport.collect.passed import Key
from featreport.collect.taps import Tap
from featreport.plan.types import Which
from featreport.results.grams import Grams
from featreport.results.schema import Activation, Histogram
from featreport.statistics import Account, Ledger, Settings, Statistic, all_statistics, to_host
from featreport.statistics.similarity import FEWEST, gram

GRAM_IMAGES = 512  # the first so many of a run have Gram matrices: they grow with images times batch size


@dataclass
class _Stream:
    """What is kept of one tap: its layout, its place in the ledger, the few maps to show.

    The layout is decided once and held for the run. Where the batch may be either of two axes (`[8, 8, C]` of 8
    images) each has a stream of its own, until a batch of another size tells them apart.
    """

    tap: Tap
    layout: Layout
    full: tuple[int, ...]  # the first output's shape, the batch included
    channels: int
    account: Account
    maps: ShownMaps
    images: int = 0
    grams: list[Tensor] = field(default_factory=list)  # one for each batch that is kept
    varies: bool = False
    sizes: set[int] = field(default_factory=set)  # numbers of images in the batches seen

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape for one image, or the whole first output's where no axis is known as the batch."""
        return _without_batch(self.full, self.layout)

    def with_batch(self, output: Tensor) -> Tensor:
        """Return the output of a batch of one image with its batch axis, where `squeeze()` took that too."""
        axis = self.layout.batch
        return output if axis is None or tuple(output.shape) != self.shape else output.unsqueeze(axis)

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


@dataclass(frozen=True)
class _Copy:
    """A tap whose tensor was read as another tap's; where its axes are and its shape, where they are turned."""

    source: Key
    turned: Layout | None = None
    full: tuple[int, ...] = ()


@dataclass
class ActivationCollector:
    """Receives taps (see `Taps`) and reads each at once. `value` moves everything to the host in one go."""

    settings: Settings
    shown_images: int
    shown_channels: int
    maps: Which = "auto"
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    grams: bool = False  # whether Gram matrices of the first images are kept
    skipped: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, bool] = field(default_factory=dict)  # layers not wanted, and whether they rectify

    def __post_init__(self) -> None:
        self.statistics: list[Statistic] = all_statistics(self.settings)
        self._streams: dict[Key, list[_Stream]] = {}
        self._ledger = Ledger(self.statistics, self.device)
        self._taps: dict[Key, Tap] = {}  # in the order the network ran
        self._copies: dict[Key, _Copy] = {}  # taps that handed on what another gave
        self._dropped: set[Key] = set()
        self._wanted: dict[str, bool] = {}
        self._layouts = Layouts()
        self._room = Room()
        self._images: tuple[int, int] = (0, 0)
        self._gram = False  # whether this batch has them
        self._blocks: list[tuple[int, int]] = []  # batches with Gram matrices: first image, number of images

    def wants(self, layer: str) -> bool:
        """Whether the manifest's `layers` ask for this layer."""
        wanted = self._wanted.get(layer)
        if wanted is None:
            included = not self.include or any(fnmatchcase(layer, glob) for glob in self.include)
            wanted = included and not any(fnmatchcase(layer, glob) for glob in self.exclude)
            self._wanted[layer] = wanted
        return wanted

    def begin_batch(self, first: int, count: int) -> None:
        """The next taps come from images `first … first + count − 1` of the run."""
        self._images = (first, count)
        self._gram = self.grams and count >= FEWEST and first + count <= GRAM_IMAGES
        if self._gram:
            self._blocks.append(self._images)
        self._layouts.begin()

    def observe(self, tap: Tap, module: nn.Module | None, output: Tensor) -> None:
        """Reduce one tensor now: the next in-place op may overwrite it."""
        first, count = self._images
        key = tap.key
        known = self._streams.get(key)
        if output.is_neg():
            output = output.resolve_neg()
        if known is not None and count == 1:
            output = known[0].with_batch(output)
        layouts: list[Layout] = []
        if known is None or len(known[0].full) != output.ndim:  # also where not wanted: channels pass through
            layouts = self._layouts.of_tap(tap, module, output, count)
        else:
            self._layouts.again(tap, module, output)
        if not self.wants(tap.layer):
            self.left_out[tap.layer] = self.left_out.get(tap.layer, False) or tap.rectifier
            return
        if key in self._dropped or self._repeats(tap, layouts, output):
            return
        if known is None:
            self._taps[key] = tap
            streams = [self._open(tap, layout, output) for layout in layouts]
        else:
            streams = self._going_on(known, layouts, output)
        self._streams[key] = streams
        for stream in streams:
            rows = as_rows(output, stream.layout)
            if rows.shape[1] != stream.channels:
                self._drop(key, stream, rows.shape[1])
                return
            self._add(stream, output, rows, first, count)

    def _repeats(self, tap: Tap, layouts: list[Layout], output: Tensor) -> bool:
        """Whether this very tensor was just read as another tap, as it was in every batch before: it is read once."""
        key, copy = tap.key, self._copies.get(tap.key)
        if copy is None and key not in self._streams:
            found = self._copy(tap, layouts, output)
            if found is not None:
                self._copies[key], self._taps[key] = found, tap
            return found is not None
        if copy is None:
            return False
        given = tap.same_as or (tap.turned and tap.turned.key)
        if given is not None and self._source(given) == copy.source:
            return True
        del self._copies[key], self._taps[key]
        self._dropped.add(key)
        self.skipped[tap.layer] = "it hands on what it was given for some batches, and not for others"
        return True

    def _source(self, key: Key) -> Key:
        return self._copies[key].source if key in self._copies else key

    def _copy(self, tap: Tap, layouts: list[Layout], output: Tensor) -> _Copy | None:
        """Say which tap's numbers are this one's too: those of the same tensor, also with its axes turned."""
        given = tap.same_as or (tap.turned and tap.turned.key)
        source = None if given is None else self._source(given)
        if given is None or source not in self._streams:
            return None
        if tap.same_as:
            return self._copies.get(given, _Copy(source))
        layout = given in self._copies and self._copies[given].turned
        layout = layout or self._streams[source][0].layout
        sure = len(layouts) == 1 and len(self._streams[source]) == 1
        view = tap.turned
        if view is None or not sure or layout.batch is None or layout.channel < 0:
            return None
        there = Layout(view.axis(layout.batch), view.axis(layout.channel) or 0)
        before, now = view.rest(layout.batch, layout.channel)
        return _Copy(source, there, tuple(output.shape)) if there == layouts[0] and before == now else None

    def end_batch(self) -> None:
        """Every tap of the batch was observed."""
        self._ledger.end_batch()

    def _add(self, stream: _Stream, output: Tensor, rows: Tensor, first: int, count: int) -> None:
        self._ledger.record(stream.account, rows, first)
        stream.images += count
        stream.sizes.add(count)
        if stream.layout.batch is not None:
            if self._gram and rows.shape[0] == count:
                stream.grams.append(gram(rows))
            if output.shape != stream.full:  # the last batch may be a smaller one
                stream.varies |= _without_batch(output.shape, stream.layout) != stream.shape
            stream.maps.take(output, stream.layout, first)

    def _open(self, tap: Tap, layout: Layout, output: Tensor) -> _Stream:
        channels = as_rows(output, layout).shape[1]
        return _Stream(
            tap=tap,
            layout=layout,
            full=tuple(output.shape),
            channels=channels,
            account=self._ledger.open(channels, self.settings.limits(bound_in(tap.upper, output.dtype))),
            maps=ShownMaps(
                self.shown_images if may_show(tap, self.maps) else 0, self.shown_channels, self._room
            ),
        )

    def _going_on(self, streams: list[_Stream], layouts: list[Layout], output: Tensor) -> list[_Stream]:
        """Keep the streams whose batch axis follows the batch; where none does, no axis is the batch."""
        kept = [stream for stream in streams if stream.fits(output, self._images[1])]
        if not kept:
            kept = streams[:1]
            kept[0].layout = Layout(None, kept[0].layout.channel)
        for stream in kept:
            if output.ndim != len(stream.full):
                layout = layouts[0]
                stream.layout = layout if stream.layout.batch is not None else Layout(None, layout.channel)
        return kept

    def _drop(self, key: Key, stream: _Stream, channels: int) -> None:
        copies = [name for name, copy in self._copies.items() if copy.source == key]
        for gone in (key, *copies):
            self._dropped.add(gone)
            del self._taps[gone]
            self._copies.pop(gone, None)
        del self._streams[key]
        self.skipped[stream.tap.layer] = (
            f"its number of channels changes from batch to batch ({stream.channels}, then {channels})"
        )

    @property
    def value_count(self) -> int:
        """How many taps have numbers."""
        return len(self._taps)

    def kept_grams(self) -> Grams | None:
        """Return the Gram matrices of every layer that has one for each batch; None where none were asked for."""
        if not self.grams:
            return None
        layers, tensors = [], []
        for key, tap in self._taps.items():
            if key in self._copies:
                continue
            stream = _decided(self._streams[key])
            if stream.layout.batch is None or len(stream.grams) != len(self._blocks):
                continue
            call = f" (call {tap.call})" if tap.call else ""
            layers.append(f"{tap.layer}{f' {tap.output}' if tap.output else ''}{call}")
            tensors += stream.grams
        host = iter(to_host(tensors))
        return Grams.of(layers, self._blocks, [[next(host) for _ in self._blocks] for _ in layers])

    def value(self) -> tuple[list[Activation], list[Shown]]:
        """Return every tap's results in the order the network ran, and what can be shown of them."""
        streams = {key: _decided(streams) for key, streams in self._streams.items()}
        images = [s.images if s.layout.batch is not None else None for s in streams.values()]
        kept = self._ledger.tensors()
        host = to_host([*kept, *(part for stream in streams.values() for part in stream.maps.parts)])
        rest = iter(host[len(kept) :])
        accounts = [stream.account for stream in streams.values()]
        found: dict[Key, dict[str, Any]] = {}
        channels: dict[Key, Channelwise] = {}
        for (key, stream), measured in zip(
            streams.items(), self._ledger.measured(host[: len(kept)], accounts, images), strict=True
        ):
            stream.maps.receive([next(rest) for _ in stream.maps.parts])
            found[key] = {}
            channels[key] = Channelwise.of(measured[0])
            for statistic, numbers in zip(self.statistics, measured, strict=True):
                found[key] |= statistic.value(numbers)
        taps, shown = [], []
        for key, tap in self._taps.items():
            stream = streams[self._source(key)]
            copy = self._copies.get(key, _Copy(key))
            layout = copy.turned or stream.layout
            if stream.layout.batch is None:
                layout = Layout(None, layout.channel)
            else:
                shown.append(Shown(tap, layout, stream.maps, channels[self._source(key)]))
            same_as = (tap.same_as or (copy.turned and tap.turned and tap.turned.key) or (None,))[0]
            taps.append(
                _activation(tap, stream, layout, copy.full or stream.full, same_as, found[self._source(key)])
            )
        return taps, shown


def _decided(streams: list[_Stream]) -> _Stream:
    """The stream whose batch axis is known; where it cannot be known, one that counts no images."""
    declared = [stream for stream in streams if stream.layout.batch == stream.tap.batch]
    stream = declared[0] if len(streams) > 1 and declared else streams[0]
    if (len(streams) > 1 and not declared) or not stream.certain():
        stream.layout = Layout(None, stream.layout.channel)
    return stream


@cache
def bound_in(upper: float | None, dtype: torch.dtype) -> float | None:
    """Return a bound as the numbers of a type have it: 0.7 is not a float32."""
    return None if upper is None else float(torch.tensor(upper, dtype=dtype))


def _without_batch(shape: tuple[int, ...], layout: Layout) -> tuple[int, ...]:
    return tuple(size for axis, size in enumerate(shape) if axis != layout.batch)


def _activation(
    tap: Tap,
    stream: _Stream,
    layout: Layout,
    full: tuple[int, ...],
    same_as: str | None,
    fields: dict[str, Any],
) -> Activation:
    batch, channel = layout.batch, layout.channel
    axis = channel - 1 if batch is not None and channel > batch else channel
    fields = fields | {"histogram": Histogram(**fields["histogram"])}
    return Activation(
        layer=tap.layer,
        call=tap.call,
        output=tap.output,
        module=tap.kind,
        rectifier=tap.rectifier,
        same_as=same_as,
        shape=list(_without_batch(full, layout)),
        shape_varies=stream.varies,
        channel_axis=max(axis, 0),
        channels=stream.channels,
        images=stream.images,
        count=stream.account.measured * stream.channels,
        **fields,
    )
