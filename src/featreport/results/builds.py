"""Builds of a history: which of them are this very build, and which of them another is held against."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from featreport.results.frozen import Frozen
from featreport.results.schema import PastBuild, PastRun, Results

NUMBERS = ("activations", "weights", "buffers", "norms")  # of a run: what is measured


class Head(Frozen):
    """The first line of a file: what was built, in a few numbers."""

    runs: list[PastRun]


@dataclass(frozen=True)
class Past:
    """One build of the history: its place in it, its file's name, and its headline numbers."""

    number: int
    name: str
    head: Head

    def run(self, name: str) -> PastRun | None:
        """Return the headline of a run that succeeded."""
        return next((run for run in self.head.runs if run.id == name and run.status == "ok"), None)

    @property
    def digests(self) -> dict[str, str]:
        """The digest of each run's numbers."""
        return {run.id: run.digest for run in self.head.runs}

    def build(self) -> PastBuild:
        """Return it as results tell of it."""
        return PastBuild(number=self.number, runs=self.head.runs)


def digests_of(results: Results) -> dict[str, str]:
    """Return by run a digest of its numbers and of the images and thresholds they are of.

    Pictures, the page, notes, the kind of device and the batch do not count: they may change what is seen or the last
    bits, but a build that only shows more is no new measurement.
    """
    thresholds = results.thresholds.model_dump(mode="python")
    return {
        run.id: digest_of(
            {
                "status": run.status,
                "images": [file.sha256 for file in run.images.files],
                "numbers": {
                    name: [item.model_dump(mode="python") for item in getattr(run, name)] for name in NUMBERS
                },
                "thresholds": thresholds,
            }
        )
        for run in results.runs
    }


def latest(builds: Sequence[Past], run: str, digest: str) -> list[Past]:
    """Return the builds in which this run succeeded and its checks passed, newest first.

    Args:
        builds: oldest first.
        run: id of the run.
        digest: of its numbers now: the newest builds that have the same are this one, made again.
    """
    return list(reversed(_accepted(builds, run, digest)))


def best(builds: Sequence[Past], run: str, digest: str, metric: str, *, higher: bool) -> list[Past]:
    """Return the same builds, the best first, of equals the newest; those with non-finite numbers are none.

    Args:
        builds: oldest first.
        run: id of the run.
        digest: as for `latest`.
        metric: a field of `PastRun`, e.g. "dead_fraction".
        higher: whether a larger number is a better one.
    """
    sign = -1.0 if higher else 1.0
    ranked = []
    for build in _accepted(builds, run, digest):
        told = build.run(run)
        value = getattr(told, metric, None)
        if told is not None and value is not None and (not told.nonfinite or metric == "nonfinite"):
            ranked.append((sign * value, -build.number, build))
    return [build for *_, build in sorted(ranked, key=lambda entry: entry[:2])]


def _accepted(builds: Sequence[Past], run: str, digest: str) -> list[Past]:
    """Return the builds in which a run succeeded and its checks passed, without the newest that repeat it.

    A run that measured the same in all of them, as others changed beside it, is held against these: it stayed.
    """
    with_run = [build for build in builds if run in build.digests]
    repeated: list[Past] = []
    while with_run and with_run[-1].digests[run] == digest:
        repeated.insert(0, with_run.pop())
    return _passed(with_run, run) or _passed(repeated, run)


def _passed(builds: Sequence[Past], run: str) -> list[Past]:
    return [build for build in builds if (told := build.run(run)) is not None and told.passed]


def repeats(build: Past, digests: Mapping[str, str]) -> bool:
    """Say whether a build measured the same in every run that both have."""
    return all(digests[run] == digest for run, digest in build.digests.items() if run in digests)


def digest_of(told: object) -> str:
    """Return a digest of plain values, by their JSON."""
    text = json.dumps(told, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
