"""Recovers the state dict of a pickled module or TorchScript program from what was recorded of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from featreport.checkpoints.tree import MAX_DEPTH, attributes, children, is_module, is_script
from featreport.checkpoints.values import Converted, Opaque
from featreport.errors import CheckpointError

MAX_MODULES = 100_000  # of one file
MAX_LETTERS = 64 * 2**20  # of all names together
MAX_PARTS = 64  # of packed parameters
PACKED = "_packed_params"


@dataclass
class Budget:
    """What is left for recovering the modules of one file."""

    modules: int = MAX_MODULES
    letters: int = MAX_LETTERS


def named_values(module: Opaque, budget: Budget) -> Iterator[tuple[str, object]]:
    """Yield the names and values that the module's `state_dict()` would have had, in its order.

    Raises:
        CheckpointError: a module contains itself, or more modules than any network has.
    """
    stack: list[tuple[str, int, Opaque]] = [("", 0, module)]
    while stack:
        prefix, depth, node = stack.pop()
        budget.modules -= 1
        if depth > MAX_DEPTH or min(budget.modules, budget.letters) < 0:
            break
        inner: list[tuple[str, int, Opaque]] = []
        for name, value in _script(node) if is_script(node) else _eager(node):
            budget.letters -= len(prefix) + len(name)
            if (
                pair := _packed(value)
            ) is not None:  # a linear layer holds it as an attribute, a convolution is it
                yield prefix + (name if name == PACKED else f"{name}.{PACKED}"), pair
            elif is_module(value) and isinstance(value, Opaque):
                inner.append((f"{prefix}{name}.", depth + 1, value))
            else:
                yield prefix + name, value
        stack.extend(reversed(inner))
    else:
        return
    raise CheckpointError(
        f"holds a {module.name[:200]} that contains itself or more than {MAX_MODULES:,} modules",
        "save the state dict alone: torch.save(model.state_dict(), …)",
    )


def _script(node: Opaque) -> Iterator[tuple[str, object]]:
    yield from attributes(node).items()


def _eager(node: Opaque) -> Iterator[tuple[str, object]]:
    found = attributes(node)
    fleeting = _strings(found.get("_non_persistent_buffers_set"))
    for part in ("_parameters", "_buffers", "_modules"):
        for name, value in children(found.get(part)):
            if part != "_buffers" or name not in fleeting:
                yield name, value
    if PACKED in found:
        yield PACKED, found[PACKED]


def _packed(value: object) -> tuple[object, object] | None:
    """Return (weight, bias) of a quantised layer's packed parameters, None where `value` is something else."""
    if not isinstance(value, Opaque) or isinstance(value.state, dict):
        return None
    queue: list[object] = [value.state, *value.arguments[:1]]
    parts: list[object] = []
    for _ in range(MAX_PARTS):
        if not queue:
            break
        one = queue.pop(0)
        if isinstance(one, list | tuple):
            queue = [*one[:MAX_PARTS], *queue]
        else:
            parts.append(one)
    weight = next((one for one in parts if isinstance(one, Converted)), None)
    bias = (one for one in parts if isinstance(one, Tensor) and one.ndim == 1 and one.is_floating_point())
    return None if weight is None else (weight, next(bias, None))


def _strings(value: object) -> set[str]:
    """Return the strings of a set, however it was recorded."""
    if isinstance(value, Opaque):
        members = [*value.items, *value.arguments]
        members += [one for part in value.arguments if isinstance(part, list | tuple) for one in part]
    else:
        members = list(value) if isinstance(value, list | tuple | set | frozenset) else []
    return {member for member in members if isinstance(member, str)}
