"""Which device a build runs on, and what its memory running out looks like."""

from __future__ import annotations

import contextlib
import ctypes

import torch

from featreport.errors import ManifestError


def choose_device(asked: str) -> torch.device:
    """Return the device for `device:` of the manifest; "auto" takes the accelerator where there is one.

    Raises:
        ManifestError: the device asked for is not on this machine.
    """
    if asked == "cpu":
        return torch.device("cpu")
    here = torch.accelerator.current_accelerator(check_available=True)
    if asked == "auto":
        return torch.device("cpu") if here is None else here
    device = torch.device(asked)
    count = torch.accelerator.device_count()
    if here is None or here.type != device.type or (device.index or 0) >= count:
        there = "cpu only" if here is None else f"cpu and {count} {here.type} device{'s' * (count != 1)}"
        raise ManifestError(f"device {asked!r} is not available here (there is: {there}); nothing was run.")
    return device


def describe(device: torch.device) -> str:
    """Return the device's kind, with its model name where there is one: it decides whether runs compare."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return device.type


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that the device's (or the host's) memory ran out."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def give_memory_back() -> None:
    """Hand memory of the host that lies free in between back to the system, where the C library can (glibc)."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
