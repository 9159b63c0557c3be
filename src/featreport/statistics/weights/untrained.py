"""Whether a tensor still has the distribution of its initialisation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from featreport.statistics.weights.base import MATRIX, Subject, WeightStatistic, register
from featreport.statistics.weights.reading import Spread, fourth

SMALLEST = 20_000  # elements: a Gaussian's std is then known to 0.5 %, and 2 % are four times that
STD = 0.02
ERRORS = 5.0  # standard errors that mean and kurtosis may be off
DISTANCE = 1.95  # / √n: Kolmogorov-Smirnov at 0.1 %
FIXED = (0.001, 0.01, 0.02, 0.1)  # of torchvision's and timm's networks

Form = Literal["normal", "uniform"]
KURTOSIS: dict[Form, tuple[float, float]] = {
    "normal": (3.0, 24.0),
    "uniform": (1.8, 1.317),
}  # and n · its variance


@dataclass(frozen=True)
class Candidate:
    """An initialisation: its name, its form and its standard deviation."""

    name: str
    form: Form
    std: float


@register
class AtInitialisation(WeightStatistic):
    """Kaiming, Xavier and the like."""

    metric = "weights.looks_untrained"
    label = "looks untrained"

    def sentence(self) -> str:
        return (
            f"Whether the tensor still has the distribution of an initialisation: std within {100 * STD:g} % of the "
            "value that Kaiming, Xavier, LeCun, PyTorch's default or a usual constant gives for its shape, with that "
            f"distribution's mean and kurtosis ({ERRORS:g} standard errors) and histogram (Kolmogorov-Smirnov). No "
            f"claim below {SMALLEST:,} elements."
        )

    def value(self, subject: Subject) -> dict[str, Any]:
        nothing: dict[str, Any] = {"looks_untrained": None, "initialisation": None, "kurtosis": None}
        if subject.kind not in {"weight", "embedding"} or subject.tensor.ndim < MATRIX:
            return nothing
        numbers = subject.numbers
        if numbers.count < SMALLEST:
            subject.reasons["looks_untrained"] = f"fewer than {SMALLEST:,} elements"
            return nothing
        if numbers.low == numbers.high:
            subject.reasons["looks_untrained"] = "its values are all the same"
            return nothing
        if numbers.nonfinite or numbers.std is None or numbers.mean is None:
            return nothing | {"looks_untrained": False}
        error = ERRORS * numbers.std / math.sqrt(numbers.count)
        near = [one for one in candidates(subject) if abs(numbers.std / one.std - 1) <= STD]
        if not near or abs(numbers.mean) > error:
            return nothing | {"looks_untrained": False}
        near = [one for one in near if _fits(one, subject.spread, numbers.count, subject.tensor.dtype)]
        kurtosis = fourth(subject.view, numbers) if near else None
        for one in near:
            middle, variance = KURTOSIS[one.form]
            if kurtosis is not None and abs(kurtosis - middle) <= ERRORS * math.sqrt(
                variance / numbers.count
            ):
                return {"looks_untrained": True, "initialisation": one.name, "kurtosis": kurtosis}
        return {"looks_untrained": False, "initialisation": None, "kurtosis": kurtosis}


def candidates(subject: Subject) -> Iterator[Candidate]:
    """Yield what the tensor may have been filled with: the fans are those `torch.nn.init` takes of its shape."""
    shape = subject.tensor.shape
    field = math.prod(shape[2:])
    into, out = shape[1] * field, shape[0] * field
    yield Candidate("PyTorch's default (Kaiming uniform, a = √5)", "uniform", math.sqrt(1 / (3 * into)))
    fans = {"fan_in": into, "fan_out": out}
    if subject.groups > 1:
        fans["fan_out / groups"] = out // subject.groups
    forms: tuple[Form, Form] = ("normal", "uniform")
    for form in forms:
        for mode, fan in fans.items():
            yield Candidate(f"Kaiming {form} ({mode})", form, math.sqrt(2 / max(1, fan)))
        yield Candidate(f"Xavier {form}", form, math.sqrt(2 / (into + out)))
        yield Candidate(f"Xavier {form} (gain √2)", form, math.sqrt(4 / (into + out)))
        yield Candidate(f"LeCun {form} (1 / fan_in)", form, math.sqrt(1 / into))
        yield Candidate(f"{form} of variance 1 / fan_out", form, math.sqrt(1 / out))
    yield Candidate("uniform within ±1/√out", "uniform", math.sqrt(1 / (3 * shape[0])))
    if shape[0] % 4 == 0:
        yield Candidate("uniform within ±1/√hidden (LSTM)", "uniform", math.sqrt(4 / (3 * shape[0])))
    if shape[0] % 3 == 0:
        yield Candidate("uniform within ±1/√hidden (GRU)", "uniform", math.sqrt(1 / shape[0]))
    for std in (*FIXED, *((1.0,) if subject.kind == "embedding" else ())):
        yield Candidate(f"normal of std {std:g}", "normal", std)


def _fits(one: Candidate, spread: Spread, count: int, dtype: torch.dtype) -> bool:
    """Say whether the histogram is the candidate's: the largest distance of the two distributions at its edges."""
    if not spread.counts.size:
        return False
    seen = np.concatenate([[0.0], np.cumsum(spread.counts) / count])
    gap = float(np.abs(seen - _below(one)(spread.edges)).max())
    return gap <= DISTANCE / math.sqrt(count) + torch.finfo(dtype).eps  # values rounded across an edge


def _below(one: Candidate) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    if one.form == "uniform":
        end = one.std * math.sqrt(3)
        return lambda x: np.clip((x + end) / (2 * end), 0.0, 1.0)
    return lambda x: np.array([0.5 * math.erfc(-value / (one.std * math.sqrt(2))) for value in x])
