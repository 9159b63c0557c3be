"""The manifest's checks and its baseline → which rules hold for which runs, and what they are compared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any, Literal

from featreport.manifest import Check, Manifest
from featreport.manifest.metrics import find
from featreport.manifest.scalars import did_you_mean, quote
from featreport.plan.elsewhere import Find
from featreport.plan.files import absolute, elsewhere
from featreport.plan.packages import NotFoundError
from featreport.plan.types import BaselineRef, CheckPlan, RunPlan
from featreport.remote import is_remote

Complain = Callable[[str, str], None]
Which = Literal["latest", "best"]
BUILDS: tuple[Which, ...] = ("latest", "best")


def checks_of(
    manifest: Manifest, runs: Sequence[RunPlan], complain: Complain, *, sound: bool
) -> tuple[CheckPlan, ...]:
    """Return the manifest's checks, or the default set where it says nothing of any.

    Args:
        manifest: what is written.
        runs: every run it asks for.
        complain: notes a problem at a path of the document.
        sound: whether `runs` are all that is meant; if not, what is not found among them may still be there.
    """
    if manifest.checks is None:
        return default(runs)
    models = list(dict.fromkeys(model.name for model in manifest.models))
    checks = []
    for index, written in enumerate(manifest.checks):
        meant = tuple(run.id for run in runs if _is_meant(run, written.models))
        known = [*models, *(run.id for run in runs)]
        if not meant and sound and written.models not in models:
            hint = did_you_mean(written.models, known) or f" (there are: {', '.join(models)})"
            complain(f"checks[{index}].models", f"no model or run matches {quote(written.models)}{hint}")
        checks.append(_check(written, f"checks[{index}]", meant))
    return tuple(checks)


def _is_meant(run: RunPlan, glob: str) -> bool:
    return fnmatchcase(run.model, glob) or fnmatchcase(run.id, glob)


def _check(written: Check, place: str, runs: tuple[str, ...]) -> CheckPlan:
    metric = find(written.metric)
    return CheckPlan(
        place=place,
        metric=written.metric,
        runs=runs,
        level=written.level,
        scope=written.scope or (metric.of if metric else "layer"),
        layers=written.layers,
        min=written.min,
        max=written.max,
        equals=written.equals,
        max_increase=written.max_increase,
        max_relative_increase=written.max_relative_increase,
    )


def default(runs: Sequence[RunPlan]) -> tuple[CheckPlan, ...]:
    """Return the checks of a manifest without any; they warn, so that a first report does not fail by surprise."""
    every = tuple(run.id for run in runs)
    nets = tuple(run.id for run in runs if run.source.kind != "none")

    def check(
        metric: str, scope: Literal["layer", "run"] = "run", of: tuple[str, ...] = every, **more: Any
    ) -> CheckPlan:
        return CheckPlan("", metric, of, "warn", scope, **{"max": 0.0, **more})

    rules = (
        check("activations.nonfinite", "layer", nets),
        check("weights.nonfinite", "layer"),
        # evaluation does not use BatchNorm's counter, which old files lack
        check("load.missing", ignore=("*num_batches_tracked",)),
        check("load.unexpected"),
        check("load.mismatched"),
        check("load.untrained"),
        check("activations.dead_fraction", "layer", nets, max=None, below=1.0, rectifiers=True),
    )
    return tuple(replace(rule, place=f"default[{index}]") for index, rule in enumerate(rules))


def baseline_of(
    manifest: Manifest, runs: Sequence[RunPlan], complain: Complain, find: Find, *, sound: bool
) -> BaselineRef | None:
    """Return the baseline; a run's id goes before a file of that name.

    `find` tells what an address names; the other arguments are as for `checks_of`.
    """
    if manifest.compare is None or manifest.compare.baseline is None:
        return None
    text, where = manifest.compare.baseline, "compare.baseline"
    mark = manifest.problem(where, "")
    place = f"{mark.place} {where}"
    if any(run.id == text for run in runs):
        return BaselineRef(text, place, run=text)
    for which in BUILDS:
        if text == which:
            return _of_history(manifest, which, place, complain)
    if is_remote(text):
        try:
            found, *more = elsewhere(text, find)
        except NotFoundError as error:
            complain(where, str(error))
            return None
        if more:
            complain(where, f"expected one file of results, got {1 + len(more)} files")
            return None
        return BaselineRef(found.name, place, path=found.path, url=found.url)
    path = absolute(text, manifest.folder_of(where))
    if path.is_file():
        try:
            with path.open("rb") as file:
                file.read(1)
        except OSError as error:
            complain(where, f"{quote(text)} cannot be read ({error.strerror})")
        return BaselineRef(text, place, path=path)
    if path.is_dir():
        complain(where, f"expected a run id or a file of results, got the folder {quote(text)}")
    elif sound:
        hint = did_you_mean(text, [run.id for run in runs])
        complain(where, f"neither a run of this manifest nor a file: {quote(text)}{hint}")
    return None


def _of_history(manifest: Manifest, text: Which, place: str, complain: Complain) -> BaselineRef | None:
    asked = manifest.compare
    if asked is None:
        return None
    if manifest.history is None:
        complain("compare.baseline", f"{text} is a build of the history: add 'history: DIR'")
        return None
    if text == "best" and asked.metric is None:
        complain("compare.baseline", "the best in what? Add 'metric: dead_fraction'")
        return None
    return BaselineRef(text, place, history=text, metric=asked.metric or "", higher=asked.better == "higher")
