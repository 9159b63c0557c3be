"""Where in a checkpoint's tree the state dicts are."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch

from featreport.checkpoints.tensors import verify
from featreport.errors import CheckpointError

MAX_DEPTH = 4
MAX_NODES = 10_000
TOP = "(top level)"

# The order in which training code is most often meant, where two candidates fit equally well.
USUAL = (
    "",
    "state_dict",
    "model_state_dict",
    "model",
    "model_state",
    "net",
    "network",
    "params",
    "weights",
    "module",
)
_AVERAGED = {"ema", "swa", "averaged", "avg", "shadow"}
_NOT_WEIGHTS = ("optim", "opt", "scheduler", "lr_scheduler", "lr_schedulers", "scaler", "grad_scaler", "amp")


@dataclass(frozen=True)
class Candidate:
    """A mapping that is mostly tensors, and the dotted path to it ("" is the top level)."""

    path: str
    tensors: dict[str, torch.Tensor]

    @property
    def shown(self) -> str:
        """The path as people read it."""
        return self.path or TOP

    @property
    def rank(self) -> tuple[bool, int]:
        """Orders equally good candidates: plain weights before averaged ones, then the usual names."""
        last = self.path.rpartition(".")[2].lower()
        averaged = not _AVERAGED.isdisjoint(re.split(r"[._]", self.path.lower()))
        return averaged, USUAL.index(last) if last in USUAL else len(USUAL)


def candidates(tree: object, file_bytes: int, key: str | None = None) -> list[Candidate]:
    """Return the state dicts in `tree`, every tensor verified; with `key`, that one alone.

    Raises:
        CheckpointError: there is none, `key` names none, or a tensor is not what its file can hold.
    """
    found = [Candidate(path, tensors) for path, node in _mappings(tree) if (tensors := _mostly_tensors(node))]
    for candidate in found:
        for name, tensor in candidate.tensors.items():
            verify(name[:200], tensor, file_bytes)
    if key is not None:
        return [_forced(found, key)]
    if not found:
        raise CheckpointError(
            f"holds no state dict: {_describe(tree)}", "save it with torch.save(model.state_dict(), …)"
        )
    return found


def _mappings(tree: object) -> Iterator[tuple[str, Mapping[object, object]]]:
    """Yield every mapping near the top with its dotted path, breadth first; an optimizer's are left out."""
    level: list[tuple[str, object]] = [("", tree)]
    count = 0
    for _ in range(MAX_DEPTH + 1):
        below: list[tuple[str, object]] = []
        for path, node in level:
            if not isinstance(node, Mapping):
                continue
            count += 1
            if count > MAX_NODES:
                return
            yield path, node
            below.extend(
                (f"{path}.{name}" if path else name, child)
                for name, child in node.items()
                if isinstance(name, str) and isinstance(child, Mapping) and not _of_optimizer(name)
            )
        level = below


def _of_optimizer(name: str) -> bool:
    name = name.lower()
    return name.startswith("optim") or name in _NOT_WEIGHTS or name.endswith(("_optimizer", "_scheduler"))


def _mostly_tensors(node: Mapping[object, object]) -> dict[str, torch.Tensor]:
    tensors = {k: v for k, v in node.items() if isinstance(k, str) and isinstance(v, torch.Tensor)}
    return tensors if 2 * len(tensors) >= len(node) else {}


def _forced(found: list[Candidate], key: str) -> Candidate:
    for candidate in found:
        if candidate.path == key:
            return candidate
    there = [candidate.shown for candidate in found]
    near = difflib.get_close_matches(key, there, n=1, cutoff=0.4)
    listed = ", ".join(there[:10]) or "none"
    raise CheckpointError(
        f"holds no state dict under key {key!r}; there are: {listed}",
        f"did you mean key: {near[0]}?"
        if near and near[0] != TOP
        else "leave 'key' out, or name one of these",
    )


def _describe(tree: object) -> str:
    if isinstance(tree, torch.Tensor):
        return "it is a single tensor"
    if isinstance(tree, Mapping):
        names = [str(name)[:40] for name in list(tree)[:8] if isinstance(name, str | int)]
        return f"it is a mapping with the keys {', '.join(names)}" if names else "it is an empty mapping"
    return f"it is a {type(tree).__name__}"
