"""A checkpoint's tensors without a model: which state dict is meant, and the audit of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from featreport.checkpoints import explain, layout, loading, reading, recombine
from featreport.checkpoints.layout import Candidate
from featreport.checkpoints.names import unwrapped
from featreport.checkpoints.plain import brief
from featreport.checkpoints.recombine import Compound
from featreport.errors import CheckpointError
from featreport.plan.types import CheckpointRef, SourceRef
from featreport.results.schema import Load

MAX_LISTED = 20
MEAN, VARIANCE = ".running_mean", ".running_var"


@dataclass(frozen=True)
class Whole:
    """A tensor that the file holds in parts, put together when it is asked for."""

    compound: Compound
    parts: Mapping[str, Tensor]

    @property
    def shape(self) -> torch.Size:
        """The shape it will have."""
        return self.parts[self.compound.parts[0]].shape

    def value(self) -> Tensor:
        """Return the tensor, computed anew."""
        return self.compound.value(self.parts)


@dataclass(frozen=True)
class Alone:
    """The audit, and the tensors by the file's own names; those in parts stand where their first part does."""

    audit: Load
    tensors: Mapping[str, Tensor | Whole]


def load_alone(checkpoint: CheckpointRef, source: SourceRef, ahead: loading.Opened | None = None) -> Alone:
    """Return the tensors of the checkpoint's state dict: the one `key` names, else the largest.

    `ahead` is what `loading.opened` gave for this checkpoint, where it has been read already.

    Raises:
        CheckpointError: the file cannot be read, holds none, or several of the same names and shapes with
            different numbers; its `load` is the audit as far as it went.
    """
    content, audit = ahead or loading.opened(checkpoint, source)
    shown = audit.path or checkpoint.text
    try:
        found = layout.candidates(content.tree, content.bytes)
        best = _meant(found, checkpoint.key)
        compounds = recombine.find(best.tensors)
        audit = _audit(audit, best, found, compounds)
        return Alone(audit, put_together(best.tensors, compounds))
    except CheckpointError as error:
        message, hint = reading.one_line(f"{shown} {error.message}"), reading.one_line(error.hint)
        raise CheckpointError(message, hint, load=audit) from error.__cause__
    except Exception as error:
        message = reading.one_line(f"{shown} cannot be measured: {error} ({type(error).__name__})")
        raise CheckpointError(message[:400], "save it again, only the state dict", load=audit) from error


def _audit(audit: Load, best: Candidate, found: list[Candidate], compounds: list[Compound]) -> Load:
    done = Counter(compound.what for compound in compounds)
    done.update(f"converted from {origin}" for origin in best.origins.values())
    applied = [f"{what}: {count} tensor{'s' * (count != 1)}" for what, count in done.items()]
    others = dict.fromkeys(one.shown for one in found if one.place != best.place)
    return audit.model_copy(
        update={
            "key": brief(best.path) or None,
            "alternatives": [brief(key) for key in others][:MAX_LISTED],
            "alone": True,
            "matched": len(best.tensors),
            "applied": [brief(text) for text in (*best.notes, *applied)],
            "dtypes": loading.dtypes(best),
            "idle_norms": [reading.one_line(name) for name in _idle(best.tensors)],
        }
    )


def _meant(found: list[Candidate], key: str | None) -> Candidate:
    """Return the state dict with the most elements, and none of several that differ in their numbers alone."""
    wanted = found if key is None else layout.forced(found, key)
    best = max(wanted, key=_elements)
    keys = [best.shown, *(one.shown for one in wanted if _rival(best, one))]
    if len(set(keys)) > 1:
        raise CheckpointError(*explain.rivals(list(dict.fromkeys(keys)), None))
    return best


def _elements(candidate: Candidate) -> int:
    return sum(tensor.numel() for tensor in candidate.tensors.values())


def _rival(best: Candidate, other: Candidate) -> bool:
    """Say whether `other` has the same names and shapes and other numbers.

    What a wrapper adds makes no difference: the `module.` of an averaged model's names, its counter.
    """
    if other is best:
        return False
    ours, theirs = _named(best), _named(other)
    if ours.keys() != theirs.keys() or any(ours[name].shape != theirs[name].shape for name in ours):
        return False
    return not all(_equal(ours[name], theirs[name]) for name in ours)


def _named(candidate: Candidate) -> dict[str, Tensor]:
    found = {unwrapped(name): tensor for name, tensor in candidate.tensors.items()}
    return {name: tensor for name, tensor in found.items() if tensor.numel() > 1} or found


def _equal(one: Tensor, other: Tensor) -> bool:
    """Compare two tensors of one shape, NaN equal to NaN."""
    if one is other or (one.dtype == other.dtype and torch.equal(one, other)):
        return True
    return bool(((one == other) | (one.isnan() & other.isnan())).all())


def put_together(
    tensors: Mapping[str, Tensor], compounds: list[Compound] | None = None
) -> dict[str, Tensor | Whole]:
    """Return a state dict in which what stands in parts stands as one, where its first part does."""
    compounds = recombine.find(tensors) if compounds is None else compounds
    wholes = {compound.parts[0]: compound for compound in compounds}
    parts = {part for compound in compounds for part in compound.parts}
    made: dict[str, Tensor | Whole] = {}
    for name, tensor in tensors.items():
        if name in wholes:
            made[wholes[name].target] = Whole(wholes[name], tensors)
        elif name not in parts:
            made[name] = tensor
    return made


def _idle(tensors: Mapping[str, Tensor]) -> list[str]:
    """Return the batch norms whose running statistics are those they begin with."""
    layers = [name.removesuffix(MEAN) for name in tensors if name.endswith(MEAN)]
    return [
        layer
        for layer in layers
        if (variance := tensors.get(layer + VARIANCE)) is not None
        and variance.numel()
        and not bool(tensors[layer + MEAN].any())
        and bool((variance == 1).all())
    ]
