"""What a figure of the kit is before it is drawn: its name, its words, and how to draw it at a width."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from featreport.paper.sprites import Pixels
from featreport.paper.values import Values

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Drawing:
    """A figure that is drawn when its turn comes, perhaps by another process: all that it holds can be pickled.

    `draw` takes the width in millimetres.
    """

    words: tuple[str, ...]  # what its file name is made of
    title: str
    caption: str
    draw: Callable[[float], Figure]
    values: Pixels | None = None  # its picture without decoration, a pixel for each value
    numbers: Values | None = None  # what those pixels stand for
