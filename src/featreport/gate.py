"""Checks around a build: the earlier results they compare with, and the files that carry their outcomes."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from featreport.errors import ManifestError, ResultsError
from featreport.plan.types import BaselineRef, Plan
from featreport.report import formats
from featreport.results import codec, schema
from featreport.results.builds import Past, best, digests_of, latest
from featreport.results.grams import Grams
from featreport.results.history import History
from featreport.results.reference import numbers_of
from featreport.results.schema import Results, Run
from featreport.results.store import check_writable, write_atomically

if TYPE_CHECKING:
    from featreport.judge.checks.baseline import Baselines, Earlier

FailOn = Literal["error", "warn"]
SHOWN = 100  # earlier builds that a report tells of
SUMMARY = "GITHUB_STEP_SUMMARY"  # the file a job's summary is gathered in


def earlier(plan: Plan) -> Results | None:
    """Return the results that the manifest compares with, where it names a file of them.

    Raises:
        ManifestError: the file holds none.
    """
    if plan.baseline is None or plan.baseline.path is None or not plan.baseline.path.is_absolute():
        return None  # or of results elsewhere that were not fetched
    try:
        return codec.load(plan.baseline.path)
    except ResultsError as error:
        said = str(error).replace(str(plan.baseline.path), repr(plan.baseline.text))
        raise ManifestError(f"{plan.baseline.place}: {said}\n1 problem; nothing was run.") from None


def judged(plan: Plan, results: Results, before: Results | None, kept: History | None = None) -> Results:
    """Return the results with their past and the outcome of every check of the plan.

    Args:
        plan: what was built.
        results: what was measured.
        before: the earlier results that the manifest names.
        kept: the history that it names.
    """
    from featreport.judge.checks.baseline import Baselines
    from featreport.judge.checks.judging import outcomes

    past = kept.before(results) if kept is not None else ()
    asked = plan.baseline is not None and plan.baseline.history is not None
    chosen = (
        _chosen(plan.baseline, results, kept, past) if kept is not None and plan.baseline and asked else {}
    )
    where = Baselines(plan.baseline, results, before, chosen)
    told = outcomes(plan.checks, results, where)
    compared = [one for run in results.runs if (one := _compared(run, where)) is not None]
    builds = [build.build() for build in past[-SHOWN:]]
    history = (
        None if kept is None else schema.History(count=len(past), builds=builds, unreadable=kept.unreadable)
    )
    return results.model_copy(update={"checks": told, "compared": compared, "history": history})


def _compared(run: Run, where: Baselines) -> schema.Compared | None:
    """Return what a run's numbers are told against."""
    found = where.find(run)
    if found is None:
        return None
    told: dict[str, Any] = {"run": run.id, "baseline": found.text, "itself": found.itself}
    if found.run is not None:
        inside = found.source is where.results
        told["within"], told["before"] = (found.run.id, None) if inside else (None, numbers_of(found.run))
    reasons = (where.reason(run, found, weights_only=alone) or None for alone in (False, True))
    told["reason"], told["weights_reason"] = reasons
    return schema.Compared(**told)


def _chosen(ref: BaselineRef, results: Results, kept: History, past: tuple[Past, ...]) -> dict[str, Earlier]:
    """Return for each run the newest, or the best, build of it that can be read, or why there is none.

    Of the best, those that cannot be compared come last: after a change of the images an older best would never be
    comparable again.
    """
    from featreport.judge.checks.baseline import Earlier
    from featreport.judge.compare.comparable import obstacles

    digests = digests_of(results)
    read: dict[int, Results | None] = {}
    found: dict[str, Earlier] = {}
    for run in results.runs:
        order = (
            latest(past, run.id, digests[run.id])
            if ref.history == "latest"
            else best(past, run.id, digests[run.id], ref.metric, higher=ref.higher)
        )
        found[run.id] = Earlier("", reason=_nothing(ref, run.id, kept, past, bool(order)))
        for build in order:
            if build.number not in read:
                read[build.number] = kept.load(build)
            earlier = read[build.number]
            before = next((one for one in earlier.runs if one.id == run.id), None) if earlier else None
            if earlier is None or before is None:
                continue
            chosen = Earlier(f"build {build.number} of the history ({ref.history})", earlier)
            if ref.history == "latest" or not obstacles((earlier, before), (results, run)):
                found[run.id] = chosen
                break
            if found[run.id].results is None:
                found[run.id] = chosen
    return found


def _nothing(ref: BaselineRef, run: str, kept: History, past: tuple[Past, ...], readable: bool) -> str:
    """Say why a run has no earlier build; the empty string: the history holds no build but this very one."""
    others = [build for build in kept.builds if build in past or not build.digests.keys() & {run}]
    damaged = f"; {formats.plural(kept.unreadable, 'file')} of it cannot be read" if kept.unreadable else ""
    if readable:
        return f"no build of {run} in the history can be read"
    with_run = [build for build in past if build.run(run) is not None]
    if with_run and ref.history == "best":
        return f"no build of {run} in the history that passed has a finite {ref.metric}{damaged}"
    if with_run:
        return f"no build of {run} in the history passed{damaged}"
    if not others:
        return damaged.removeprefix("; ")
    names = sorted({name for build in others[-1:] for name in build.digests})
    return f"the history has no build of {run} (one of it has {', '.join(names) or 'no run'}){damaged}"


