"""Numbers of a comparison: which channels died, or revived, since the baseline, layer by layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from featreport.judge.checks.reading import Key, Reading
from featreport.report import formats


def same(reading: Reading, others: Mapping[Key, Reading]) -> bool:
    """Say whether a layer is also on the other side, with as many channels: only then is an index the same channel."""
    return reading.key in others and others[reading.key].channels == reading.channels


def changed(metric: str, found: Iterable[Reading], before: Mapping[Key, Reading]) -> list[Reading]:
    """Return for each layer that is on both sides how many of its channels newly died, or revived, and which.

    Args:
        metric: one of `OF_COMPARISON`.
        found: the dead channels of the run.
        before: those of the baseline.
    """
    told = []
    for reading in found:
        if same(reading, before):
            sides = {*reading.entries}, {*before[reading.key].entries}
            mine, theirs = sides if metric.startswith("newly") else sides[::-1]
            kept = tuple(
                one for one in (*reading.entries, *before[reading.key].entries) if one in mine - theirs
            )
            told.append(replace(reading, value=float(len(kept)), entries=kept))
    return told


def summed(found: Iterable[Reading]) -> Reading:
    """Return the sum over layers; its entries are the layers that count, with their channels."""
    read = list(found)
    value = float(sum(reading.value or 0 for reading in read)) if read else None
    return Reading("", value=value, entries=tuple(_told(reading) for reading in read if reading.entries))


def _told(reading: Reading) -> str:
    channels = sorted(one for one in reading.entries if isinstance(one, int))
    output = f" [{reading.output}]" if reading.output is not None else ""
    call = f" (call {reading.call})" if reading.call else ""
    noun = "channel" if len(channels) == 1 else "channels"
    return f"{reading.layer}{output}{call} ({noun} {formats.ranges(channels)})"
