"""What stands between the network's own code and the build: refusals, and errors in one line."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from featreport.errors import SourceError
from featreport.sources.seeding import seeded

MESSAGE = 400  # characters of a message that is not ours


@contextlib.contextmanager
def watched(device: torch.device, seed: int) -> Iterator[None]:
    """Run the network's code so that it can be seen and repeated: uncompiled, with seeded random numbers."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(seeded(seed))
        if device.type != "cpu":
            torch.get_device_module(device).manual_seed_all(seed)
        if "torch._dynamo" in sys.modules:  # only then can anything have been compiled
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        yield


def refuse_empty(model: nn.Module, source: str) -> None:
    """Refuse a network that cannot be looked into, or whose tensors hold no numbers.

    Raises:
        SourceError: it is a TorchScript program, or a tensor is not initialised or on device meta.
    """
    if isinstance(model, torch.jit.ScriptModule):
        raise SourceError(
            f"{source} gives a TorchScript program, whose layers cannot be watched",
            "give the Python module, or save the program and measure its weights with source: none",
        )
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if is_lazy(tensor):
            raise SourceError(
                f"{source} has parameters that are not initialised yet: {name}",
                "run one forward pass in the factory, so that lazy layers learn their shapes",
            )
        if tensor.is_meta:
            raise SourceError(
                f"{source} has tensors without numbers (device meta): {name}",
                "build it on a device, or load a checkpoint into it in the factory",
            )


def raised(error: BaseException) -> str:
    """Return an exception as one line of bounded length."""
    first = next(iter(str(error).strip().splitlines()), "")
    what = type(error).__name__
    return f"{what}: {first[:MESSAGE]}" if first else what
