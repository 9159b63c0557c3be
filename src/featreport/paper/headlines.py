"""The headline numbers in sentences: of each run, or their range where runs are many."""

from __future__ import annotations

from collections.abc import Sequence

from featreport.paper.sentences import Name, Sentence
from featreport.report import formats
from featreport.results.schema import Results, Run, Summary

EACH = 8  # runs whose headline is told one by one


def numbers(results: Results) -> list[Sentence]:
    """Return the headline of each run, or the range where there are many."""
    rectified = [(run, run.summary) for run in results.runs if run.summary and run.summary.channels]
    weighed = [(run, run.summary) for run in results.runs if run.summary and run.summary.weights]
    if len(results.runs) <= EACH:
        return [_of(run, run.summary) for run in results.runs if run.summary and _told(run.summary)]
    said: list[Sentence] = []
    if rectified:
        order = sorted(rectified, key=lambda pair: pair[1].dead_fraction or 0.0)
        said.append(_range("rectifier channels are dead", [(run, s.dead_fraction) for run, s in order]))
    if weighed:
        order = sorted(weighed, key=lambda pair: pair[1].near_zero_fraction or 0.0)
        said.append(_range("weights are near zero", [(run, s.near_zero_fraction) for run, s in order]))
    return said


def _told(summary: Summary) -> bool:
    return bool(summary.channels or summary.weights)


def _of(run: Run, summary: Summary) -> Sentence:
    parts = [_dead(summary)] if summary.channels else []
    parts += [_near(summary)] if summary.weights else []
    return (Name(run.id), f" has {' and '.join(parts)}.")


def _range(what: str, order: Sequence[tuple[Run, float | None]]) -> Sentence:
    (least, low), (most, high) = order[0], order[-1]
    text = f"Over {formats.plural(len(order), 'run')}, between {formats.percent(low)} ("
    return (text, Name(least.id), f") and {formats.percent(high)} (", Name(most.id), f") of the {what}.")


def _dead(summary: Summary) -> str:
    if not summary.dead_channels:
        return f"no dead channel among {formats.plural(summary.channels, 'rectifier channel')}"
    share = formats.percent(summary.dead_fraction)
    return f"{formats.part(summary.dead_channels, summary.channels)} rectifier channels dead ({share})"


def _near(summary: Summary) -> str:
    near, zero = formats.percent(summary.near_zero_fraction), formats.percent(summary.zero_fraction)
    return f"{near} of {formats.integer(summary.weights)} weights near zero, {zero} exactly zero"
