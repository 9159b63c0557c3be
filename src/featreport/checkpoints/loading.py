"""Puts a checkpoint's numbers into a model and returns the audit of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from featreport.checkpoints import explain, layout, published, reading, untrained
from featreport.checkpoints.choice import choose
from featreport.checkpoints.facts import facts
from featreport.checkpoints.layout import Candidate
from featreport.checkpoints.match import Expected, Fit
from featreport.checkpoints.plain import brief
from featreport.checkpoints.tolerance import COUNTER, Tolerance
from featreport.errors import CheckpointError
from featreport.plan.types import CheckpointRef, SourceRef
from featreport.results.schema import Load

MAX_OBJECTS = 50  # names of classes listed in an audit


@dataclass(frozen=True)
class Loaded:
    """The audit, and by the model's names the file's tensors whose stored type is not the model's."""

    audit: Load
    stored: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class _Job:
    """What every step of a load needs."""

    model: nn.Module
    expected: Expected
    tolerance: Tolerance
    source: SourceRef


Opened = tuple[reading.Checkpoint, Load]  # a file's content, and its audit so far


def load_into(
    model: nn.Module, checkpoint: CheckpointRef, source: SourceRef, ahead: Opened | None = None
) -> Loaded:
    """Put the checkpoint's numbers into `model` and return the audit and the tensors as stored.

    Half-precision numbers are converted to the model's type. Kind "random" loads nothing: the model was built
    with that seed. `ahead` is what `opened` gave for this checkpoint, where it has been read already.

    Raises:
        CheckpointError: the file cannot be read or does not fit; its `load` is the audit as far as it went.
    """
    if checkpoint.kind == "random":
        return Loaded(Load(path=None, sha256=None, format="random", matched=0))
    content, audit = ahead or opened(checkpoint, source)
    try:
        job = _Job(model, Expected.of(model), Tolerance.of(checkpoint), source)
        return _load(job, content, checkpoint.key, audit)
    except CheckpointError as error:
        shown = audit.path
        message, hint = reading.one_line(f"{shown} {error.message}"), reading.one_line(error.hint)
        raise CheckpointError(message, hint, load=error.load or audit) from error.__cause__
    except Exception as error:
        message = reading.one_line(f"{audit.path} cannot be fitted: {error} ({type(error).__name__})")
        raise CheckpointError(message[:400], "save it again, only the state dict", load=audit) from error


def opened(checkpoint: CheckpointRef, source: SourceRef) -> Opened:
    """Read the file a checkpoint names, and begin its audit.

    Raises:
        CheckpointError: it cannot be fetched or read.
    """
    if checkpoint.kind == "weights":
        path = published.fetch(source, checkpoint.weights or "DEFAULT")
        shown, kind = path.name, "published weights"
    elif checkpoint.missing:
        raise CheckpointError(checkpoint.missing, "see docs/manifest.md, “Files elsewhere”")
    elif checkpoint.path is not None:
        path, shown, kind = checkpoint.path, checkpoint.text, None
    else:
        raise CheckpointError(f"{checkpoint.text} names no file", "give it a path")
    content = reading.read(path, shown=shown)
    if checkpoint.sha256 not in {None, content.sha256}:
        raise CheckpointError(
            f"{shown}: expected sha256 {checkpoint.sha256}, got {content.sha256}",
            "it is another file than the manifest means: fetch it again, or correct `sha256`",
        )
    audit = Load(
        path=shown,
        sha256=content.sha256,
        format=kind or content.format,
        bytes=content.bytes,
        producer=content.producer,
        checksums=content.checksums,
        objects=[brief(name) for name in content.objects[:MAX_OBJECTS]],
        strict=checkpoint.strict,
        facts=_facts(content, shown),
        matched=0,
    )
    return content, audit


def _facts(content: reading.Checkpoint, shown: str) -> dict[str, str]:
    try:
        return facts(content.tree, content.metadata)
    except Exception as error:
        message = reading.one_line(f"{shown} cannot be read: {error} ({type(error).__name__})")
        raise CheckpointError(message[:400], "save it again, only the state dict") from error


def _load(job: _Job, content: reading.Checkpoint, key: str | None, audit: Load) -> Loaded:
    found = layout.candidates(content.tree, content.bytes)
    choice = choose(job.expected, found, key, job.tolerance)
    best = choice.best
    audit = _changed(
        audit,
        key=brief(best.candidate.path) or None,
        alternatives=[brief(path) for path in choice.alternatives],
        prefix=brief(best.renaming.prefix) or None,
        suffix=brief(best.renaming.suffix) or None,
        matched=len(best.matched),
        missing=list(best.missing),
        unexpected=[reading.one_line(name) for name in best.unexpected],
        mismatched=list(best.mismatched),
        applied=_applied(best),
        dtypes=dtypes(best.candidate),
    )
    if not best.weight:
        raise CheckpointError(*explain.stranger(job.expected, best, job.source), load=audit)
    if choice.rivals:
        raise CheckpointError(*explain.rivals(choice.rivals, job.source), load=audit)
    if not all(job.tolerance.replaced(one.name) for one in best.mismatched):
        raise CheckpointError(*explain.misfit(job.expected, best, job.tolerance, job.source), load=audit)
    return _copy(job, best, audit)


