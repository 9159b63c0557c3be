"""Which tensors of a state dict fit which of the model's, by name and shape, and under which renaming."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from featreport.checkpoints import recombine
from featreport.checkpoints.layout import Candidate
from featreport.checkpoints.names import Renaming, renamings
from featreport.checkpoints.recombine import Compound
from featreport.checkpoints.tolerance import COUNTER, Tolerance
from featreport.results.schema import Mismatch

_OBSERVER = re.compile(r"(?:^|\.)(?:activation_post_process|weight_fake_quant)\w*\.")
_QUANTIZER = re.compile(r"(?:^|[._])(?:scale|zero_point)(?:_\d+)?$")


@dataclass(frozen=True)
class Expected:
    """The model's own tensors by name, and the names of its buffers that are not saved."""

    tensors: dict[str, torch.Tensor]
    fleeting: frozenset[str] = frozenset()

    @classmethod
    def of(cls, model: nn.Module) -> Expected:
        """Return what `model` would save; parameters as themselves, so that tied ones are one object."""
        state = model.state_dict(keep_vars=True)
        tensors = {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}
        buffers = frozenset(name for name, _ in model.named_buffers(remove_duplicate=False))
        return cls(tensors, buffers - tensors.keys())


@dataclass(frozen=True)
class Fit:
    """How one candidate fits under one renaming; `sources` leads from new names to the file's tensors.

    `aside` are tensors that belong to no network (what for → names); `rivals` other prefixes under which
    as many tensors of the same state dict fit, with other numbers.
    """

    candidate: Candidate
    renaming: Renaming
    sources: dict[str, str | Compound]
    matched: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: tuple[Mismatch, ...]
    aside: dict[str, list[str]] = field(default_factory=dict)
    rivals: tuple[str, ...] = ()

    @cached_property
    def weight(self) -> int:
        """How many tensors match, counters left out: an average of the weights often lacks them."""
        return sum(not name.endswith(COUNTER) for name in self.matched)

    @property
    def complete(self) -> bool:
        """Whether nothing is missing, left over or of another shape, but for the two counters."""
        return self.accepted(Tolerance())

    def whole(self, tolerance: Tolerance) -> bool:
        """Whether the model gets everything that it must get."""
        shapes = all(tolerance.replaced(one.name) for one in self.mismatched)
        return shapes and not tolerance.lacking(self.missing)

    def accepted(self, tolerance: Tolerance) -> bool:
        """Whether it may be loaded."""
        return self.whole(tolerance) and not tolerance.left_over(self.unexpected)

    @property
    def keys(self) -> list[str]:
        """What `key` may say to take this part of the file, or one of its rivals'."""
        apart = self.rivals or (
            self.renaming.prefix and not self.renaming.suffix and Tolerance().left_over(self.unexpected)
        )
        if not apart:
            return [self.candidate.shown]
        head = f"{self.candidate.path}." if self.candidate.place else ""
        return [f"{head}{prefix[:-1]}" for prefix in (self.renaming.prefix, *self.rivals)]

    def value(self, name: str) -> torch.Tensor:
        """Return the tensor that goes by `name` now."""
        source = self.sources[name]
        tensors = self.candidate.tensors
        return tensors[source] if isinstance(source, str) else source.value(tensors)

    def dtype(self, name: str) -> torch.dtype:
        """Return the type of the tensor that goes by `name` now."""
        source = self.sources[name]
        return self.candidate.tensors[source if isinstance(source, str) else source.parts[0]].dtype

    @cached_property
    def converted(self) -> set[str]:
        """The new names of tensors that the file holds in another form than numbers of one type."""
        return {
            name for name, source in self.sources.items()
            if not isinstance(source, str) or source in self.candidate.origins
        }  # fmt: skip


def fit(expected: Expected, candidate: Candidate) -> Fit:
    """Return the best fit of `candidate`: names are changed and parts put together only where that matches more."""
    compounds = recombine.find(candidate.tensors)
    names = [*candidate.tensors, *(compound.target for compound in compounds)]
    tries = renamings(expected.tensors, names)
    best = fit_as(expected, candidate, next(tries), compounds)
    equals: list[Fit] = []
    for renaming in tries:
        if best.complete and not _beside(renaming, best.renaming):
            break
        found = fit_as(expected, candidate, renaming, compounds)
        if found.weight > best.weight:
            best, equals = found, []
        elif found.weight == best.weight and _beside(found.renaming, best.renaming):
            equals.append(found)
    rivals = tuple(other.renaming.prefix for other in equals if not same_numbers(best, other))
    return replace(best, rivals=rivals) if rivals else best


