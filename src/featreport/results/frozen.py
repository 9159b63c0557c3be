"""What every type of the results is made of: immutable values, finite numbers."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("numbers in results are finite; what has no value is null")
    return value


Number = Annotated[float, AfterValidator(_finite)]


class Frozen(BaseModel):
    """Base of the result types: immutable, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Histogram(Frozen):
    """Counts of finite values between consecutive `edges` (the last bin is closed on the right, as NumPy's)."""

    edges: list[Number]
    counts: list[int]
    scale: Literal["linear", "log"] = "linear"  # equal bins, or one for each doubling on both sides of 0
    zeros: int | None = None  # exact zeros among the values counted; None: all the tensor's were counted
