"""Which state dict of a file is meant: the one that fits best, and never one of several by chance."""

from __future__ import annotations

from dataclasses import dataclass, replace

from featreport.checkpoints import layout
from featreport.checkpoints.layout import Candidate
from featreport.checkpoints.match import Expected, Fit, fit, same_numbers
from featreport.checkpoints.tolerance import Tolerance

MAX_ALTERNATIVES = 20


@dataclass(frozen=True)
class Choice:
    """The best fit; `rivals` are the keys to choose from where it is not the only one, itself included.

    `alternatives` are the keys of the file's other state dicts that fit in part or whole.
    """

    best: Fit
    alternatives: list[str]
    rivals: list[str]


def choose(expected: Expected, found: list[Candidate], key: str | None, tolerance: Tolerance) -> Choice:
    """Return the state dict that `key` names, without one the best fit in the file.

    Raises:
        CheckpointError: `key` names none.
    """
    wanted = found if key is None else layout.forced(found, key)
    known: dict[int, Fit] = {}
    fits = [_fit(expected, candidate, known) for candidate in wanted]
    best = min(fits, key=lambda one: _rank(one, tolerance))
    equals = [best, *(one for one in fits if _rivals(best, one, tolerance))]
    if not best.weight or not best.whole(tolerance):
        for candidate in layout.joined(found if key is None else layout.at_or_below(found, key)):
            together = fit(expected, candidate)
            if together.weight > best.weight:
                best, equals = together, [together]
            elif best.candidate.joined and _rivals(best, together, tolerance):
                equals.append(together)
    others = fits if key is None else [_fit(expected, one, known) for one in found]
    return Choice(best, _alternatives(best, others), _keys(equals) if best.whole(tolerance) else [])


def _fit(expected: Expected, candidate: Candidate, known: dict[int, Fit]) -> Fit:
    """Return the fit of `candidate`, found once for all the places where the same tensors stand."""
    one = known.get(id(candidate.tensors))
    if one is None:
        one = known[id(candidate.tensors)] = fit(expected, candidate)
    return one if one.candidate is candidate else replace(one, candidate=candidate)


def _rank(one: Fit, tolerance: Tolerance) -> tuple[int, bool, int, int]:
    """Order fits: the most matches first; then what may be loaded, with the least left over."""
    size = 0 if one.weight else -len(one.candidate.tensors)
    return -one.weight, not one.accepted(tolerance), len(one.unexpected), size


def _rivals(best: Fit, other: Fit, tolerance: Tolerance) -> bool:
    """Say whether `other` fits as well as `best` with other numbers."""
    if other is best or other.weight != best.weight or not best.weight:
        return False
    if not other.whole(tolerance) or other.accepted(tolerance) != best.accepted(tolerance):
        return False
    return not same_numbers(best, other)


def _keys(equals: list[Fit]) -> list[str]:
    keys = list(dict.fromkeys(key for one in equals for key in one.keys))
    return keys if len(keys) > 1 else []


def _alternatives(best: Fit, others: list[Fit]) -> list[str]:
    chosen = best.candidate
    fitting = [one for one in others if one.weight and not (chosen.joined and _inside(one.candidate, chosen))]
    keys = dict.fromkeys(key for one in fitting if one.candidate is not chosen for key in one.keys)
    return [key for key in keys if key != chosen.shown][:MAX_ALTERNATIVES]


def _inside(one: Candidate, other: Candidate) -> bool:
    return one.place[: len(other.place)] == other.place
