"""What a figure of the kit is before it is drawn: its name, its words, and how to draw it at a width."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Drawing:
    """A figure that is drawn when its turn comes; `draw` takes the width in millimetres."""

    slug: str
    title: str
    caption: str
    draw: Callable[[float], Figure]
    values: Callable[[], NDArray[np.uint8] | None] | None = None  # its picture's grey levels, bare
