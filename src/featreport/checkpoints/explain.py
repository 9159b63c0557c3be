"""Says in plain words why a checkpoint does not fit a model, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch.nn.parameter import is_lazy

from featreport.checkpoints.match import Expected, Fit
from featreport.checkpoints.names import prefixes
from featreport.checkpoints.tolerance import Tolerance
from featreport.plan.types import SourceRef
from featreport.results.schema import Mismatch

FIRST = 5
MOST_GLOBS = 4
LONGEST_GLOB = 80
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
FEW = 0.5  # of the model's tensors: fewer matches than that, and it may be a twin


def misfit(expected: Expected, fit: Fit, tolerance: Tolerance, source: SourceRef) -> tuple[str, str]:
    """Return (what does not fit, what to do) for a state dict that fits in part."""
    parts: list[str] = []
    mismatched = [one for one in fit.mismatched if not tolerance.replaced(one.name)]
    missing = tolerance.lacking(fit.missing)
    unexpected = tolerance.left_over(fit.unexpected)
    if mismatched:
        shapes = (f"{m.name}: the model has {m.expected}, the file {m.got}" for m in mismatched)
        parts.append(f"{len(mismatched)} of another shape ({_first(shapes, '; ')})")
    if missing:
        parts.append(f"{len(missing)} missing in the file ({_first(_shaped(missing, expected))})")
    if unexpected:
        parts.append(f"{len(unexpected)} not in the model ({_first(_shaped(unexpected, fit))})")
    message = f"does not fit {source.text}: {len(fit.matched)} tensors match, {', '.join(parts)}"
    if fit.weight < FEW * len(expected.tensors) and twin(expected, fit):
        return f"{message}, yet every shape fits in order: {_TWIN}", _TWIN_HINT
    return message, _advice(fit, mismatched, missing, unexpected, source)


def stranger(expected: Expected, fit: Fit, source: SourceRef) -> tuple[str, str]:
    """Return (what is wrong, what to do) for a state dict of which no tensor fits."""
    ours, theirs = _shapes(expected.tensors), _shapes(fit.candidate.tensors)
    here, there = _first((name for name, _ in ours), count=2), _first((name for name, _ in theirs), count=2)
    names = f"the model's names begin {here}, the file's {there}"
    message = f"fits {source.text} in none of its {len(theirs)} tensors: {names}"
    for prefix, count in prefixes(fit.candidate.tensors, expected.tensors)[:1]:
        if count >= FEW * len(theirs):
            part = f"the part of the model that begins {_quoted(prefix)} ({count} of its names)"
            return message, f"the file holds {part}: name a factory of that part alone as source"
    if twin(expected, fit):
        return f"fits {source.text} in no name, yet every shape fits in order: {_TWIN}; {names}", _TWIN_HINT
    return message, "the file belongs to another architecture; check 'source'"


def rivals(keys: Sequence[str], source: SourceRef | None) -> tuple[str, str]:
    """Return (what is ambiguous, the line to write) for a file with several state dicts that fit equally well."""
    listed = ", ".join(keys[:FIRST]) + (f", and {len(keys) - FIRST} more" if len(keys) > FIRST else "")
    lines = " or ".join(f"key: {_quoted(key)}" for key in keys[:FIRST])
    fit = f"that fit {source.text} equally well" if source else "of the same names and shapes"
    message = f"holds {len(keys)} state dicts {fit}, with different numbers: {listed}"
    return message, f"say which is meant: {lines}"


def twin(expected: Expected, fit: Fit) -> bool:
    """Say whether the file's tensors have the model's shapes, in the model's order."""
    ours, theirs = _shapes(expected.tensors), _shapes(fit.candidate.tensors)
    return len(ours) > 0 and [shape for _, shape in ours] == [shape for _, shape in theirs]


_TWIN = "probably another library's twin of this architecture"
_TWIN_HINT = (
    "name that library's model as source (timm:NAME or python:package.module:factory), or rename the tensors"
)


def _advice(
    fit: Fit, mismatched: list[Mismatch], missing: list[str], unexpected: list[str], source: SourceRef
) -> str:
    if len(mismatched) > len(fit.matched):
        return "the file belongs to another size or variant of this architecture; check 'source' and 'args'"
    reshaped = [one.name for one in mismatched]
    lines = _lines([*reshaped, *missing], [*reshaped, *unexpected])
    if mismatched and not missing and not unexpected:
        outputs = _replaced_head(mismatched)
        if outputs is not None and source.kind in {"torchvision", "timm"}:
            return f"its head was replaced: set args: {{num_classes: {outputs}}}, or leave the head out with {lines}"
        if outputs is not None:
            here = f"set the number of classes in the args of {source.name}"
            return f"its head has {outputs} outputs: {here}, or leave the head out with {lines}"
    if missing and any(origin.startswith("q") for origin in fit.candidate.origins.values()):
        return f"quantization may have folded its batch norms into the layers before them; allow that with {lines}"
    if unexpected and not missing and not mismatched and fit.renaming.prefix and not fit.renaming.suffix:
        return f"take the part that fits with key: {_quoted(fit.keys[0])}, or allow the rest with {lines}"
    return f"check 'args' (number of classes, variant), or allow it with {lines}"


def _lines(missing: list[str], unexpected: list[str]) -> str:
    """Return the lines of the manifest that allow this misfit."""
    globs = {"allow_missing": _globs(missing), "allow_unexpected": _globs(unexpected)}
    if any(found is None for found in globs.values()):
        return "strict: false"
    return ", ".join(f"{what}: [{', '.join(found)}]" for what, found in globs.items() if found)


def _globs(names: list[str]) -> list[str] | None:
    """Return a few globs for the names: one for each layer, else one for each first part; None: too many."""
    layers = dict.fromkeys(f"{name.rpartition('.')[0]}.*" if "." in name else name for name in names)
    parts = dict.fromkeys(f"{name.partition('.')[0]}.*" if "." in name else name for name in names)
    for globs in (layers, parts):
        if len(globs) <= MOST_GLOBS and all(len(glob) <= LONGEST_GLOB and "[" not in glob for glob in globs):
            return [_quoted(glob) for glob in globs]
    return None


def _quoted(text: str) -> str:
    """Return `text` so that YAML reads it back as text."""
    plain = text.replace(".", "").replace("_", "").replace("-", "").isalnum() and not text[0].isdigit()
    return text if plain and text.lower() not in _WORDS else "'" + text.replace("'", "''") + "'"


def _shaped(names: list[str], where: Expected | Fit) -> list[str]:
    """Return the names with their shapes where they are few: then they are a head, or a variant's layer."""
    if len(names) > FIRST:
        return names
    return [f"{name} {list(shape)}" if (shape := _shape(name, where)) else name for name in names]


def _shape(name: str, where: Expected | Fit) -> torch.Size | None:
    if isinstance(where, Expected):
        tensor = where.tensors.get(name)
        return None if tensor is None or is_lazy(tensor) else tensor.shape
    source = where.sources.get(name)
    return where.candidate.tensors[source].shape if isinstance(source, str) else None


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
