"""Every picture once: in its place where it is shown once, on the shelf where it is shown again and again."""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from operator import itemgetter

from featreport.report.anchors import Anchors
from featreport.report.drawn import Frame, Picture, Stamp
from featreport.results.codec import digest
from featreport.results.schema import Results, Run

WHOLE = (0.0, 0.0, 1.0, 1.0)
UNSEEN = 0.01  # CSS pixels


class Shelf:
    """Hands out the pictures of some results to the figures that show them."""

    def __init__(self, results: Results, anchors: Anchors) -> None:
        self._sources = results.pictures
        self._named = {key for key, source in results.pictures.items() if digest(source) != key}
        uses = Counter(key for run in results.runs for key in _keys(run) if key in results.pictures)
        self._anchors = {key: anchors.take("p", key[:8]) for key in results.pictures}
        self._take, self._views = anchors.take, dict[str, dict[tuple[float, ...], str]]()
        self._stamps = dict[str, dict[tuple[str, float, float], str]]()
        self._frames = dict[Frame, str]()
        self._in_place = {key for key, count in uses.items() if count == 1}
        inputs = {file.input for run in results.runs for file in run.images.files if file.input}
        if inputs:  # maps are laid over them: each picture is shown in several places
            self._in_place -= {figure.picture for run in results.runs for figure in run.maps} | inputs
        self._in_place |= {results.page.logo or ""}  # in the page's head
        self._in_place |= {figure.picture for one in results.extras for figure in one.figures}
        self._photos = {file.picture for run in results.runs for file in run.images.files if file.picture}
        self._in_place -= self._photos
        self._photos -= uses.keys() | inputs  # the script reads the pixels of those, and a filter takes these

        self._places = {
            key: place for place, key in enumerate(key for key in results.pictures if key in self._photos)
        }

    @property
    def any(self) -> bool:
        """Whether the results hold pictures at all."""
        return bool(self._sources)

    @property
    def pictures(self) -> Mapping[str, str]:
        """The pictures by their keys, as `data:` URIs."""
        return self._sources

    def holds(self, *keys: str) -> bool:
        """Say whether the results hold all of some pictures."""
        return all(key in self._sources for key in keys)

    def size(self, key: str) -> int:
        """Return the bytes a picture takes; it stands once, however often it is shown."""
        return len(self._sources[key])

    def show(self, key: str | None, width: float, height: float) -> Picture | None:
        """Return the picture at this size, or None where the results do not hold it."""
        return self._stamped(self._whole(key, width, height))

    def _whole(self, key: str | None, width: float, height: float) -> Picture | None:
        if key is None or key not in self._sources:
            return None
        source = self._sources[key] if key in self._in_place else None
        stretched = source is not None and _stretched(source, width, height)
        named, painted = key in self._named, key in self._photos
        return Picture(key, self._anchors[key], source, width, height, (), stretched, named, painted)

    def part(self, key: str | None, seen: Sequence[float], width: float, height: float) -> Picture | None:
        """Return a part of a picture that stands on the shelf, at this size.

        Args:
            key: of the picture.
            seen: left, top, width and height of the part, as shares of the picture.
            width: on the page.
            height: on the page.
        """
        whole = self._whole(key, width, height)
        if whole is None or whole.source is not None or tuple(seen) == WHOLE:
            return self._stamped(whole)
        views = self._views.setdefault(whole.key, {})
        if tuple(seen) not in views:
            views[tuple(seen)] = self._take(whole.anchor, "seen")
        return self._stamped(replace(whole, anchor=views[tuple(seen)]))

    def _stamped(self, picture: Picture | None) -> Picture | None:
        """Give a painted picture the stamp of its size: a reference to that takes a third of the bytes."""
        if picture is None or not picture.painted:
            return picture
        stamps = self._stamps.setdefault(picture.key, {})
        wanted = picture.anchor, picture.width, picture.height
        if wanted not in stamps:
            _, part, more = picture.anchor.partition("-seen")
            size = (
                f"{picture.width:g}" if picture.width == picture.height else "{:g}x{:g}".format(*wanted[1:])
            )
            stamps[wanted] = self._take(f"{'p' if part else 'w'}{self._places[picture.key]}{more}", size)
        return replace(picture, stamp=stamps[wanted])

    def frame(self, frame: Frame) -> str:
        """Return the anchor of what a figure shares with others, or nothing where it is empty."""
        if not frame.thumbnails and not frame.gaps:
            return ""
        if frame not in self._frames:
            self._frames[frame] = self._take("f", hashlib.sha256(repr(frame).encode()).hexdigest()[:8])
        return self._frames[frame]

    def frames(self) -> tuple[Frame, ...]:
        """Return what figures show by reference; in an order that does not change where figures are left out."""
        named = sorted(((anchor, frame) for frame, anchor in self._frames.items()), key=itemgetter(0))
        return tuple(replace(frame, anchor=anchor) for anchor, frame in named)

    def rest(self) -> tuple[Picture, ...]:
        """Return the pictures that no figure embeds in place, with their own proportions."""
        return tuple(
            self._with_views(
                Picture(
                    key,
                    self._anchors[key],
                    source,
                    *_proportions(source),
                    named=key in self._named,
                    painted=key in self._photos,
                )
            )
            for key, source in self._sources.items()
            if key not in self._in_place
        )

    def _with_views(self, picture: Picture) -> Picture:
        sides = (picture.width, picture.height) * 2
        views = (
            (anchor, " ".join(f"{share * side:.4g}" for share, side in zip(seen, sides, strict=True)))
            for seen, anchor in self._views.get(picture.key, {}).items()
        )
        named = sorted((anchor, wanted) for wanted, anchor in self._stamps.get(picture.key, {}).items())
        stamps = (Stamp(anchor, *wanted) for anchor, wanted in named)
        return replace(picture, views=tuple(views), stamps=tuple(stamps))


def _keys(run: Run) -> Iterator[str]:
    for figure in run.maps:
        yield figure.picture
        if figure.contrast is not None:
            yield figure.contrast
    if run.kernels is not None:
        yield run.kernels.picture
    yield from (one.picture for one in run.kernel_norms)


def _stretched(source: str, width: float, height: float) -> bool:
    """Say whether a picture shown at this size is out of proportion, by more than lengths are rounded by."""
    across, down = _proportions(source)
    return abs(width * down - height * across) > UNSEEN * max(across, down)


def _proportions(source: str) -> tuple[int, int]:
    """Return the pixel size of a PNG or WebP data: URI, 100 × 100 for anything else."""
    try:
        head = base64.b64decode(source.split(",", 1)[1][:64])
    except (IndexError, binascii.Error):
        return 100, 100
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        width, height = struct.unpack(">II", head[16:24])
        return width, height
    if head[:4] == b"RIFF" and head[12:16] == b"VP8 ":
        width, height = struct.unpack("<HH", head[26:30])
        return width & 0x3FFF, height & 0x3FFF
    if head[:4] == b"RIFF" and head[12:16] == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if head[:4] == b"RIFF" and head[12:16] == b"VP8X":
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    return 100, 100
