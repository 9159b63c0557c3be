"""Python's collector of cycles, kept from looking through what is all still needed."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


class _Process:
    """Whether this process is the command line's."""

    ours = False


process = _Process()


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Do without the collector for a second or two: it looks through every object again and again as they get more."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextlib.contextmanager
def passed_over() -> Iterator[None]:
    """Let the collector look at new objects only, not at what there is now, in a process of our own.

    In somebody else's what there is now may be garbage, such as the network of a notebook's last cell.
    """
    if not process.ours or gc.get_freeze_count():  # or somebody did so for longer
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
