"""Which tensors of a state dict fit which of the model's, by name and shape, and under which prefix."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from featreport.checkpoints.layout import Candidate
from featreport.results.schema import Mismatch

PREFIXES = ("module.", "_orig_mod.", "model.")  # DataParallel, torch.compile, Lightning and the like
MAX_STACKED = 3
COUNTER = "num_batches_tracked"  # files from before torch 0.4.1 lack it; evaluation does not use it
AVERAGE_COUNTER = "n_averaged"  # torch.optim.swa_utils.AveragedModel's, beside the weights

# torchvision's DenseNets were published with these names; torchvision rewrites them on download, so do we.
_OLD_DENSENET = re.compile(
    r"(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\.(?:weight|bias|running_mean|running_var))"
)


@dataclass(frozen=True)
class Fit:
    """How one candidate fits: `tensors` by the model's names as far as they have one there."""

    candidate: Candidate
    prefix: str | None
    tensors: dict[str, torch.Tensor]
    matched: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: tuple[Mismatch, ...]

    @property
    def complete(self) -> bool:
        """Whether nothing is missing, left over or of another shape, but for the two counters."""
        return not (self.mismatched or lacking(self.missing) or left_over(self.unexpected))


def lacking(missing: tuple[str, ...]) -> list[str]:
    """Return the missing names that matter."""
    return [name for name in missing if not name.endswith(COUNTER)]


def left_over(unexpected: tuple[str, ...]) -> list[str]:
    """Return the unexpected names that matter."""
    return [name for name in unexpected if name != AVERAGE_COUNTER]


def expected_tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return the model's own tensors by name, parameters as themselves so that tied ones are one object."""
    state = model.state_dict(keep_vars=True)
    return {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}


def fit(expected: dict[str, torch.Tensor], candidate: Candidate) -> Fit:
    """Return the best fit of `candidate`: a prefix is removed only where that raises the matches."""
    best: Fit | None = None
    for prefix, tensors in _variants(candidate.tensors):
        found = _fit(expected, candidate, prefix, tensors)
        if best is None or len(found.matched) > len(best.matched):
            best = found
    if best is None:  # the first variant is the candidate as it is
        raise AssertionError("a candidate has no variant")
    return best


def _variants(tensors: dict[str, torch.Tensor]) -> Iterator[tuple[str, dict[str, torch.Tensor]]]:
    """Yield (removed prefix, tensors renamed), the plain one first, then longer and longer prefixes."""
    for length in range(MAX_STACKED + 1):
        for parts in itertools.product(PREFIXES, repeat=length):
            prefix = "".join(parts)
            if not any(name.startswith(prefix) for name in tensors):
                continue
            renamed = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
            if len(renamed) < len(tensors):
                continue  # two tensors would get one name
            yield prefix, renamed
            modern = {_OLD_DENSENET.sub(r"\1\2", name): tensor for name, tensor in renamed.items()}
            if modern.keys() != renamed.keys() and len(modern) == len(renamed):
                yield prefix, modern


def _fit(
    expected: dict[str, torch.Tensor], candidate: Candidate, prefix: str, tensors: dict[str, torch.Tensor]
) -> Fit:
    matched: list[str] = []
    mismatched: list[Mismatch] = []
    for name, ours in expected.items():
        if name not in tensors:
            continue
        if is_lazy(ours) or ours.shape == tensors[name].shape:
            matched.append(name)
        else:
            mismatched.append(Mismatch(name=name, expected=list(ours.shape), got=list(tensors[name].shape)))
    given = {
        id(expected[name]) for name in matched
    }  # a tied tensor may stand in the file under one of its names
    return Fit(
        candidate=candidate,
        prefix=prefix or None,
        tensors=tensors,
        matched=tuple(matched),
        missing=tuple(n for n, ours in expected.items() if n not in tensors and id(ours) not in given),
        unexpected=tuple(name for name in tensors if name not in expected),
        mismatched=tuple(mismatched),
    )


def choose(fits: list[Fit]) -> tuple[Fit, list[str]]:
    """Return the best fit, and the paths of others that fit equally well and hold other numbers."""
    best = min(fits, key=lambda fit: (*_quality(fit), *fit.candidate.rank))
    equals = [fit for fit in fits if fit is not best and _quality(fit) == _quality(best)]
    return best, [fit.candidate.shown for fit in equals if best.matched and _differ(best, fit)]


def _quality(fit: Fit) -> tuple[bool, int, int]:
    return not fit.complete, -len(fit.matched), -len(fit.candidate.tensors) if not fit.matched else 0


def _differ(one: Fit, other: Fit) -> bool:
    return one.matched != other.matched or not all(
        torch.equal(one.tensors[name], other.tensors[name]) for name in one.matched
    )
