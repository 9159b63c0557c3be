"""Says in plain words why a checkpoint does not fit a model, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch.nn.parameter import is_lazy

from featreport.checkpoints.match import Fit, lacking, left_over
from featreport.plan.types import SourceRef
from featreport.results.schema import Mismatch

FIRST = 5


def misfit(fit: Fit, source: SourceRef) -> tuple[str, str]:
    """Return (what does not fit, what to do) for a state dict that fits in part."""
    parts: list[str] = []
    if fit.mismatched:
        shapes = (f"{m.name}: the model has {m.expected}, the file {m.got}" for m in fit.mismatched)
        parts.append(f"{len(fit.mismatched)} of another shape ({_first(shapes, '; ')})")
    if missing := lacking(fit.missing):
        parts.append(f"{len(missing)} missing in the file ({_first(missing)})")
    if unexpected := left_over(fit.unexpected):
        parts.append(f"{len(unexpected)} not in the model ({_first(unexpected)})")
    message = f"does not fit {source.text}: {len(fit.matched)} tensors match, {', '.join(parts)}"
    return message, _advice(fit, source)


def stranger(expected: dict[str, torch.Tensor], fit: Fit, source: SourceRef) -> tuple[str, str]:
    """Return (what is wrong, what to do) for a state dict of which no tensor fits."""
    ours, theirs = _shapes(expected), _shapes(fit.candidate.tensors)
    here, there = _first((name for name, _ in ours), count=2), _first((name for name, _ in theirs), count=2)
    names = f"the model's names begin {here}, the file's {there}"
    if [shape for _, shape in ours] == [shape for _, shape in theirs]:
        twin = "yet every shape fits in order: probably another library's twin of this architecture"
        hint = "name that library's model as source (python:package.module:factory), or rename the tensors"
        return f"fits {source.text} in no name, {twin}; {names}", hint
    return (
        f"fits {source.text} in none of its {len(theirs)} tensors: {names}",
        "the file belongs to another architecture; check 'source'",
    )


def _advice(fit: Fit, source: SourceRef) -> str:
    if fit.mismatched and not lacking(fit.missing) and not left_over(fit.unexpected):
        outputs = _replaced_head(fit.mismatched)
        if outputs is not None and source.kind == "torchvision":
            return f"its head was replaced: set args: {{num_classes: {outputs}}}"
        if outputs is not None:
            return f"its head has {outputs} outputs: set the number of classes in the args of {source.name}"
    if fit.mismatched and len(fit.mismatched) > len(fit.matched):
        return "the file belongs to another size or variant of this architecture; check 'source' and 'args'"
    return "check 'args' (number of classes, variant), or name the part to load with 'key'"


def _shapes(tensors: dict[str, torch.Tensor]) -> list[tuple[str, list[int] | None]]:
    """Return every name with its shape, but for single counters, which old files lack."""
    shapes = [(name, None if is_lazy(tensor) else list(tensor.shape)) for name, tensor in tensors.items()]
    return [(name, shape) for name, shape in shapes if shape != []]


def _replaced_head(mismatched: Sequence[Mismatch]) -> int | None:
    """Return the file's number of classes where only the outputs of the head differ, all in the same way."""
    if any(len(m.expected) != len(m.got) or not m.got or m.expected[1:] != m.got[1:] for m in mismatched):
        return None
    heads = {(m.expected[0], m.got[0]) for m in mismatched}
    return heads.pop()[1] if len(heads) == 1 else None


def _first(texts: Iterable[str], between: str = ", ", count: int = FIRST) -> str:
    every = [text[:200] for text in texts]
    more = [f"and {len(every) - count} more"] if len(every) > count else []
    return between.join([*every[:count], *more]) or "nothing"
