"""The time a run may take, looked at between its steps."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Literal

Step = Literal["source", "checkpoint", "forward", "statistics"]
HINT = "raise its timeout, give it fewer images (images.limit) or a faster device; what other runs measured is kept"


class TimeIsUp(Exception):  # noqa: N818 - what it says is a fact about the clock, not a fault
    """A run took longer than it may; `step` is the one that was reached."""

    def __init__(self, step: Step, seconds: float) -> None:
        super().__init__(f"took longer than its timeout of {in_words(seconds)}")
        self.step: Step = step


def _now() -> float:
    return time.monotonic()


@dataclass(frozen=True)
class Deadline:
    """When a run has to be done. It interrupts nothing by itself: the run asks between its steps."""

    seconds: float | None = None  # None: it may take any time
    began: float = field(default_factory=_now)

    def check(self, step: Step) -> None:
        """Do nothing while there is time.

        Raises:
            TimeIsUp: there is none left.
        """
        if self.seconds is not None and _now() - self.began > self.seconds:
            raise TimeIsUp(step, self.seconds)


def in_words(seconds: float) -> str:
    """Return a time in the largest unit that it fills: `2 h`, `30 min`, `1.5 min`, `45 s`."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
