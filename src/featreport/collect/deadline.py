"""The time a run may take, looked at between its steps and at every call inside a forward pass."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import get_ident
from typing import Any, Literal

from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

Step = Literal["source", "checkpoint", "forward", "statistics"]
HINT = "raise its timeout, give it fewer images (images.limit) or a faster device; what other runs measured is kept"


class TimeIsUp(BaseException):
    """A run took longer than it may; `step` is the one that was reached.

    No `Exception`: it comes up inside a network, and code there that tries something else after an error would go on.
    """

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

    @contextmanager
    def inside(self, step: Step) -> Iterator[None]:
        """Also ask whenever this thread calls a module, so that a slow network ends after its current operation.

        The hook is nobody's own: hooks of a module would switch fast paths off, and so change the last bits. Without
        a timeout there is none.
        """
        if self.seconds is None:
            yield
            return
        here = (
            get_ident()
        )  # another thread's networks, in a process that is not the command line's, are left alone

        def ask(_module: nn.Module, _args: Any) -> None:
            if get_ident() == here:
                self.check(step)

        hook = register_module_forward_pre_hook(ask)
        try:
            yield
        finally:
            hook.remove()


def in_words(seconds: float) -> str:
    """Return a time in the largest unit that it fills: `2 h`, `30 min`, `1.5 min`, `45 s`."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
