"""What a module gave: its tensors by name, and why one cannot be measured."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn


def tensors_of(output: object) -> Iterator[tuple[str | None, Tensor]]:
    """Yield every tensor of an output with its name, each name once.

    "0" in a tuple, the key in a dict, the field in a dataclass, the attribute in an object of the network's own.
    """
    if isinstance(output, Tensor):
        yield None, output
        return
    known: set[str] = set()
    for name, tensor in _held(output, frozenset(), objects=True):
        own, times = name, 1
        while own in known:  # {1: a, "1": b}
            times += 1
            own = f"{name} ({times})"
        known.add(own)
        yield own, tensor


def _held(value: object, around: frozenset[int], *, objects: bool) -> Iterator[tuple[str, Tensor]]:
    if id(value) in around:  # it holds itself
        return
    found = _parts(value)
    if found is None:
        if not objects or isinstance(value, (nn.Module, type)):
            return
        found, objects = _attributes(value), False  # objects inside of objects may be anything
    for name, part in found:
        if isinstance(part, Tensor):
            yield name, part
        else:
            for inner, tensor in _held(part, around | {id(value)}, objects=objects):
                yield f"{name}.{inner}", tensor


def _parts(value: object) -> list[tuple[str, object]] | None:
    """Return what a container holds, or None where it is none."""
    if isinstance(value, Mapping):
        return [(str(key), part) for key, part in value.items()]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(f.name, getattr(value, f.name)) for f in dataclasses.fields(value)]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return list(zip(value._fields, value, strict=True))
    if isinstance(value, (tuple, list, deque)):
        return [(str(index), part) for index, part in enumerate(value)]
    return None


def _attributes(value: object) -> list[tuple[str, object]]:
    """Return what an object has of its own, as a distribution or a pair of features and mask has."""
    named = (kind.__dict__.get("__slots__", ()) for kind in type(value).__mro__)
    slots = [name for names in named for name in ((names,) if isinstance(names, str) else names)]
    own = {name: getattr(value, name) for name in slots if hasattr(value, name)}
    return list((own | getattr(value, "__dict__", {})).items())


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