def _beside(one: Renaming, other: Renaming) -> bool:
    """Say whether two renamings differ by their prefixes alone, and both have one."""
    return bool(one.prefix and other.prefix) and replace(one, prefix=other.prefix) == other


def fit_as(expected: Expected, candidate: Candidate, renaming: Renaming, compounds: list[Compound]) -> Fit:
    """Return the fit of `candidate` under one renaming."""
    ours = expected.tensors
    sources, outside = _sources(candidate.tensors, renaming)
    for compound in compounds:
        target, parts = renaming(compound.target), [renaming(part) for part in compound.parts]
        if target in ours and target not in sources and not any(part in ours for part in parts):
            sources = {name: source for name, source in sources.items() if name not in parts}
            sources[target] = compound
    matched, mismatched = [], []
    for name, tensor in ours.items():
        if name in sources:
            shape = _shape(sources[name], candidate)
            if is_lazy(tensor) or tensor.shape == shape:
                matched.append(name)
            else:
                mismatched.append(Mismatch(name=name, expected=list(tensor.shape), got=list(shape)))
    given = {id(ours[name]) for name in matched}  # a tied tensor may stand in the file under one of its names
    rest = [name for name in sources if name not in ours]
    aside = _aside(expected, candidate, rest, sources)
    put_aside = {name for names in aside.values() for name in names}
    return Fit(
        candidate=candidate,
        renaming=renaming,
        sources=sources,
        matched=tuple(matched),
        missing=tuple(name for name in ours if name not in sources and id(ours[name]) not in given),
        unexpected=(*(name for name in rest if name not in put_aside), *outside),
        mismatched=tuple(mismatched),
        aside=aside,
    )


def _sources(names: Collection[str], renaming: Renaming) -> tuple[dict[str, str | Compound], list[str]]:
    """Return the file's names by new name; second, those whose name another tensor has taken."""
    renamed = [(renaming(name), name) for name in names]
    sources: dict[str, str | Compound] = {}
    outside: list[str] = []
    for new, name in [pair for pair in renamed if pair[0] != pair[1]]:
        if new in sources:
            outside.append(name)
        else:
            sources[new] = name
    changed = set(sources)
    outside += [name for new, name in renamed if new == name and new in changed]
    return sources | {new: name for new, name in renamed if new == name and new not in changed}, outside


def _shape(source: str | Compound, candidate: Candidate) -> torch.Size:
    return candidate.tensors[source if isinstance(source, str) else source.parts[0]].shape


def _aside(
    expected: Expected, candidate: Candidate, rest: list[str], sources: dict[str, str | Compound]
) -> dict[str, list[str]]:
    """Return the left-over tensors that serve quantization, or that the model makes itself."""
    aside: dict[str, list[str]] = {}
    quantized = any(origin.startswith("q") for origin in candidate.origins.values())
    for name in rest:
        if name in expected.fleeting:
            aside.setdefault("buffers that the model makes itself", []).append(name)
        elif _OBSERVER.search(name):
            aside.setdefault("tensors of quantization observers", []).append(name)
        elif quantized and _QUANTIZER.search(name) and _shape(sources[name], candidate).numel() == 1:
            aside.setdefault("scales and zero points of quantized layers", []).append(name)
    return aside


def same_numbers(one: Fit, other: Fit) -> bool:
    """Say whether two fits would load the same numbers."""
    if set(one.matched) != set(other.matched):
        return False
    return all(_equal(one.value(name), other.value(name)) for name in one.matched)


def _equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Compare two tensors of one shape, NaN equal to NaN."""
    if one is other or (one.dtype == other.dtype and torch.equal(one, other)):
        return True
    if one.shape != other.shape:
        return False
    return bool(((one == other) | (one.isnan() & other.isnan())).all())
