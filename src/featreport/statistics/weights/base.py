"""What a weight statistic is: one sentence, and fields worked out of one parameter tensor."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from featreport.statistics.base import Settings
from featreport.statistics.weights.gram import Gram, cosines
from featreport.statistics.weights.reading import Numbers, Spread, measure, measure_all, spread

MATRIX = 2  # axes from which on a tensor is a matrix of rows
CPU = torch.device("cpu")
WITH_FLOAT64 = frozenset({"cpu", "cuda", "xpu"})
MOST_ROWS = 8192  # of a Gram matrix: 128 MiB of float32


@dataclass
class Subject:
    """One parameter tensor and what is known of it; what several statistics need is worked out once.

    `view` is the tensor as it is stored, or `[groups, in / groups, out / groups, …]` of a transposed convolution.
    `fans` are the shape that an initialisation sees: the tensor's own.
    """

    name: str
    tensor: Tensor
    kind: str
    module: str = ""
    tied: list[str] = field(default_factory=list)
    transposed: int | None = None  # the groups of a transposed convolution
    groups: int = 1
    near_zero: float = 1e-3
    device: torch.device = CPU
    reasons: dict[str, str] = field(default_factory=dict)  # why a number has no value

    @cached_property
    def view(self) -> Tensor:
        """Return the tensor with its groups apart where it belongs to a transposed convolution."""
        tensor = self.tensor.detach()
        if not self.turned:
            return tensor
        return torch.unflatten(tensor, 0, (self.transposed or 1, -1))

    @property
    def turned(self) -> bool:
        """Whether it is seen as a transposed convolution's groups."""
        return self.transposed is not None and self.tensor.ndim > MATRIX

    @property
    def filters(self) -> bool:
        """Whether its rows are the filters of output channels."""
        return self.kind == "weight" and self.tensor.ndim >= MATRIX

    @property
    def matrix(self) -> bool:
        """Whether it is read as a matrix: filters, or a table of embeddings."""
        return self.filters or (self.kind == "embedding" and self.tensor.ndim == MATRIX)

    @property
    def shape(self) -> tuple[int, int]:
        """Return [output channels, everything else] of a matrix."""
        rows = self.numbers.peaks.size
        return rows, self.tensor.numel() // rows if rows else 0

    @cached_property
    def numbers(self) -> Numbers:
        """What one reading gives."""
        return measure(self.view, self.near_zero, transposed=self.turned)

    @cached_property
    def spread(self) -> Spread:
        """What a second reading gives, when the range and the deviation are known."""
        return spread(self.view, self.numbers)

    @cached_property
    def work_device(self) -> torch.device:
        """Where products of matrices are taken."""
        return self.device if self.device.type in WITH_FLOAT64 else CPU

    @cached_property
    def rows(self) -> Tensor:
        """Return the matrix `[output channels, everything else]`: a view where the strides allow one, else a copy."""
        if not self.turned:
            return self.view.reshape(self.view.shape[0], -1)
        return self.view.movedim(2, 1).flatten(0, 1).flatten(1)

    @property
    def angles(self) -> int:
        """How many bytes `cosines` takes."""
        rows = self.shape[0] if self.matrix else 0
        return 2 * rows * rows if rows <= MOST_ROWS else 0

    @cached_property
    def cosines(self) -> Gram | None:
        """Return the cosines of all pairs of rows in float32, of zero rows 0; None where there are too many."""
        if not 0 < self.shape[0] <= MOST_ROWS or self.numbers.nonfinite:
            return None
        return cosines(self.rows, torch.from_numpy(self.numbers.norms), self.work_device)

    def release(self) -> None:
        """Let go of what is large."""
        for name in ("cosines", "rows"):
            self.__dict__.pop(name, None)


def read_together(subjects: Sequence[Subject], near_zero: float) -> None:
    """Take the first reading of all of them in one go."""
    views = [(subject.view, subject.turned) for subject in subjects]
    for subject, numbers in zip(subjects, measure_all(views, near_zero), strict=True):
        subject.__dict__["numbers"] = numbers


class Described:
    """Something the report defines in a sentence."""

    metric: ClassVar[str]
    label: ClassVar[str]

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def sentence(self) -> str:
        """Say what the number means, with the thresholds used."""
        raise NotImplementedError


class WeightStatistic(Described, ABC):
    """One sentence, and the fields it adds to a tensor's results.

    Laws (held by tests over every registered statistic): permuting output channels permutes indices and changes
    nothing but the last bits (a sketch, which tells places apart, is another then); half-precision tensors give what
    float32 copies of them give; the number of threads changes nothing.
    """

    # whether it takes products of rows: such are worked out last, within a budget of memory
    products: ClassVar[bool] = False

    @abstractmethod
    def value(self, subject: Subject) -> dict[str, Any]:
        """Return the fields this statistic adds; why one is None it notes in `subject.reasons`."""

    def wanted(self) -> bool:
        """Whether the settings ask for it."""
        return True

    def release(self) -> None:
        """Let go of what was kept from one tensor to the next."""


REGISTRY: list[type[WeightStatistic]] = []
DESCRIBED: list[type[Described]] = []


def register(statistic: type[WeightStatistic]) -> type[WeightStatistic]:
    """Add a statistic of tensors to every report (a class decorator)."""
    REGISTRY.append(statistic)
    return statistic


def describe(described: type[Described]) -> type[Described]:
    """Add a definition to every report (a class decorator)."""
    DESCRIBED.append(described)
    return described
