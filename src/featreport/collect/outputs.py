"""What a module gave: its tensors by name, and why one cannot be measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor


def tensors_of(output: object) -> Iterator[tuple[str | None, Tensor]]:
    """Yield every tensor of an output with its name: "0" in a tuple, the key in a dict, the field in a dataclass."""
    if isinstance(output, Tensor):
        yield None, output
        return
    if isinstance(output, Mapping):
        parts: list[tuple[str, object]] = [(str(key), value) for key, value in output.items()]
    elif dataclasses.is_dataclass(output) and not isinstance(output, type):
        parts = [(f.name, getattr(output, f.name)) for f in dataclasses.fields(output)]
    elif isinstance(output, tuple) and hasattr(output, "_fields"):
        parts = list(zip(output._fields, output, strict=True))
    elif isinstance(output, (tuple, list)):
        parts = [(str(index), value) for index, value in enumerate(output)]
    else:
        return
    for name, value in parts:
        for inner, tensor in tensors_of(value):
            yield (name if inner is None else f"{name}.{inner}"), tensor


def unfit(tensor: Tensor) -> str | None:
    """Return why a tensor cannot be measured, or None."""
    if tensor.is_nested:
        return "its output is a nested tensor"
    if tensor.is_quantized:
        return "its output is a quantized tensor"
    if tensor.layout != torch.strided:
        return "its output is a sparse tensor"
    if not tensor.is_floating_point():
        return f"its output is not floating point ({str(tensor.dtype).removeprefix('torch.')})"
    return None
