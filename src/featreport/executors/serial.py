"""Runs one after the other in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from featreport.collector import passed_over, uncollected
from featreport.plan.fingerprint import Hasher, key_of
from featreport.plan.types import Plan, RunPlan
from featreport.results.entries import Made, Store
from featreport.results.grams import Grams
from featreport.results.schema import Run

PICTURES = (600_000, 1_500_000)  # bytes of a run at least and at most: the page shows of them what fits


SLOW = (
    "The loops that read tensors were not compiled when featreport was installed: measuring takes several times as"
    " long. With a C compiler on this machine, install featreport again."
)


class Progress(Protocol):
    """Who wants to know how far a build is."""

    def run_started(self, run_id: str, number: int, of: int) -> None:
        """Run `number` (from 1) begins."""

    def images_done(self, done: int, of: int) -> None:
        """So many images of the current run have been seen."""

    def run_finished(self, run: Run) -> None:
        """The current run has its outcome."""

    def run_kept(self, run: Run, number: int, of: int) -> None:
        """Run `number` is as an earlier build left it."""

    def mention(self, line: str) -> None:
        """Something happened that is in no report."""


class Silent:
    """Nobody wants to know."""

    def run_started(self, run_id: str, number: int, of: int) -> None:
        """Do nothing."""

    def images_done(self, done: int, of: int) -> None:
        """Do nothing."""

    def run_finished(self, run: Run) -> None:
        """Do nothing."""

    def run_kept(self, run: Run, number: int, of: int) -> None:
        """Do nothing."""

    def mention(self, line: str) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class Outcome:
    """What came of one run, what it shows, and what made its numbers."""

    run: Run
    pictures: dict[str, str]
    made: Made
    grams: Grams | None = None
    kept: bool = False  # as an earlier build left it


def keys(plan: Plan, hasher: Hasher | None = None) -> tuple[str, ...]:
    """Return the key of every run: what its entry in the store stands under; `hasher` knows files read already."""
    hasher = hasher or Hasher()
    return tuple(key_of(plan, run, _budget(plan), hasher) for run in plan.runs)


def execute(
    plan: Plan,
    progress: Progress,
    store: Store | None = None,
    known: Sequence[str] = (),
) -> Iterator[Outcome]:
    """Yield each run's outcome, in the order of the plan; what the store holds is not measured again.

    Args:
        plan: the plan.
        progress: who listens.
        store: where finished runs are kept; None keeps none.
        known: the keys of the runs whose entries may be taken from it, "" for one that is to be measured anew.
    """
    kept = [store.read(key) if store is not None and key else None for key in known or [""] * len(plan.runs)]
    wanted = tuple(run for run, entry in zip(plan.runs, kept, strict=True) if entry is None)
    bench = _Bench(plan, wanted) if wanted else None
    if bench is not None and bench.is_slow:
        progress.mention(SLOW)
    with passed_over():  # torch's modules, mostly
        for number, (run, entry) in enumerate(zip(plan.runs, kept, strict=True), start=1):
            if entry is not None:
                progress.run_kept(entry.run, number, len(plan.runs))
                yield Outcome(entry.run, entry.pictures, entry.made, entry.grams, kept=True)
            elif bench is not None:
                progress.run_started(run.id, number, len(plan.runs))
                outcome = bench.measure(run, progress)
                progress.run_finished(outcome.run)
                yield outcome


class _Bench:
    """What measures runs: the device, the networks that are built already."""

    def __init__(self, plan: Plan, runs: tuple[RunPlan, ...]) -> None:
        with uncollected():  # this brings torch: a fifth of the time that takes is the collector's
            from featreport.collect.device import choose_device, describe
            from featreport.collect.job import DTYPES
            from featreport.collect.run import execute_run
            from featreport.collect.session import Session
            from featreport.collect.summary import definitions
            from featreport.statistics import Settings, engine

            self._device = choose_device(plan.device)
            device = describe(self._device)
            reduced_by = engine(self._device, DTYPES[plan.precision])
            self.is_slow = self._device.type == "cpu" and reduced_by == "torch"
        self._plan = plan
        self._execute = execute_run
        self._session = Session(runs)
        settings = Settings(plan.dead, plan.near_zero, plan.constant, alpha=plan.alpha)
        self._made = Made(device=device, engine=reduced_by, definitions=definitions(settings))

    def measure(self, run: RunPlan, progress: Progress) -> Outcome:
        """Run it from start to finish."""
        plan, listen = self._plan, progress.images_done
        found = self._execute(plan, run, self._device, _budget(plan), listen, self._session)
        return Outcome(found.run, found.pictures, self._made, found.grams)


def _budget(plan: Plan) -> int:
    """Return how many bytes of pictures each run may bring."""
    return min(max(plan.max_bytes // max(1, len(plan.runs)), PICTURES[0]), PICTURES[1])
