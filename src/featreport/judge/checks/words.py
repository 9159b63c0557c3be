"""Checks and their outcomes in words: the same on the page, the terminal, in JUnit XML and in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import get_origin

from featreport.judge.checks import reading
from featreport.judge.checks.gate import severities, worst_first
from featreport.report import formats
from featreport.results.schema import OF_COMPARISON, CheckItem, CheckOutcome, Run

MOST_LINES = 20  # on a terminal
MOST_NAMES = 8
LONGEST = 200
_WORDS = {"min": "at least", "max": "at most", "equals": "exactly", "below": "below"}
_EXACT = 2**53


def value(number: float | None) -> str:
    """Return a number as a sentence has it: whole numbers whole, others in full."""
    if number is None:
        return formats.NONE
    if number.is_integer() and abs(number) < _EXACT:
        return formats.integer(int(number))
    return repr(number).replace("-", formats.MINUS)


def rule(outcome: CheckOutcome) -> str:
    """Return what a check asks for: "activations.dead at most 0 more than digits/trained, layers relu*"."""
    limits = dict(outcome.limits)
    parts = [f"{word} {value(limits[name])}" for name, word in _WORDS.items() if name in limits]
    more = []
    if "max_increase" in limits:
        more.append(value(limits["max_increase"]))
    if "max_relative_increase" in limits:
        percent = f"{limits['max_relative_increase'] * 100:.12g}"
        more.append(f"{value(float(percent))} %")
    if more:
        which = f"{' or '.join(more)}{' (the larger)' if len(more) > 1 else ''}"
        parts.append(f"at most {which} more than {name_of(outcome.baseline or 'the baseline')}")
    layers = f", layers {name_of(outcome.layers)}" if outcome.layers != "*" else ""
    over = ", summed over layers" if _summed(outcome) else ""
    against = ""
    if outcome.metric in OF_COMPARISON:
        against = f" since {name_of(outcome.baseline or 'the baseline')}"
    return f"{outcome.metric}{against} {' and '.join(parts)}{layers}{over}"


def _summed(outcome: CheckOutcome) -> bool:
    """Say whether a number of each layer was summed over the run."""
    field = Run.model_fields.get(reading.parts(outcome.metric)[0])
    return outcome.scope == "run" and field is not None and get_origin(field.annotation) is list


def name_of(text: str) -> str:
    """Return a name as a sentence has it: safe, on one line, not endless."""
    return formats.shorten(" ".join(text.split()), LONGEST)


def place_of(item: CheckItem) -> str:
    """Return the layer of an item with its output and call; empty for a run's own number."""
    text = name_of(item.layer)
    if item.output is not None:
        text += f" [{name_of(item.output)}]"
    return f"{text} (call {item.call})" if item.call else text


def said(outcome: CheckOutcome, item: CheckItem) -> str:
    """Return an item in words: "relu2: 26, at most 0 (baseline 0); newly dead: channels 0–7, 11–17"."""
    where = f"{place_of(item)}: " if item.layer else ""
    if item.verdict != "failed" and outcome.metric in OF_COMPARISON:
        side = "this run" if item.verdict == "missing" else "the baseline"
        return f"{where}{item.verdict}, not compared: {side} has no such layer with as many channels"
    if item.verdict == "missing":
        return f"{where}missing; the baseline has {value(item.baseline)}"
    if item.verdict == "new":
        return f"{where}new, {value(item.observed)}; the baseline has none"
    if item.observed is None:
        had = f"; the baseline has {value(item.baseline)}" if item.baseline is not None else ""
        return f"{where}no number, its values are not finite{had}"
    base = f" (baseline {value(item.baseline)})" if item.baseline is not None else ""
    return f"{where}{value(item.observed)}, {item.bound} {value(item.limit)}{base}{_entries(outcome, item)}"


def _entries(outcome: CheckOutcome, item: CheckItem) -> str:
    """Return which channels, tensors or layers a count counts; of an increase, those that are new in it."""
    if not item.channels and not item.names:
        return ""
    if _summed(outcome):
        what = "in"
    else:
        noun = _noun(outcome.metric)
        newly = item.baseline is not None and any("increase" in name for name in outcome.limits)
        what = f"newly {noun}:" if newly else f"{noun}:"
    if item.channels:
        count = "channel" if len(item.channels) == 1 else "channels"
        return f"; {what} {count} {formats.ranges(sorted(item.channels))}"
    shown = ", ".join(name_of(name) for name in item.names[:MOST_NAMES])
    rest = len(item.names) - MOST_NAMES
    return f"; {what} {shown}{f' and {formats.integer(rest)} more' if rest > 0 else ''}"


def _noun(metric: str) -> str:
    """Return what is said of the entries of a count: "newly dead" of newly_dead_channels."""
    words = metric.rpartition("_")[0] if metric in OF_COMPARISON else metric.split(".")[1]
    return words.replace("_", " ")


def told(outcome: CheckOutcome) -> Iterator[str]:
    """Yield what there is to say of an outcome beside its verdict: its reason, then each of its items."""
    if outcome.reason:
        yield name_of(outcome.reason)
    for item in outcome.items:
        yield said(outcome, item)


def headline(outcomes: Sequence[CheckOutcome]) -> str:
    """Return how the checks went in a sentence: "1 of 6 checks failed, 1 warned, 2 were skipped."."""
    if not outcomes:
        return ""
    count = len(outcomes)
    found = severities(outcomes)
    skipped = sum(one.verdict == "skipped" and one.severity == "ok" for one in outcomes)
    parts = []
    if found["error"]:
        parts.append("failed")
    if found["warn"]:
        parts.append("warned")
    if skipped:
        parts.append(f"{'was' if skipped == 1 else 'were'} skipped")
    numbers = [number for number in (found["error"], found["warn"], skipped) if number]
    if not parts:
        return f"{'The check' if count == 1 else f'All {formats.integer(count)} checks'} passed."
    first = f"{formats.part(numbers[0], count)} {'check' if count == 1 else 'checks'} {parts[0]}"
    rest = [f"{formats.integer(number)} {part}" for number, part in zip(numbers[1:], parts[1:], strict=True)]
    return f"{', '.join([first, *rest])}."


def lines(outcomes: Sequence[CheckOutcome], most: int = MOST_LINES) -> list[str]:
    """Return the checks that did not pass as lines of a terminal, worst first, at most `most`."""
    found = [
        line for outcome in worst_first(outcomes) if outcome.severity != "ok" for line in _lines(outcome)
    ]
    if len(found) <= most:
        return found
    return [*found[: most - 1], f"  … and {formats.integer(len(found) - most + 1)} more in the report"]


def _lines(outcome: CheckOutcome) -> Iterator[str]:
    sign = "×" if outcome.severity == "error" else "!"
    verdict = f"SKIPPED ({outcome.level})" if outcome.verdict == "skipped" else outcome.severity
    head = f"  {sign} {verdict} {name_of(outcome.run) or 'no run'}: {rule(outcome)}"
    for text in told(outcome):
        yield f"{head}: {text}"
