"""The headline numbers in sentences: of each run, or their range where runs are many."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from featreport.paper.sentences import Name, Sentence
from featreport.report import formats
from featreport.results.schema import Results, Run, Summary

EACH = 8  # runs whose headline is told one by one
Told = tuple[Run, Summary]


def numbers(results: Results) -> list[Sentence]:
    """Return the headline of each run, or the range where there are many."""
    told = [(run, run.summary) for run in results.runs if run.summary]
    if len(results.runs) <= EACH:
        return [_of(run, summary) for run, summary in told if summary.channels or summary.weights]
    rectified = [(run, summary) for run, summary in told if summary.channels]
    weighed = [(run, summary) for run, summary in told if summary.weights]
    return [
        *_range("rectifier channels are dead", rectified, lambda summary: summary.dead_fraction),
        *_range("weights are near zero", weighed, lambda summary: summary.near_zero_fraction),
    ]


def _of(run: Run, summary: Summary) -> Sentence:
    parts = [_dead(summary, run.images.count)] if summary.channels else []
    parts += [_near(summary)] if summary.weights else []
    return (Name(run.id), f" has {' and '.join(parts)}.")


def _range(what: str, told: Sequence[Told], share: Callable[[Summary], float | None]) -> list[Sentence]:
    order = sorted(told, key=lambda pair: share(pair[1]) or 0.0)
    if not order:
        return []
    (least, lowest), (most, highest) = order[0], order[-1]
    low, high = formats.percent(share(lowest)), formats.percent(share(highest))
    over = f"Over {formats.plural(len(order), 'run')}"
    if share(lowest) == share(highest):
        return [(f"{over}, {low} of the {what} in each.",)]
    return [
        (f"{over}, between {low} (", Name(least.id), f") and {high} (", Name(most.id), f") of the {what}.")
    ]


def _dead(summary: Summary, images: int) -> str:
    state = "silent on its one image" if images == 1 else "dead"
    if not summary.dead_channels:
        return f"none of {formats.plural(summary.channels, 'rectifier channel')} {state}"
    share = formats.percent(summary.dead_fraction)
    return f"{formats.part(summary.dead_channels, summary.channels)} rectifier channels {state} ({share})"


def _near(summary: Summary) -> str:
    near, zero = formats.percent(summary.near_zero_fraction), formats.percent(summary.zero_fraction)
    exactly = f"{zero} exactly zero" if summary.zero_weights else "none exactly zero"
    return f"{near} of {formats.integer(summary.weights)} weights near zero, {exactly}"
