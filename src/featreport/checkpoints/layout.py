"""Where in a checkpoint's tree the state dicts are."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch

from featreport.checkpoints.modules import PACKED, Budget, named_values
from featreport.checkpoints.names import unwrapped
from featreport.checkpoints.tensors import verify
from featreport.checkpoints.tree import Path, Place, children, is_module, is_script, places, tensor_of
from featreport.checkpoints.values import Converted, Opaque
from featreport.errors import CheckpointError

TOP = "(top level)"
SHOWN = 10
MAX_CANDIDATES = 5_000  # the shallowest
MAX_NAMES = 500_000  # in all of them together
MAX_JOINED = 100  # places whose state dicts are tried as one
MAX_JOINED_TENSORS = 500_000
MAX_JOINED_DEPTH = 16

_MANGLED = re.compile(r"___torch_mangle_\d+\.")


@dataclass(frozen=True)
class Candidate:
    """A state dict and the names that lead to it; its tensors are dense.

    `origins` says of a converted tensor from what it was converted; `notes` how the state dict was come by.
    """

    place: Path
    tensors: dict[str, torch.Tensor]
    notes: tuple[str, ...] = ()
    origins: dict[str, str] = field(default_factory=dict)
    joined: bool = False  # made of several state dicts

    @property
    def path(self) -> str:
        """The dotted path, "" for the top level."""
        return ".".join(self.place)

    @property
    def shown(self) -> str:
        """The path as people read it and as `key` takes it."""
        return self.path or TOP


def candidates(tree: object, file_bytes: int, key: str | None = None) -> list[Candidate]:
    """Return the state dicts anywhere in `tree`, every tensor verified; with `key`, those it names.

    Raises:
        CheckpointError: there is none, `key` names none, or a tensor is not what its file can hold.
    """
    found: list[Candidate] = []
    known: dict[int, Candidate] = {}
    budget, names = Budget(), 0
    for place in places(tree):
        if len(found) == MAX_CANDIDATES or names > MAX_NAMES:
            break
        if place.again:
            if (same := known.get(id(place.node))) is not None:
                found.append(Candidate(place.path, same.tensors, same.notes, same.origins))
            continue
        candidate = _candidate(place, budget)
        if candidate.tensors:
            _verify(candidate, file_bytes)
            known[id(place.node)] = candidate
            found.append(candidate)
            names += len(candidate.tensors)
    if not found:
        raise CheckpointError(
            f"holds no state dict: {_describe(tree)}", "save it with torch.save(model.state_dict(), …)"
        )
    return found if key is None else forced(found, key)


def joined(found: list[Candidate]) -> list[Candidate]:
    """Return the places above several state dicts as one each, e.g. {"backbone": …, "head": …}, deepest first."""
    found = [one for one in found if len(one.place) <= MAX_JOINED_DEPTH]
    above = Counter(one.place[:depth] for one in found for depth in range(len(one.place) + 1))
    made: list[Candidate] = []
    total = 0
    for place, count in sorted(above.items(), key=lambda item: -len(item[0])):
        if count > 1 and len(made) < MAX_JOINED and total <= MAX_JOINED_TENSORS:
            made.append(_join(place, [one for one in found if one.place[: len(place)] == place]))
            total += len(made[-1].tensors)
    return made


def at_or_below(found: list[Candidate], key: str) -> list[Candidate]:
    """Return the state dicts at the path `key` and those inside it."""
    path = "" if key == TOP else key
    return [one for one in found if one.path == path or not path or one.path.startswith(f"{path}.")]


def forced(found: list[Candidate], key: str) -> list[Candidate]:
    """Return what `key` names: the state dict at that path, else those inside it, else a part of one's names.

    Raises:
        CheckpointError: nothing is called so; the message lists what there is.
    """
    path = "" if key == TOP else key
    inside = at_or_below(found, key)
    if inside:
        return [one for one in inside if one.path == path] or inside
    parts = [part for one in found if (part := _part(one, path)) is not None]
    if parts:
        return parts
    there = list(dict.fromkeys(one.shown for one in found))
    near = difflib.get_close_matches(key, there, n=1, cutoff=0.4)
    more = [f"and {len(there) - SHOWN} more"] if len(there) > SHOWN else []
    raise CheckpointError(
        f"holds no state dict under key {key!r}; there are: {', '.join([*there[:SHOWN], *more])}",
        f"did you mean key: {near[0]}?"
        if near and near[0] != TOP
        else "leave 'key' out, or name one of these",
    )


def _candidate(place: Place, budget: Budget) -> Candidate:
    """Return the tensors that stand in one container under names; none where they are but a few scalars."""
    node = place.node
    if is_module(node) and isinstance(node, Opaque):
        kind = "TorchScript module" if is_script(node) else "pickled module"
        name = _MANGLED.sub("", node.name[:200].removeprefix("__torch__."))
        return _gather(
            place.path, named_values(node, budget), (f"state dict recovered from the {kind} {name}",)
        )
    if isinstance(node, list | tuple):
        return Candidate(place.path, {})
    if isinstance(node, Opaque):
        held = children(Opaque(node.name, pairs=node.pairs, state=node.state))
        return _gather(place.path, held, (f"read from a {node.name[:200]}",))
    entries = node if isinstance(node, dict) else {}
    found = _gather(place.path, ((name, value) for name, value in entries.items() if isinstance(name, str)))
    scalars = all(tensor.numel() <= 1 for tensor in found.tensors.values())
    return Candidate(place.path, {}) if scalars and 2 * len(found.tensors) < len(entries) else found


def _gather(place: Path, values: Iterable[tuple[str, object]], notes: tuple[str, ...] = ()) -> Candidate:
    """Keep the tensors among `values`; a quantised layer's packed pair becomes its weight and bias."""
    tensors: dict[str, torch.Tensor] = {}
    origins: dict[str, str] = {}

    def keep(name: str, value: object) -> None:
        tensor = tensor_of(value)
        if tensor is not None:
            tensors[name] = tensor
        if isinstance(value, Converted):
            origins[name] = value.origin

    for name, value in values:
        if name.endswith(PACKED) and isinstance(value, tuple):
            layer = name.removesuffix(PACKED).removesuffix(f"{PACKED}.")
            for part, one in zip(("weight", "bias"), value, strict=False):
                keep(layer + part, one)
        else:
            keep(name, value)
    return Candidate(place, tensors, notes, origins)


