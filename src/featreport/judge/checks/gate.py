"""What the outcomes of checks mean for the exit code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from featreport.results.schema import CheckOutcome, Severity

_ORDER: tuple[Severity, ...] = ("error", "warn", "ok")


def failing(outcomes: Sequence[CheckOutcome], fail_on: Literal["error", "warn"] = "error") -> bool:
    """Say whether the exit code is 1: a check of level error failed, or with `fail_on` "warn" any."""
    return any(fails(outcome, fail_on) for outcome in outcomes)


def fails(outcome: CheckOutcome, fail_on: Literal["error", "warn"] = "error") -> bool:
    """Say the same of one outcome."""
    return outcome.severity == "error" or (fail_on == "warn" and outcome.severity == "warn")


def severities(outcomes: Sequence[CheckOutcome]) -> Counter[Severity]:
    """Return how many outcomes there are of each severity."""
    return Counter(outcome.severity for outcome in outcomes)


def worst_first(outcomes: Sequence[CheckOutcome]) -> list[CheckOutcome]:
    """Return the outcomes with those of level error first; the order within a level stays."""
    return sorted(outcomes, key=lambda outcome: _ORDER.index(outcome.severity))
