"""A checkpoint's tensors without a model: which state dict is meant, and the audit of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from featreport.checkpoints import explain, layout, loading, reading
from featreport.checkpoints.layout import Candidate
from featreport.checkpoints.plain import brief
from featreport.errors import CheckpointError
from featreport.plan.types import CheckpointRef, SourceRef
from featreport.results.schema import Load


@dataclass(frozen=True)
class Alone:
    """The audit, and the tensors by the file's own names."""

    audit: Load
    tensors: Mapping[str, Tensor]


def load_alone(checkpoint: CheckpointRef, source: SourceRef) -> Alone:
    """Return the tensors of the checkpoint's state dict: the one `key` names, else the largest.

    Raises:
        CheckpointError: the file cannot be read, holds none, or several of the same names and shapes with
            different numbers; its `load` is the audit as far as it went.
    """
    content, audit = loading.opened(checkpoint, source)
    try:
        found = layout.candidates(content.tree, content.bytes)
        best = _meant(found, checkpoint.key)
    except CheckpointError as error:
        shown = audit.path or checkpoint.text
        message, hint = reading.one_line(f"{shown} {error.message}"), reading.one_line(error.hint)
        raise CheckpointError(message, hint, load=audit) from error.__cause__
    converted = [f"converted from {origin}: {name}" for name, origin in list(best.origins.items())[:20]]
    audit = audit.model_copy(
        update={
            "key": brief(best.path) or None,
            "alternatives": [brief(one.shown) for one in found if one is not best and not _part(one, best)][
                :20
            ],
            "alone": True,
            "matched": len(best.tensors),
            "applied": [brief(text) for text in (*best.notes, *converted)],
            "dtypes": loading.dtypes(best),
        }
    )
    return Alone(audit, best.tensors)


def _meant(found: list[Candidate], key: str | None) -> Candidate:
    wanted = found if key is None else layout.forced(found, key)
    best = max(wanted, key=_elements)
    rivals = [one for one in wanted if _rival(best, one)]
    if rivals:
        raise CheckpointError(
            *explain.rivals(list(dict.fromkeys(one.shown for one in (best, *rivals))), None)
        )
    return best


def _elements(candidate: Candidate) -> int:
    return sum(tensor.numel() for tensor in candidate.tensors.values())


def _part(one: Candidate, whole: Candidate) -> bool:
    return one.place[: len(whole.place)] == whole.place


def _rival(best: Candidate, other: Candidate) -> bool:
    """Say whether `other` has the same names and shapes and other numbers."""
    if other is best or [*best.tensors] != [*other.tensors]:
        return False
    pairs = [(tensor, other.tensors[name]) for name, tensor in best.tensors.items()]
    return all(one.shape == two.shape for one, two in pairs) and not all(
        one.equal(two) for one, two in pairs if one.dtype == two.dtype
    )
