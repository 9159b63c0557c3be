"""The page model of pictures: what is drawn where, in CSS pixels."""

from __future__ import annotations

from dataclasses import dataclass

from featreport.figures.cells import Lattice
from featreport.report.cells import Name


@dataclass(frozen=True)
class DataLink:
    """A table as a file in a link."""

    label: str
    filename: str
    href: str


@dataclass(frozen=True)
class Stamp:
    """A painted picture, or a part of one, in a size that figures show it in."""

    anchor: str
    marker: str
    width: float
    height: float


@dataclass(frozen=True)
class Picture:
    """An embedded picture; with `source` it stands here, without it is shown again by reference to `anchor`."""

    key: str
    anchor: str
    source: str | None
    width: float
    height: float
    views: tuple[tuple[str, str], ...] = ()  # parts of it that stand alone: anchor and viewBox
    stretched: bool = False  # whether this size has other proportions than the picture
    named: bool = False  # whether the page must tell its key: it is not the one that its bytes give
    painted: bool = False  # `anchor` is a marker: a copy by reference would load the picture again
    stamp: str = (
        ""  # of a painted one: the anchor of a line with that marker, of this size, to be shown by reference
    )
    stamps: tuple[Stamp, ...] = ()  # those that stand beside it on the shelf


@dataclass(frozen=True)
class Label:
    """A word over a column of tiles."""

    x: float
    text: str
    struck: bool


@dataclass(frozen=True)
class Placed:
    """A picture or a box at a place of a drawing."""

    x: float
    y: float
    width: float
    height: float
    picture: Picture | None = None


@dataclass(frozen=True)
class Frame:
    """What most figures of maps have in common: the images they are of, and the lines over the gaps between maps."""

    x: float  # of the maps
    y: float
    thumbnails: tuple[Placed, ...]
    gaps: tuple[Lattice, ...]
    anchor: str = ""


@dataclass(frozen=True)
class Scale:
    """What black and white stand for."""

    black: str
    white: str


@dataclass(frozen=True)
class Overlay:
    """Maps of one image laid over what the network was given for it, each in its own contrast."""

    width: float
    height: float
    side: tuple[float, float]  # width and height of one
    sprite: Picture
    tiles: tuple[tuple[float, str, Placed], ...]  # x, the part of the sprite as a viewBox, the input under it
    caption: str
    alt: str


@dataclass(frozen=True)
class MapFigure:
    """The feature maps of one tap: thumbnails, the sprite, what is dead, and what to see."""

    title: Name
    module: str
    rectifier: bool
    width: float
    height: float
    sprite: Placed
    veil: Placed | None  # over the sprite: brings every map to one scale
    thumbnails: tuple[Placed, ...]
    labels: tuple[Label, ...]
    gaps: tuple[Lattice, ...]  # over the gaps of the sprite, in its coordinates
    hatched: tuple[Placed, ...]  # dead maps
    units: str  # path of dead units
    unit_grids: tuple[Placed, ...]  # where the grid of units stands, once per image
    caption: str
    scale: Scale | None
    alt: str
    flagged: bool  # a finding is about this tap
    pictures: tuple[str, ...]  # keys of all but the thumbnails
    weight: int = 0  # about how many bytes of the page it takes,
    markup: int = 0  # and without its pictures
    frame: str = ""  # the anchor of thumbnails and gaps on the shelf
    overlay: Overlay | None = None
    numbers: tuple[Label, ...] = ()  # of images that fire a channel most and have no thumbnail
    numbers_y: float = 0
    loudest: tuple[Placed, ...] = ()  # the image that fires each channel most
    values: str = ""  # see `pixels`
    data: DataLink | None = None  # see `pictured`


@dataclass(frozen=True)
class MatrixFigure:
    """The norms of a weight's kernels, outputs by inputs."""

    title: Name
    picture: Placed
    caption: str
    scale: Scale
    alt: str
    values: str = ""  # see `pixels`
    data: DataLink | None = None  # see `pictured`


@dataclass(frozen=True)
class KernelFigure:
    """The first layer's filters."""

    sprite: Placed
    gaps: tuple[Lattice, ...]
    caption: str
    scale: Scale
    alt: str
    values: str = ""  # see `pixels`
    data: DataLink | None = None  # see `pictured`
