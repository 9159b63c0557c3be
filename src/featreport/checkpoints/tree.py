"""Walks what a file holds: any depth and any cycle, no value of it compared, printed or called."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from featreport.checkpoints.values import Converted, Opaque

MAX_DEPTH = 512
MAX_EDGES = 500_000  # containers reached, counted once for every way that leads to them
MAX_NAME = 1024  # letters of a key
_TRAINING = re.compile(r"optim(?!i[sz]ed|al)|^opts?$|sched|scaler|^amp$|(^|_)(rng|random)_state")

Path = tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Place:
    """A container, where it stands, and whether it was met before in another place."""

    node: object
    above: Place | None = None
    name: str = ""
    depth: int = 0
    again: bool = False

    @property
    def path(self) -> Path:
        """The names that lead here from the top."""
        names: list[str] = []
        place: Place | None = self
        while place is not None and place.above is not None:
            names.append(place.name)
            place = place.above
        return tuple(reversed(names))


def places(tree: object) -> Iterator[Place]:
    """Yield every dict, list, tuple and recorded object, breadth first; what belongs to an optimizer is left out.

    A module is yielded and not entered: its tensors have names of their own.
    """
    queue = deque([Place(tree)])
    seen: set[int] = set()
    for _ in range(MAX_EDGES):
        if not queue:
            return
        place = queue.popleft()
        node = place.node
        if not _contains(node) or _of_training(place.name, node):
            continue
        if id(node) in seen:
            yield replace(place, again=True)
            continue
        seen.add(id(node))
        yield place
        if place.depth < MAX_DEPTH and not is_module(node):
            queue.extend(
                Place(child, place, name, place.depth + 1)
                for name, child in children(node)
                if _contains(child) and len(name) <= MAX_NAME
            )


def children(node: object) -> Iterator[tuple[str, object]]:
    """Yield what a container holds by name: keys, attributes, or positions."""
    if isinstance(node, dict):
        yield from ((str(key), child) for key, child in node.items() if isinstance(key, str | int))
    elif isinstance(node, list | tuple):
        yield from ((str(index), child) for index, child in enumerate(node))
    elif isinstance(node, Opaque):
        yield from attributes(node).items()
        for part in (node.pairs, node.keywords, node.items, node.arguments):
            yield from children(part)


def attributes(node: Opaque) -> dict[str, object]:
    """Return what the object would have had as attributes."""
    states = node.state if isinstance(node.state, tuple) else (node.state,)
    found: dict[str, object] = {}
    for state in states[:2]:  # (__dict__, slots) is how objects with slots are written
        if isinstance(state, dict):
            found.update((key, value) for key, value in state.items() if isinstance(key, str))
    return found


def is_script(node: object) -> bool:
    """Say whether `node` is an object of a TorchScript program."""
    return isinstance(node, Opaque) and node.name.startswith("__torch__.")


def is_module(node: object) -> bool:
    """Say whether `node` is a recorded nn.Module or the module of a TorchScript program."""
    if not isinstance(node, Opaque):
        return False
    found = attributes(node)
    return is_script(node) or ("_modules" in found and ("_parameters" in found or "_buffers" in found))


def _contains(node: object) -> bool:
    return isinstance(node, dict | list | tuple | Opaque) and not isinstance(node, torch.Size)


def _of_training(name: str, node: object) -> bool:
    """Say whether this is the state of an optimizer, a scheduler or the like."""
    if not is_module(node) and _TRAINING.search(name.lower()):
        return True
    held = attributes(node) if isinstance(node, Opaque) else node
    return isinstance(held, dict) and "param_groups" in held and "state" in held


def tensor_of(value: object) -> torch.Tensor | None:
    """Return the dense tensor that `value` is or was converted to."""
    if isinstance(value, Converted):
        return value.tensor
    return value if isinstance(value, torch.Tensor) else None
