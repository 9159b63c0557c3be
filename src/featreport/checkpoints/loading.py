"""Puts a checkpoint's numbers into a model, strictly, and returns the audit of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from featreport.checkpoints import explain, layout, match, published, reading
from featreport.errors import CheckpointError
from featreport.plan.types import CheckpointRef, SourceRef
from featreport.results.schema import Load


@dataclass(frozen=True)
class Loaded:
    """The audit, and by the model's names the file's tensors whose stored type is not the model's."""

    audit: Load
    stored: dict[str, Tensor] = field(default_factory=dict)


def load_into(model: nn.Module, checkpoint: CheckpointRef, source: SourceRef) -> Loaded:
    """Put the checkpoint's numbers into `model` and return the audit and the tensors as stored.

    Half-precision numbers are converted to the model's type. Kind "random" loads nothing: the model was built
    with that seed.

    Raises:
        CheckpointError: the file cannot be read or does not fit; its `load` is the audit as far as it went.
    """
    if checkpoint.kind == "random":
        return Loaded(Load(path=None, sha256=None, format="random", matched=0))
    if checkpoint.kind == "weights":
        path = published.fetch(source, checkpoint.weights or "DEFAULT")
        shown, kind = path.name, "published weights"
    elif checkpoint.path is not None:
        path, shown, kind = checkpoint.path, checkpoint.text, None
    else:
        raise CheckpointError(f"{checkpoint.text} names no file", "give it a path")
    content = reading.read(path, shown=shown)
    audit = Load(
        path=shown, sha256=content.sha256, format=kind or content.format, bytes=content.bytes, matched=0
    )
    try:
        return Loaded(_load(model, content, checkpoint.key, source, audit))
    except CheckpointError as error:
        message, hint = reading.one_line(f"{shown} {error.message}"), reading.one_line(error.hint)
        raise CheckpointError(message, hint, load=error.load or audit) from error.__cause__
    except Exception as error:
        message = reading.one_line(f"{shown} cannot be fitted: {error} ({type(error).__name__})")
        raise CheckpointError(message[:400], "save it again, only the state dict", load=audit) from error


def _load(
    model: nn.Module, content: reading.Checkpoint, key: str | None, source: SourceRef, audit: Load
) -> Load:
    expected = match.expected_tensors(model)
    found = layout.candidates(content.tree, content.bytes, key)
    best, alternatives = match.choose([match.fit(expected, candidate) for candidate in found])
    audit = audit.model_copy(
        update={
            "key": reading.one_line(best.candidate.path) or None,
            "alternatives": [reading.one_line(path) for path in alternatives],
            "prefix": best.prefix,
            "matched": len(best.matched),
            "missing": list(best.missing),
            "unexpected": [reading.one_line(name) for name in best.unexpected],
            "mismatched": list(best.mismatched),
        }
    )
    if not best.matched:
        raise CheckpointError(*explain.stranger(expected, best, source), load=audit)
    if best.mismatched:
        raise CheckpointError(*explain.misfit(best, source), load=audit)
    _verify_kinds(expected, best, audit)
    return _copy(model, best, source, audit)


def _copy(model: nn.Module, best: match.Fit, source: SourceRef, audit: Load) -> Load:
    """Let the model load: its own hooks may know old names (ViT, RPN heads, frozen batch norms)."""
    try:
        with torch.no_grad():
            result = model.load_state_dict(best.tensors, strict=False)
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(
            f"was refused by the model: {reason}", "check 'source' and 'args'", load=audit
        ) from error
    if best.complete:
        return audit
    missing = tuple(
        name for name in best.missing if name in result.missing_keys or name.endswith(match.COUNTER)
    )
    unexpected = tuple(name for name in best.unexpected if name in result.unexpected_keys)
    listed = [reading.one_line(name) for name in unexpected]
    if match.lacking(missing) or match.left_over(unexpected):
        raise CheckpointError(*explain.misfit(best, source), load=audit)
    matched = len(best.tensors) - len(unexpected)
    return audit.model_copy(update={"matched": matched, "missing": list(missing), "unexpected": listed})


def _verify_kinds(expected: dict[str, torch.Tensor], best: match.Fit, audit: Load) -> None:
    """Refuse integers in the place of floats; float16 in the place of float32 is only a conversion."""
    for name in best.matched:
        ours, theirs = expected[name].dtype, best.tensors[name].dtype
        if _kind(ours) != _kind(theirs):
            raise CheckpointError(
                f"holds {theirs} where the model has {ours}: {name}".replace("torch.", ""),
                "a quantized or converted file cannot be measured as this model; name the float one",
                load=audit,
            )


def _kind(dtype: torch.dtype) -> str:
    if dtype.is_complex:
        return "complex"
    return "float" if dtype.is_floating_point else "integer"
