"""Checks and results → outcomes: one for each check and run it is meant for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fractions import Fraction
from typing import Any

from featreport.judge.checks.baseline import Baseline, Baselines
from featreport.judge.checks.change import changed, same, summed
from featreport.judge.checks.limits import breach, compares, exact, stands_alone
from featreport.judge.checks.reading import Key, Reading, keys_of, names, parts, readings, total
from featreport.plan.types import CheckPlan
from featreport.results.schema import OF_COMPARISON, CheckItem, CheckOutcome, Results, Run

LIMITS = ("min", "max", "equals", "below", "max_increase", "max_relative_increase")
_VERDICTS = ("failed", "missing", "new")
_ITSELF = "this run is the baseline"


def outcomes(
    checks: Sequence[CheckPlan],
    results: Results,
    where: Baselines | None = None,
) -> list[CheckOutcome]:
    """Return what every check says of every run it is meant for, in the manifest's order.

    Args:
        checks: the plan's.
        results: what was measured.
        where: what the runs are compared with.
    """
    where = where or Baselines(None, results)
    return [outcome for check in checks for outcome in _of_check(check, results, where)]


def _of_check(check: CheckPlan, results: Results, where: Baselines) -> Iterator[CheckOutcome]:
    runs = [run for run in results.runs if run.id in check.runs]
    text = where.ref.text if where.ref else None
    if not runs and check.runs:
        yield _skipped(check, "", "none of its runs is part of this build (--only)", baseline=text)
    done = [run for run in runs if run.status == "ok"]
    found = {run.id: readings(check, run) for run in done}
    nowhere = not any(found.values()) and any(names(check, run) for run in done)
    key = parts(check.metric)[2]
    keys = {known for run in done for known in keys_of(check, run)}
    all_seen = len(done) == len(check.runs)
    for run in runs:
        if run.status == "failed":
            stage = run.error.stage if run.error else "unknown"
            yield _skipped(check, run.id, f"the run failed at the {stage} stage", baseline=text)
        elif key and keys and key not in keys:
            near = get_close_matches(key, keys, n=1) or sorted(keys)
            reason = f"{check.metric}: there is no {key!r}; did you mean {near[0]!r}?"
            yield _outcome(check, run.id, verdict="failed", severity="error", reason=reason)
        elif nowhere and all_seen and not check.rectifiers and names(check, run):
            yield _unmatched(check, run)
        else:
            yield _Judge(check, run, found[run.id], where.of(run, check)).outcome()


def _unmatched(check: CheckPlan, run: Run) -> CheckOutcome:
    """Return the failure of a check whose `layers` match nothing in any of its runs."""
    near = get_close_matches(check.layers, names(check, run), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return _outcome(
        check, run.id, verdict="failed", severity="error", reason=f"no layer matches {check.layers!r}{hint}"
    )


def _skipped(check: CheckPlan, run: str, reason: str, *, counts: bool = False, **more: Any) -> CheckOutcome:
    severity = check.level if counts else "ok"
    return _outcome(check, run, verdict="skipped", severity=severity, reason=reason, **more)


def _outcome(check: CheckPlan, run: str, **more: Any) -> CheckOutcome:
    limits = {name: getattr(check, name) for name in LIMITS if getattr(check, name) is not None}
    return CheckOutcome(
        place=check.place, run=run, metric=check.metric, scope=check.scope, layers=check.layers,
        level=check.level, limits=limits, **more,
    )  # fmt: skip


@dataclass(frozen=True)
class _Judge:
    """One check on one finished run."""

    check: CheckPlan
    run: Run
    found: list[Reading]
    baseline: Baseline | None

    def outcome(self) -> CheckOutcome:
        check, run = self.check, self.run
        text = self.baseline.text if self.baseline else None
        before = self._before()
        if not self.found and not (before and compares(check)):
            return _skipped(check, run.id, self._nothing(), baseline=text)
        if all(reading.value is None and not reading.lost for reading in self.found) and (
            stands_alone(check) or not any(reading.value is not None for reading in before.values())
        ):
            return _skipped(check, run.id, f"no {check.metric} was measured here", baseline=text)
        blocked = self._blocked(before)
        items = [*self._broken({} if blocked else before), *([] if blocked else self._moved(before))]
        items.sort(key=lambda item: (_VERDICTS.index(item.verdict), -_excess(item)))
        examined = sum(reading.value is not None for reading in self._judged(before))
        failed = any(item.verdict == "failed" for item in items)
        more: dict[str, Any] = {"baseline": text, "examined": examined, "items": items}
        if failed:
            return _outcome(check, run.id, verdict="failed", severity=check.level, reason=blocked, **more)
        if blocked == _ITSELF and stands_alone(check):
            return _outcome(check, run.id, verdict="passed", severity="ok", **more)
        if blocked:
            more["examined"] = 0
            if self.baseline is not None and self.baseline.first:
                return _outcome(check, run.id, verdict="skipped", severity="warn", reason=blocked, **more)
            return _skipped(check, run.id, blocked, counts=blocked != _ITSELF, **more)
        if any(item.verdict == "missing" for item in items):
            return _outcome(check, run.id, verdict="warned", severity="warn", **more)
        return _outcome(check, run.id, verdict="passed", severity="ok", **more)

    def _nothing(self) -> str:
        group = parts(self.check.metric)[0]
        if names(self.check, self.run):
            what = (
                "has no rectifier"
                if self.check.rectifiers
                else f"has no layer that matches {self.check.layers!r}"
            )
            return f"this run {what}"
        return f"this run has no {group}"

    def _before(self) -> dict[Key, Reading]:
        """Return the baseline's numbers by their key; nothing where it has none that can be compared."""
        if self.baseline is None or self.baseline.run is None:
            return {}
        return {reading.key: reading for reading in readings(self.check, self.baseline.run)}

    def _blocked(self, before: Mapping[Key, Reading]) -> str:
        """Return why an increase cannot be judged; empty: it can, or is not asked for."""
        if not compares(self.check):
            return ""
        if self.baseline is None:
            return "not comparable: there is no baseline"
        if self.baseline.itself:
            return _ITSELF
        if self.baseline.run is None:
            return f"not comparable: {self.baseline.reason}"
        if not any(self._has(before, reading) for reading in self.found):
            metric = self.check.metric
            part = "tensor" if OF_COMPARISON.get(metric, metric).startswith("weights") else "layer"
            return f"not comparable: no {part} in common with {self.baseline.text}"
        return ""

    def _judged(self, before: Mapping[Key, Reading]) -> list[Reading]:
        """Return the numbers that are held against the limits."""
        if self.check.metric in OF_COMPARISON:
            found = changed(self.check.metric, self.found, before)
            return [summed(found)] if self._summed() else found
        return [total(self.found)] if self._summed() else self.found

    def _has(self, side: Mapping[Key, Reading], reading: Reading) -> bool:
        """Say whether a side has a layer, such that the two can be compared."""
        return same(reading, side) if self.check.metric in OF_COMPARISON else reading.key in side

    def _summed(self) -> bool:
        return self.check.scope == "run" and any(reading.layer for reading in self.found)

    def _broken(self, before: Mapping[Key, Reading]) -> Iterator[CheckItem]:
        """Yield the numbers that break a limit."""
        judged, over_layers = self._judged(before), self._summed()
        if self.check.metric in OF_COMPARISON:
            before = {}  # it is reckoned in
        if over_layers and before:
            grown = tuple(
                reading.layer
                for reading in self.found
                if (reading.value or 0) > ((before[reading.key].value or 0) if reading.key in before else 0)
            )
            whole = total(before.values())
            before = {whole.key: replace(whole, entries=())}
        for reading in judged:
            base = before.get(reading.key)
            if reading.value is None:
                if reading.lost or (base is not None and base.value is not None):
                    yield CheckItem(
                        layer=reading.layer, call=reading.call, output=reading.output, verdict="failed",
                        observed=None, baseline=base.value if base else None,
                    )  # fmt: skip
                continue
            broken = breach(self.check, reading.value, base.value if base else None)
            if broken is None:
                continue
            entries = reading.entries
            if base is not None and base.value is not None and compares(self.check):
                entries = (
                    grown if over_layers else tuple(one for one in entries if one not in set(base.entries))
                )
            yield CheckItem(
                layer=reading.layer, call=reading.call, output=reading.output, verdict="failed",
                observed=reading.value, bound=broken.bound, limit=broken.limit,
                baseline=base.value if base else None,
                channels=[one for one in entries if isinstance(one, int)],
                names=[one for one in entries if isinstance(one, str)],
            )  # fmt: skip

    def _moved(self, before: Mapping[Key, Reading]) -> Iterator[CheckItem]:
        """Yield what the baseline has and this run lacks, and the other way about."""
        if not compares(self.check) or self.baseline is None or self.baseline.run is None:
            return
        here = {reading.key: reading for reading in self.found}
        there = {key: reading for key, reading in before.items() if reading.value is not None}
        for verdict, ours, theirs in (("missing", there, here), ("new", here, there)):
            for reading in ours.values():
                if not self._has(theirs, reading) and reading.value is not None:
                    value = None if self.check.metric in OF_COMPARISON else reading.value
                    observed, old = (value, None) if verdict == "new" else (None, value)
                    yield CheckItem(
                        layer=reading.layer, call=reading.call, output=reading.output,
                        verdict="new" if verdict == "new" else "missing", observed=observed, baseline=old,
                    )  # fmt: skip


def _excess(item: CheckItem) -> Fraction:
    if item.observed is None or item.limit is None:
        return Fraction(0)
    return abs(exact(item.observed) - exact(item.limit))