def _join(place: Path, members: list[Candidate]) -> Candidate:
    tensors: dict[str, torch.Tensor] = {}
    origins: dict[str, str] = {}
    for one in members:
        inner = "".join(f"{name}." for name in one.place[len(place) :])
        tensors |= {inner + name: tensor for name, tensor in one.tensors.items()}
        origins |= {inner + name: origin for name, origin in one.origins.items()}
    inside = list(dict.fromkeys(".".join(one.place[len(place) :]) for one in members))
    names = ", ".join(inside[:SHOWN]) + (", …" if len(inside) > SHOWN else "")
    note = f"{len(members)} state dicts read as one: {names}"
    return Candidate(place, tensors, (note,), origins, joined=True)


def _part(candidate: Candidate, key: str) -> Candidate | None:
    """Return the tensors of one state dict whose names begin with what `key` has beyond its path."""
    head = f"{candidate.path}." if candidate.place else ""
    if not key.startswith(head):
        return None
    prefix = key.removeprefix(head) + "."
    for rename in (str, unwrapped):
        named = {name: rename(name) for name in candidate.tensors}
        inside = {name: new.removeprefix(prefix) for name, new in named.items() if new.startswith(prefix)}
        if inside and len(set(inside.values())) == len(inside):
            break
    else:
        return None
    rest = len(named) - len(inside)
    return Candidate(
        place=(*candidate.place, prefix[:-1]),
        tensors={new: candidate.tensors[name] for name, new in inside.items()},
        notes=(*candidate.notes, *([f"{rest} tensors outside {prefix!r} left out"] if rest else [])),
        origins={new: candidate.origins[name] for name, new in inside.items() if name in candidate.origins},
    )


def _verify(candidate: Candidate, file_bytes: int) -> None:
    for name, tensor in candidate.tensors.items():
        verify(name[:200], tensor, file_bytes, converted=name in candidate.origins)


def _describe(tree: object) -> str:
    if isinstance(tree, torch.Tensor):
        return "it is a single tensor"
    if isinstance(tree, Opaque):
        return f"it is a {tree.name[:200]}"
    if isinstance(tree, dict):
        names = [str(name)[:40] for name in list(tree)[:8] if isinstance(name, str | int)]
        return f"it is a mapping with the keys {', '.join(names)}" if names else "it is an empty mapping"
    return f"it is a {type(tree).__name__}"
