"""What tests of checks share: small results with any numbers, checks on them, and their outcomes."""

from __future__ import annotations

from typing import Any

import sample_results as samples
from featreport.judge.checks.baseline import Baselines
from featreport.judge.checks.judging import outcomes
from featreport.plan.types import BaselineRef, CheckPlan
from featreport.results.schema import Activation, CheckOutcome, Results, Run

HERE = BaselineRef("net/before", "config.yaml:1:1 compare.baseline", run="net/before")
EARLIER = BaselineRef("old.json", "config.yaml:1:1 compare.baseline", path=None)


def tap(layer: str, dead: list[int] | None = None, channels: int = 8, **more: Any) -> Activation:
    return samples.activation(layer, channels, 1, dead=dead, **more)


def run(run_id: str, *taps: Activation, **more: Any) -> Run:
    """Return a run with these taps and no picture."""
    base = samples.run(run_id, {}, {}, layers=1)
    fields = {"activations": list(taps), "summary": samples.summary(list(taps), base.weights), "maps": []}
    return base.model_copy(update={**fields, "kernels": None, **more})


def check(metric: str = "activations.dead", runs: tuple[str, ...] = ("net/now",), **more: Any) -> CheckPlan:
    return CheckPlan(place="checks[0]", metric=metric, runs=runs, **more)


def judged(
    checks: CheckPlan | list[CheckPlan], *runs: Run, baseline: BaselineRef | None = None, before: Any = None
) -> list[CheckOutcome]:
    checks = checks if isinstance(checks, list) else [checks]
    results = samples.results(list(runs))
    return outcomes(checks, results, Baselines(baseline, results, before))


def against(checks: CheckPlan | list[CheckPlan], now: Run, before: Run) -> CheckOutcome:
    """Return the one outcome of `now` compared with `before` in the same build."""
    (found,) = judged(checks, before, now, baseline=HERE)
    return found


def with_outcomes(checks: list[CheckPlan], *runs: Run, baseline: BaselineRef | None = None) -> Results:
    results = samples.results(list(runs))
    return results.model_copy(update={"checks": outcomes(checks, results, Baselines(baseline, results))})
