"""Results → Verdict: what was run, what is wrong, how sure we are, in one breath."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from featreport.judge.findings import Finding, Level, evidence, of_run, rectifiers, tap_name
from featreport.report import formats
from featreport.results.schema import Results, Run, weights_alone

__all__ = ["Verdict", "evidence", "judge"]
_MOST_CLAIMS = 3  # different numbers of images one line can carry
_ORDER: tuple[Level, ...] = ("fail", "warn", "note", "ok")


@dataclass(frozen=True)
class RunVerdict:
    """One run in one line."""

    run: str
    level: Level
    sentence: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Verdict:
    """The whole build in one sentence, its findings worst first, and a line for every run."""

    level: Level
    sentence: str
    certainty: str
    findings: tuple[Finding, ...]
    runs: tuple[RunVerdict, ...]


def judge(results: Results) -> Verdict:
    """Return what `results` mean."""
    broken = Counter(outcome.run for outcome in results.checks if outcome.severity == "error")
    runs = tuple(_of_run(run, broken[run.id]) for run in results.runs)
    findings = sorted(
        (finding for run in runs for finding in run.findings),
        key=lambda finding: (_ORDER.index(finding.level), finding.rank, -finding.weight),
    )
    return Verdict(
        level=min((run.level for run in runs), key=_ORDER.index, default="ok"),
        sentence=_sentence(results.runs),
        certainty=_certainty(results.runs),
        findings=tuple(findings),
        runs=runs,
    )


def _of_run(run: Run, broken: int) -> RunVerdict:
    """Return the line of a run, of whose checks so many failed."""
    findings = of_run(run)
    level: Level = min((finding.level for finding in findings), key=_ORDER.index, default="ok")
    if run.status == "failed":
        return RunVerdict(run.id, "fail", findings[0].text, findings)
    parts = [_silence(run)]
    if run.summary and run.summary.nonfinite:
        parts.append(formats.plural(run.summary.nonfinite, "non-finite value"))
    if run.load and (run.load.missing or run.load.mismatched):
        parts.append("only partly loaded")
    if broken:
        parts.append(f"{formats.plural(broken, 'check')} failed")
        level = "fail"
    return RunVerdict(run.id, level, "; ".join(parts) + ".", findings)


def _silence(run: Run) -> str:
    summary = run.summary
    if weights_alone(run):
        return _weights(run)
    if summary is None or not summary.channels:
        return "no rectifier, so no headline of silent channels"
    share = f"{formats.part(summary.dead_channels, summary.channels)} rectifier channels"
    on = "on this image" if run.images.count == 1 else f"on these {formats.integer(run.images.count)} images"
    if not summary.dead_channels:
        return f"none of {formats.plural(summary.channels, 'rectifier channel')} silent {on}"
    return f"{share} ({formats.percent(summary.dead_fraction)}) silent {on}{_most(run)}"


def _weights(run: Run) -> str:
    if run.summary is None or not run.summary.weights:
        return f"weights alone: {formats.plural(len(run.weights), 'tensor')}, none of a conv or linear layer"
    near, zero = (formats.percent(x) for x in (run.summary.near_zero_fraction, run.summary.zero_fraction))
    return f"weights alone: {near} of {formats.integer(run.summary.weights)} near zero, {zero} exactly zero"


def _most(run: Run) -> str:
    taps = [tap for tap in rectifiers(run) if tap.dead]
    if not taps:
        return ""
    worst = max(taps, key=lambda tap: len(tap.dead))
    count = formats.integer(len(worst.dead))
    return f", all at {tap_name(worst)}" if len(taps) == 1 else f", most at {tap_name(worst)}: {count}"


def _sentence(runs: Sequence[Run]) -> str:
    done = [run for run in runs if run.status == "ok"]
    failed = len(runs) - len(done)
    if not runs:
        return "No runs."
    sentences = [f"{formats.plural(len(runs), 'run')}{_over(done)}."]
    if done:
        sentences.append(_headline(done, failed=bool(failed)))
    broken = sum(1 for run in done if run.summary and run.summary.nonfinite)
    if broken:
        sentences.append(f"{formats.plural(broken, 'run')} with non-finite values.")
    if failed:
        sentences.append("Every run failed." if not done else f"{formats.plural(failed, 'run')} failed.")
    return " ".join(sentences)


def _over(done: Sequence[Run]) -> str:
    looked = [run for run in done if not weights_alone(run)]
    counts = sorted({run.images.count for run in looked})
    if not counts:
        return ", weights alone" if done else ""
    over = formats.plural(counts[0], "image")
    if len(counts) > 1:
        over = f"{formats.integer(counts[0])} to {formats.integer(counts[-1])} images"
    alone = len(done) - len(looked)
    return f": {len(looked)} over {over}, {alone} of weights alone" if alone else f" over {over}"


def _headline(done: Sequence[Run], *, failed: bool) -> str:
    eligible = [(run, run.summary) for run in done if run.summary and run.summary.channels]
    if all(weights_alone(run) for run in done):
        return _headline_of_weights(done)
    dying = [(run, summary) for run, summary in eligible if summary.dead_channels]
    if not eligible:
        return "No network here has a rectifier, so none has a headline of silent channels."
    if not dying:
        return "No rectifier channel is silent."
    run, summary = max(dying, key=lambda pair: pair[1].dead_fraction or 0)
    share = f"{formats.part(summary.dead_channels, summary.channels)} rectifier channels"
    losses = f"loses {share} ({formats.percent(summary.dead_fraction)}){_most(run)}"
    name = formats.shorten(run.id, 80)
    looked = sum(1 for run in done if not weights_alone(run))
    if len(dying) == 1:
        others = "no other run" if len(eligible) == looked else "no other with rectifiers"
        return f"{name} {losses}." if len(eligible) == 1 else f"{name} {losses}; {others} loses any."
    everyone = "Both" if looked == 2 else f"All {looked}"  # noqa: PLR2004
    everyone += " networks" if looked < len(done) else ""
    count = everyone if len(dying) == looked else f"{len(dying)} of {looked}"
    if len(dying) == looked and failed:
        count += " that finished"
    return f"{count} have silent channels; the worst, {name}, {losses}."


def _headline_of_weights(done: Sequence[Run]) -> str:
    shares = [(run, run.summary.near_zero_fraction) for run in done if run.summary and run.summary.weights]
    if not shares:
        return "No file holds a conv or linear weight."
    run, share = max(shares, key=lambda pair: pair[1] or 0)
    if not share:
        return "No weight is near zero; no activations were measured."
    most = "" if len(shares) == 1 else f", most in {formats.shorten(run.id, 80)}"
    return f"{formats.percent(share)} of the weights are near zero{most}; no activations were measured."


def _certainty(runs: Sequence[Run]) -> str:
    counts = sorted({run.images.count for run in runs if run.summary and run.summary.dead_channels})
    if not counts:
        return ""
    if counts[0] <= 1:
        return "With one image, “silent” says no more than that: silent on this image."
    words = [evidence(count) for count in counts]
    if len(words) > _MOST_CLAIMS:
        words = [words[0], words[-1]]
    return f"Silent means: {'; or '.join(words)}."
