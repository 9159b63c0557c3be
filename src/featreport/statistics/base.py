"""What a statistic is: one sentence, a declared state, `update`, `merge`, `value`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from featreport.statistics.block import Block

State = dict[str, Tensor]  # each float64, `[channels]` or `[bins]`
HostState = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Settings:
    """The manifest's thresholds."""

    dead: float = 0.0
    near_zero: float = 1e-3


@dataclass(frozen=True)
class Seen:
    """How much a tap saw; `images` is None where no axis of the output is the batch."""

    images: int | None
    positions: int  # values per channel over all images, non-finite ones included


class Statistic(ABC):
    """A streaming statistic over blocks. Stateless itself: the state is a dict of tensors on the device.

    Laws (held by tests over every registered statistic): cutting the data into other batches, merging in another
    order or permuting images changes nothing but the last bits; float16 data give what float32 copies of it give.
    """

    metric: ClassVar[str]
    label: ClassVar[str]

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @abstractmethod
    def sentence(self) -> str:
        """Say what the number means, with the thresholds used."""

    @abstractmethod
    def start(self, channels: int, device: torch.device) -> State:
        """Return the state before anything was seen."""

    @abstractmethod
    def update(self, state: State, block: Block) -> None:
        """Take in one block, in place; never waits for the device."""

    @abstractmethod
    def merge(self, into: State, other: State) -> None:
        """Add what `other` saw, in place."""

    @abstractmethod
    def value(self, state: HostState, seen: Seen) -> dict[str, Any]:
        """Return the fields this statistic adds to a tap's results."""


REGISTRY: list[type[Statistic]] = []


def register(statistic: type[Statistic]) -> type[Statistic]:
    """Add a statistic to every report (a class decorator)."""
    REGISTRY.append(statistic)
    return statistic


def zeros(size: int, device: torch.device, fill: float = 0.0) -> Tensor:
    """A state tensor: float64 where the device has it."""
    dtype = torch.float32 if device.type == "mps" else torch.float64
    return torch.full((size,), fill, dtype=dtype, device=device)


def at_most(threshold: float) -> float:
    """The greatest float32 ≤ threshold: with it, a float32 comparison decides as the exact one would."""
    single = np.float32(threshold)
    if float(single) > threshold:
        single = np.nextafter(single, np.float32(-np.inf))
    return float(single)


def number(value: float) -> float | None:
    """A float for the results: None where there is no finite value."""
    return float(value) if np.isfinite(value) else None


def share(part: int, whole: int) -> float | None:
    """Part / whole, None of nothing."""
    return part / whole if whole else None