def _copy(job: _Job, best: Fit, audit: Load) -> Loaded:
    """Let the model load: its own hooks may know old names (ViT, RPN heads, frozen batch norms)."""
    foreign = _foreign(job, best, audit)
    kept = {name for name in best.sources if name not in foreign} - {one.name for one in best.mismatched}
    kept -= {name for names in best.aside.values() for name in names}
    tensors = {name: best.value(name) for name in best.sources if name in kept}
    fresh = untrained.fresh(job.expected.tensors, [name for name in best.matched if name in kept])
    types = {name: None if is_lazy(value) else value.dtype for name, value in job.expected.tensors.items()}
    try:
        with torch.no_grad():
            result = job.model.load_state_dict(tensors, strict=False)
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(
            f"was refused by the model: {reason}", "check 'source' and 'args'", load=audit
        ) from error
    absent = set(result.missing_keys)
    missing = [name for name in best.missing if name in absent or name.endswith(COUNTER)] + sorted(foreign)
    left = set(result.unexpected_keys)
    unexpected = [name for name in best.unexpected if name in left or name not in best.sources]
    if job.tolerance.lacking(missing) or job.tolerance.left_over(unexpected):
        raise CheckpointError(*explain.misfit(job.expected, best, job.tolerance, job.source), load=audit)
    now = {name: value for name, value in job.model.state_dict(keep_vars=True).items() if name in kept}
    audit = _changed(
        audit,
        matched=len(tensors) - sum(name in left for name in tensors),
        missing=missing,
        unexpected=[reading.one_line(name) for name in unexpected],
        applied=[
            *audit.applied,
            *job.tolerance.idle([*missing, *_reshaped(best)], [*unexpected, *_reshaped(best)]),
        ],
        untrained=untrained.looks_untrained(fresh, now),
        idle_norms=untrained.idle_norms(job.model),
    )
    stored = {
        name: tensor for name in best.matched
        if name in kept and name not in best.converted
        and types[name] not in {None, (tensor := tensors[name]).dtype}
    }  # fmt: skip
    return Loaded(audit, stored)


def _foreign(job: _Job, best: Fit, audit: Load) -> list[str]:
    """Return the tensors that are left out because they hold integers in the place of floats, or the reverse.

    Raises:
        CheckpointError: one is not allowed to be left out. float16 in the place of float32 is only a conversion.
    """
    found: list[str] = []
    for name in best.matched:
        ours, theirs = job.expected.tensors[name].dtype, best.dtype(name)
        if _kind(ours) == _kind(theirs):
            continue
        if not job.tolerance.replaced(name):
            raise CheckpointError(
                f"holds {theirs} where the model has {ours}: {name}".replace("torch.", ""),
                "a quantized or converted file cannot be measured as this model; name the float one",
                load=audit,
            )
        found.append(name)
    return found


def _applied(best: Fit) -> list[str]:
    """Return what was done to the chosen state dict before it was copied, each with a count."""
    counts: Counter[str] = Counter()
    for name in best.matched:
        source = best.sources[name]
        if not isinstance(source, str):
            counts[source.what] += 1
        elif source in best.candidate.origins:
            counts[f"converted from {best.candidate.origins[source]}"] += 1
    done = [f"{what}: {count} tensor{'s' * (count != 1)}" for what, count in counts.items()]
    left = [f"left out {len(names)} {what}" for what, names in best.aside.items()]
    inside = best.renaming.described([name for name in best.sources.values() if isinstance(name, str)])
    return [brief(text) for text in (*best.candidate.notes, *inside, *done, *left)]


def dtypes(candidate: Candidate) -> dict[str, int]:
    """Return how many tensors of a state dict the file stores in each type."""
    counts: Counter[str] = Counter()
    for name, tensor in candidate.tensors.items():
        origin = candidate.origins.get(name, "")
        counts[origin.split()[0] if origin.startswith("q") else str(tensor.dtype).removeprefix("torch.")] += 1
    return dict(counts.most_common())


def _reshaped(best: Fit) -> list[str]:
    return [one.name for one in best.mismatched]


def _changed(audit: Load, **fields: object) -> Load:
    return audit.model_copy(update=fields)


def _kind(dtype: torch.dtype) -> str:
    if dtype.is_complex:
        return "complex"
    return "float" if dtype.is_floating_point else "integer"
