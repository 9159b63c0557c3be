"""Runs one after the other in this process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from featreport.plan.types import Plan
from featreport.results.schema import Run

PICTURES = (600_000, 1_500_000)  # bytes of a run at least and at most: the page shows of them what fits


class Progress(Protocol):
    """Who wants to know how far a build is."""

    def run_started(self, run_id: str, number: int, of: int) -> None:
        """Run `number` (from 1) begins."""

    def images_done(self, done: int, of: int) -> None:
        """So many images of the current run have been seen."""

    def run_finished(self, run: Run) -> None:
        """The current run has its outcome."""


class Silent:
    """Nobody wants to know."""

    def run_started(self, run_id: str, number: int, of: int) -> None:
        """Do nothing."""

    def images_done(self, done: int, of: int) -> None:
        """Do nothing."""

    def run_finished(self, run: Run) -> None:
        """Do nothing."""


def execute(plan: Plan, progress: Progress) -> Iterator[tuple[Run, dict[str, str]]]:
    """Yield each run's outcome and its pictures, in the order of the plan."""
    from featreport.collect.device import choose_device
    from featreport.collect.run import execute_run
    from featreport.collect.session import Session

    device = choose_device(plan.device)
    budget = min(max(plan.max_bytes // max(1, len(plan.runs)), PICTURES[0]), PICTURES[1])
    session = Session(plan.runs)
    for number, run in enumerate(plan.runs, start=1):
        progress.run_started(run.id, number, len(plan.runs))
        outcome = execute_run(plan, run, device, budget, progress.images_done, session)
        progress.run_finished(outcome.run)
        yield outcome.run, outcome.pictures