def with_similarities(plan: Plan, results: Results, grams: Mapping[str, Grams]) -> Results:
    """Return the results with how alike each run and the baseline, or the first run, see the same images."""
    sound = [run for run in results.runs if run.status == "ok" and run.id in grams]
    if not plan.cka or not sound:
        return results
    from featreport.judge.similarity import similarity

    named = plan.baseline.run if plan.baseline is not None else None
    first = next((run for run in sound if run.id == named), sound[0])
    pairs = [
        similarity(first, other, (grams[first.id], grams[other.id])) for other in sound if other is not first
    ]
    return results.model_copy(update={"similarities": pairs})


def verdict(results: Results) -> str:
    """Return the build's verdict in one line, with how the manifest's own checks went unless all passed."""
    from featreport.judge import checks, judge

    own = [outcome for outcome in results.checks if not outcome.default]
    told = checks.headline(own) if any(one.severity != "ok" for one in own) else ""
    return f"{judge(results).sentence} {told}".rstrip()


def exit_code(results: Results, fail_on: FailOn = "error") -> int:
    """Return the exit code of the contract: 0 fine, 1 a check or finding at `fail_on`, 3 a run failed, 4 all did."""
    from featreport.judge import checks, judge

    failed = sum(run.status == "failed" for run in results.runs)
    if failed:
        return 4 if failed == len(results.runs) else 3
    warned = fail_on == "warn" and judge(results).level in {"warn", "fail"}
    return 1 if warned or checks.failing(results.checks, fail_on) else 0


def describe(plan: Plan) -> list[str]:
    """Return what is planned to be compared and checked, as lines for people; reads the earlier results.

    Raises:
        ManifestError: the file to compare with holds no results.
    """
    check_places(plan)
    before = earlier(plan)
    told = []
    if plan.history is not None:
        told.append(f"history   {formats.plural(len(History(plan.history).state()), 'file')} of builds")
    if plan.baseline is not None:
        what = "fetched when it is built" if plan.baseline.url else "a run of this build"
        what = what if before is None else f"{len(before.runs)} earlier runs"
        if plan.baseline.history is not None:
            what = "for each run an earlier build of the history"
        told.append(f"baseline  {plan.baseline.text} ({what})")
    own = [check for check in plan.checks if not check.place.startswith("default")]
    told.append(
        f"checks    {len(own)}" if own or not plan.checks else "checks    the default set, which warns"
    )
    return told


def check_places(plan: Plan) -> None:
    """Refuse a build that would write over what it reads.

    Raises:
        ManifestError: the report lies in the history's folder, or is the baseline.
    """
    if plan.history is not None and plan.history.is_file():
        raise ManifestError(f"history: {plan.history} is a file, not a folder; nothing was run.")
    if plan.history is not None and plan.output.parent.resolve() == plan.history.resolve():
        raise ManifestError("output: the report may not lie in the history's folder; nothing was run.")
    own = {plan.output.resolve(), plan.results.resolve()}
    if plan.baseline is not None and plan.baseline.path is not None and plan.baseline.path.resolve() in own:
        raise ManifestError(
            f"{plan.baseline.place}: {plan.baseline.text} is what this build writes: the next would be compared with "
            "itself. Keep builds with 'history: DIR' and 'compare: {baseline: latest}'; nothing was run."
        )


def check_files(plan: Plan, **files: Path | None) -> None:
    """Prove, before anything is run, that the files asked for can be written and overwrite nothing of the build.

    Raises:
        ManifestError: two outputs are one file.
        OutputError: one cannot be written.
    """
    taken = {plan.output.resolve(): "the report", plan.results.resolve(): "its results"}
    for option, path in files.items():
        if path is None:
            continue
        whole = path.resolve()
        if plan.history is not None and whole.parent == plan.history.resolve():
            raise ManifestError(f"--{option}: may not lie in the history's folder; nothing was run.")
        if whole in taken:
            raise ManifestError(f"--{option}: {str(path)!r} is {taken[whole]} as well; nothing was run.")
        taken[whole] = f"the file of --{option}"
        check_writable(whole)


def tell(
    results: Results, *, junit: Path | None = None, markdown: Path | None = None, fail_on: FailOn = "error"
) -> None:
    """Tell the outcomes: what did not pass on standard error, JUnit XML and Markdown in files, each whole or not.

    The Markdown is also added to a job's summary, where there is one.

    Raises:
        OutputError: a file could not be written. A job's summary that cannot be is only mentioned.
    """
    from featreport.judge import checks, reports

    for line in checks.lines(results.checks):
        print(line, file=sys.stderr)
    if junit is not None:
        write_atomically(junit.absolute(), reports.junit(results, fail_on))
    summary = os.environ.get(SUMMARY)
    if markdown is None and not summary:
        return
    text = reports.markdown(results)
    if markdown is not None:
        write_atomically(markdown.absolute(), text)
    if summary:
        try:
            with Path(summary).open("a", encoding="utf-8") as file:
                file.write(f"{text}\n")
        except (OSError, ValueError) as error:
            print(f"{SUMMARY}: cannot be written: {error}", file=sys.stderr)
