"""Which run another is compared with, and whether the two can be compared at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from featreport.judge.compare.comparable import obstacles
from featreport.plan.types import BaselineRef, CheckPlan
from featreport.results.schema import Results, Run

WEIGHTS_ALONE = {"weights", "buffers", "norms", "load"}  # groups of numbers that no image has touched


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


@dataclass(frozen=True)
class Earlier:
    """The build of a history that a run is compared with."""

    text: str
    results: Results


@dataclass(frozen=True)
class Baselines:
    """Where baselines are found: in these results, in earlier ones, or in a history."""

    ref: BaselineRef | None
    results: Results
    earlier: Results | None = None
    chosen: Mapping[str, Earlier] = field(default_factory=dict)  # of the history, by run

    def of(self, run: Run, check: CheckPlan) -> Baseline | None:
        """Return what `run` is compared with in this check; None where the manifest names no baseline."""
        if self.ref is None:
            return None
        if self.ref.history is not None:
            return self._of_history(run, check, self.ref.history)
        source = self.results if self.ref.run is not None else self.earlier
        if source is None:
            return Baseline(self.ref.text, reason=f"the baseline {self.ref.text} was not read")
        if self.ref.run is not None:
            found = next((one for one in source.runs if one.id == self.ref.run), None)
            text = self.ref.text
            missing = f"the baseline {text} is not among the runs of this build"
            if self.ref.run == run.id:
                return Baseline(text, itself=True)
        else:
            same = [one for one in source.runs if one.id == run.id]
            found = same[0] if same else source.runs[0] if len(source.runs) == 1 else None
            text = self.ref.text if found is None else f"{found.id} of {self.ref.text}"
            missing = f"{self.ref.text} has no run {run.id}"
        if found is None:
            return Baseline(text, reason=missing)
        return self._compared(run, check, text, found, source)

    def _of_history(self, run: Run, check: CheckPlan, which: str) -> Baseline:
        earlier = self.chosen.get(run.id)
        if earlier is None:
            return Baseline(which, reason=f"the history has no earlier build of {run.id}", first=True)
        found = next(one for one in earlier.results.runs if one.id == run.id)
        return self._compared(run, check, earlier.text, found, earlier.results)

    def _compared(self, run: Run, check: CheckPlan, text: str, found: Run, source: Results) -> Baseline:
        if found.status == "failed":
            return Baseline(text, reason=f"the baseline {text} failed")
        weights_only = check.metric.partition(".")[0] in WEIGHTS_ALONE
        different = obstacles((source, found), (self.results, run), weights_only=weights_only)
        if different:
            words = (f"{one.what}: {one.after}, baseline {one.before}" for one in different)
            return Baseline(text, reason="; ".join(words))
        return Baseline(text, found)
