"""Which run another is compared with, and whether the two can be compared at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from featreport.judge.checks.reading import parts
from featreport.judge.compare.comparable import obstacles
from featreport.plan.types import BaselineRef, CheckPlan
from featreport.results.schema import Results, Run

WEIGHTS_ALONE = {"weights", "buffers", "norms", "load"}  # groups of numbers that no image has touched,
OF_WEIGHTS = {  # and single ones
    "run.parameters",
    *(f"summary.{name}" for name in ("weights", "near_zero_weights", "near_zero_fraction", "zero_weights")),
    *(f"summary.{name}" for name in ("zero_fraction", "dead_filters")),
}


def _of_weights(metric: str) -> bool:
    return parts(metric)[0] in WEIGHTS_ALONE or metric in OF_WEIGHTS


@dataclass(frozen=True)
class Baseline:
    """What a run is compared with; without `run`, `reason` says why there is nothing.

    `itself`: it is the baseline. `first`: it is the first build of a history, which warns and fails nothing.
    """

    text: str
    run: Run | None = None
    reason: str = ""
    itself: bool = False
    first: bool = False
    source: Results | None = None  # where `run` stands


@dataclass(frozen=True)
class Earlier:
    """The build of a history that a run is compared with; without results `reason` says why there is none.

    Without a reason as well the history is empty: this is its first build.
    """

    text: str
    results: Results | None = None
    reason: str = ""


@dataclass(frozen=True)
class Baselines:
    """Where baselines are found: in these results, in earlier ones, or in a history."""

    ref: BaselineRef | None
    results: Results
    earlier: Results | None = None
    chosen: Mapping[str, Earlier] = field(default_factory=dict)  # of the history, by run

    def of(self, run: Run, check: CheckPlan) -> Baseline | None:
        """Return what `run` is compared with in this check; None where the manifest names no baseline."""
        found = self.find(run)
        if found is None or found.run is None:
            return found
        reason = self.reason(run, found, weights_only=_of_weights(check.metric))
        return replace(found, run=None, source=None, reason=reason) if reason else found

    def find(self, run: Run) -> Baseline | None:
        """Return the baseline of `run`, whether or not the two can be compared."""
        if self.ref is None:
            return None
        found = self._of_history(run, self.ref.history) if self.ref.history else self._of(run, self.ref)
        if found.run is not None and found.run.status == "failed":
            return Baseline(found.text, reason=f"the baseline {found.text} failed")
        return found

    def reason(self, run: Run, found: Baseline, *, weights_only: bool) -> str:
        """Return why the numbers of `run` and of its baseline cannot be compared; empty: they can."""
        if found.run is None or found.source is None:
            return found.reason
        different = obstacles((found.source, found.run), (self.results, run), weights_only=weights_only)
        return "; ".join(f"{one.what}: {one.after}, baseline {one.before}" for one in different)

    def _of(self, run: Run, ref: BaselineRef) -> Baseline:
        source = self.results if ref.run is not None else self.earlier
        if source is None:
            return Baseline(ref.text, reason=f"the baseline {ref.text} was not read")
        if ref.run == run.id:
            return Baseline(ref.text, itself=True)
        if ref.run is not None:
            found = next((one for one in source.runs if one.id == ref.run), None)
            text, missing = ref.text, f"the baseline {ref.text} is not among the runs of this build"
        else:
            same = [one for one in source.runs if one.id == run.id]
            alone = len(source.runs) == len(self.results.runs) == 1  # then either is what is meant
            found = same[0] if same else source.runs[0] if alone else None
            text = ref.text if found is None else f"{found.id} of {ref.text}"
            missing = f"{ref.text} has no run {run.id}"
        return Baseline(text, reason=missing) if found is None else Baseline(text, found, source=source)

    def _of_history(self, run: Run, which: str) -> Baseline:
        earlier = self.chosen.get(run.id, Earlier(""))
        found = (
            next((one for one in earlier.results.runs if one.id == run.id), None) if earlier.results else None
        )
        if found is None:
            first = not earlier.reason
            return Baseline(which, reason=earlier.reason or "the history has no earlier build", first=first)
        return Baseline(earlier.text, found, source=earlier.results)
