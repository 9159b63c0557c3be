"""What a statistic is: one sentence, and fields worked out of what was accumulated of a tap."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from featreport.statistics.cells import CELLS
from featreport.statistics.table import Field, Limits

Numbers = NDArray[np.float64]
State = dict[str, Tensor]  # float64, of one tap
HostState = Mapping[str, Numbers]
NOTHING: HostState = {}


@dataclass(frozen=True)
class Settings:
    """The manifest's thresholds, and how many images a run will see where that is known beforehand."""

    dead: float = 0.0
    near_zero: float = 1e-3
    constant: float = 0.0  # a channel that varies by no more is constant
    images: int | None = None
    alpha: bool = False  # whether the heuristic exponent of weight spectra is wanted

    def limits(self, upper: float | None = None) -> Limits:
        """Return what a reading counts against; `upper` is the layer's own bound."""
        return Limits(self.dead, self.near_zero, upper)


@dataclass(frozen=True)
class Measured:
    """All that was accumulated of one tap, on the host: what every statistic is a function of.

    `images` is None where no axis of the output is the batch. `positions` counts the values of each channel over all
    images, non-finite ones included. `table` is `[fields, channels]`, `cells` the histogram cells of the sample.
    """

    table: Numbers
    cells: NDArray[np.int64]
    images: int | None
    positions: int
    upper: float | None = None
    own: HostState = field(default_factory=dict)  # of the one statistic it is handed to

    @cached_property
    def sizes(self) -> Numbers:
        """Mean |a| of each channel's finite values; 0 where there is none."""
        found: Numbers = self[Field.MAGNITUDE] / np.maximum(self[Field.COUNT], 1.0)
        return found

    @property
    def channels(self) -> int:
        """How many channels."""
        return int(self.table.shape[1])

    def __getitem__(self, row: Field) -> Numbers:
        """Return one field, `[channels]`."""
        found: Numbers = self.table[row]
        return found

    @cached_property
    def loudest(self) -> Numbers:
        """Return max |a| of each channel's finite values; -1 where there is none."""
        return self[Field.PEAK]

    @cached_property
    def strays(self) -> Numbers:
        """How many values of each channel are no numbers."""
        return self[Field.NAN] + self[Field.POSINF] + self[Field.NEGINF]

    @cached_property
    def dead(self) -> NDArray[np.bool_]:
        """Which channels never fired."""
        found: NDArray[np.bool_] = (self[Field.FIRED] == 0) & (self.positions > 0)
        return found

    @cached_property
    def sampled(self) -> int:
        """How many values the sample holds."""
        return int(self.cells.sum())


class Statistic(ABC):
    """One sentence, and the fields it adds to a tap's results, worked out of the shared table and sample.

    What a table and a sample cannot give a statistic accumulates itself, from each batch's means per image and
    channel: `start`, `update` and `merge` of a state of its own. Laws (held by tests over every registered statistic):
    cutting the data into other batches, merging in another order or permuting images changes nothing but the last
    bits; permuting channels permutes indices; half-precision data give what float32 copies of them give.
    """

    metric: ClassVar[str]
    label: ClassVar[str]

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @abstractmethod
    def sentence(self) -> str:
        """Say what the number means, with the thresholds used."""

    @abstractmethod
    def value(self, tap: Measured) -> dict[str, Any]:
        """Return the fields this statistic adds to a tap's results."""

    def start(self, channels: int, device: torch.device) -> State:  # noqa: ARG002
        """Return a state of its own before anything was seen; empty for those that need none."""
        return {}

    def update(self, state: State, means: Tensor) -> None:  # noqa: ARG002
        """Take in a batch's means over positions, `[images, channels]`, in place; never waits for the device."""
        return

    def merge(self, into: State, other: State) -> None:
        """Add what `other` saw, in place: a state of sums adds up."""
        for name, tensor in other.items():
            into[name] += tensor


REGISTRY: list[type[Statistic]] = []


def register(statistic: type[Statistic]) -> type[Statistic]:
    """Add a statistic to every report (a class decorator)."""
    REGISTRY.append(statistic)
    return statistic


def number(value: float) -> float | None:
    """A float for the results: None where there is no finite value."""
    return float(value) + 0.0 if np.isfinite(value) else None  # a zero without a sign


def share(part: int, whole: int) -> float | None:
    """Part / whole, None of nothing."""
    return part / whole if whole else None


def median(values: NDArray[np.float64]) -> float:
    """Return the median of at least one number, none of them NaN; of few NumPy's own takes three times as long."""
    ordered = np.sort(values)
    with np.errstate(over="ignore", invalid="ignore"):
        return float(ordered[(ordered.size - 1) // 2 : ordered.size // 2 + 1].mean())


def indices(mask: NDArray[np.bool_]) -> list[int]:
    """The channels of a mask."""
    found: list[int] = np.flatnonzero(mask).tolist()
    return found


def empty_cells() -> NDArray[np.int64]:
    """A sample of nothing."""
    return np.zeros(CELLS, np.int64)
