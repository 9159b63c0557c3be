"""The arithmetic of limits: exact, on the numbers as the results write them."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from featreport.plan.types import CheckPlan
from featreport.results.schema import OF_COMPARISON

Bound = Literal["at most", "at least", "exactly", "below"]


@dataclass(frozen=True)
class Breach:
    """The limit a number breaks, and by how much."""

    bound: Bound
    limit: float
    excess: Fraction


def exact(value: float) -> Fraction:
    """Return the decimal number that `value` is written as, so that 0.8 − 0.7 is 0.1 and not a little more."""
    return Fraction(repr(value))


def tolerance(absolute: float | None, relative: float | None, baseline: float) -> Fraction:
    """Return how much more than the baseline's a number may be: max(absolute, relative × |baseline|)."""
    return max(exact(absolute or 0), exact(relative or 0) * abs(exact(baseline)))


def compares(check: CheckPlan) -> bool:
    """Say whether a check needs a baseline."""
    return (
        check.metric in OF_COMPARISON
        or check.max_increase is not None
        or check.max_relative_increase is not None
    )


def stands_alone(check: CheckPlan) -> bool:
    """Say whether a check has a limit that needs no baseline."""
    limits = (check.min, check.max, check.equals, check.below)
    return check.metric not in OF_COMPARISON and any(limit is not None for limit in limits)


def breach(check: CheckPlan, value: float, baseline: float | None) -> Breach | None:
    """Return the limit that `value` breaks by most, or None; without a baseline, increases are not judged."""
    number = exact(value)
    uppers: list[tuple[Bound, Fraction]] = []
    if check.max is not None:
        uppers.append(("at most", exact(check.max)))
    if baseline is not None and compares(check):
        allowed = tolerance(check.max_increase, check.max_relative_increase, baseline)
        uppers.append(("at most", exact(baseline) + allowed))
    found = [Breach(bound, _float(limit), number - limit) for bound, limit in uppers if number > limit]
    if check.min is not None and number < exact(check.min):
        found.append(Breach("at least", check.min, exact(check.min) - number))
    if check.equals is not None and number != exact(check.equals):
        found.append(Breach("exactly", check.equals, abs(number - exact(check.equals))))
    if check.below is not None and number >= exact(check.below):
        found.append(Breach("below", check.below, number - exact(check.below)))
    return max(found, key=lambda one: one.excess, default=None)


def _float(number: Fraction) -> float:
    try:
        return float(number)
    except OverflowError:
        return sys.float_info.max if number > 0 else -sys.float_info.max
