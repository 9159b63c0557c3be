"""The findings of one run: one sentence each, with the row that shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from featreport.report import formats
from featreport.results.schema import Activation, Load, Run, distinct, weights_alone

Level = Literal["fail", "warn", "note", "ok"]


@dataclass(frozen=True)
class Target:
    """The place on the page that shows a finding: a run, or one tap, tensor or part of it."""

    run: str
    kind: Literal["run", "tap", "weight", "load", "images", "unmeasured"] = "run"
    key: tuple[str | int | None, ...] = ()


@dataclass(frozen=True)
class Finding:
    """One thing a reader should know, how bad it is and where it stands."""

    level: Level
    text: str
    target: Target
    rank: int  # the kind of finding, worst kind first
    weight: float = 0.0  # within a kind, the larger the earlier


def silent_on(images: int) -> str:
    """Return "silent on these 16 images", or on the only one."""
    return "silent on this image" if images <= 1 else f"silent on these {formats.integer(images)} images"


def evidence(images: int) -> str:
    """Return what "dead" claims after this many images, in words."""
    if images <= 1:
        return "silent on this image"
    return (
        f"{silent_on(images)} "
        f"(fires on fewer than {formats.rate_bound(images)} of images, 95{formats.NBSP}% confidence)"
    )


def tap_name(tap: Activation) -> str:
    """Return how a sentence names a tap: its layer, its output, and its call if not the first."""
    name = formats.shorten(tap.layer)
    if tap.output is not None:
        name += f" [{formats.shorten(tap.output, 24)}]"
    return f"{name} (call {tap.call})" if tap.call else name


def tap_target(run: Run, tap: Activation) -> Target:
    """Return the place of a tap's row."""
    return Target(run.id, "tap", (tap.layer, tap.call, tap.output))


def of_run(run: Run) -> tuple[Finding, ...]:
    """Return every finding of `run`, worst first."""
    if run.error is not None or run.status == "failed":
        return (_failed(run),)
    found = [finding for rule in _RULES for finding in rule(run)]
    return tuple(sorted(found, key=lambda finding: (finding.rank, -finding.weight)))


def _failed(run: Run) -> Finding:
    if run.error is None:
        return Finding("fail", "failed, and left no reason.", Target(run.id), 0)
    first = next((line for line in run.error.message.splitlines() if line.strip()), "no reason was given")
    text = f"failed at the {run.error.stage} stage: {formats.opening(first, 140)}"
    return Finding("fail", text if text.endswith((".", "…")) else text + ".", Target(run.id), 0)


def _nonfinite(run: Run) -> Iterator[Finding]:
    taps = [tap for tap in run.activations if tap.nonfinite]
    tensors = [tensor for tensor in run.weights if tensor.nonfinite]
    if taps:
        count = sum(tap.nonfinite for tap in taps)
        text = (
            f"{formats.plural(count, 'non-finite activation')}, first at {tap_name(taps[0])}; "
            "left out of every mean, extreme and histogram."
        )
        yield Finding("fail", text, tap_target(run, taps[0]), 1, count)
    if tensors:
        count = sum(tensor.nonfinite for tensor in tensors)
        text = f"{formats.plural(count, 'non-finite weight')}, first in {formats.shorten(tensors[0].name)}."
        yield Finding("fail", text, Target(run.id, "weight", (tensors[0].name,)), 1, count)


def _dead_layers(run: Run) -> Iterator[Finding]:
    whole = [tap for tap in rectifiers(run) if tap.channels and len(tap.dead) == tap.channels]
    if not whole:
        return
    names = ", ".join(tap_name(tap) for tap in whole[:3])
    more = f" and {len(whole) - 3} more" if len(whole) > 3 else ""  # noqa: PLR2004 - three names make a sentence
    layers = formats.plural(len(whole), "rectifier layer")
    text = f"{layers} {'is' if len(whole) == 1 else 'are'} entirely {silent_on(run.images.count)}: {names}{more}."
    yield Finding("fail", text, tap_target(run, whole[0]), 2, len(whole))


def _dead_channels(run: Run) -> Iterator[Finding]:
    silent = [tap for tap in rectifiers(run) if tap.dead]
    taps = [tap for tap in silent if len(tap.dead) < tap.channels]
    if not taps or run.summary is None:
        return
    worst = max(taps, key=lambda tap: len(tap.dead) / tap.channels)
    share = formats.part(run.summary.dead_channels, run.summary.channels)
    percent = formats.percent(run.summary.dead_fraction)
    others = "" if len(taps) == len(silent) else " of the other layers"  # than those that are entirely silent
    where = f"highest share{others} at {tap_name(worst)}: {formats.part(len(worst.dead), worst.channels)}"
    text = f"{share} rectifier channels ({percent}) are {silent_on(run.images.count)}; {where}."
    yield Finding("warn", text, tap_target(run, worst), 3, run.summary.dead_fraction or 0)


def _load(run: Run) -> Iterator[Finding]:
    load = run.load
    if load is None:
        return
    partial = [
        (len(lacking(load)), "missing from the file (initial values measured)"),
        (len(load.mismatched), "of another shape"),
    ]
    lost = [f"{formats.plural(count, 'tensor')} {what}" for count, what in partial if count]
    rest = (
        [f"{formats.plural(len(load.unexpected), 'tensor')} of the file not used"] if load.unexpected else []
    )
    if load.prefix:
        rest.append(f"prefix “{formats.shorten(load.prefix, 30)}” removed from the names")
    if lost:
        text = f"Only partly loaded, as the manifest allows: {', '.join([*lost, *rest])}."
        yield Finding("warn", text, Target(run.id, "load"), 2, len(lacking(load)) + len(load.mismatched))
    elif load.unexpected:
        yield Finding("warn", f"Load audit: {', '.join(rest)}.", Target(run.id, "load"), 4)
    elif rest:
        yield Finding("note", f"Load audit: {rest[0]}.", Target(run.id, "load"), 8)
    if load.alone and load.alternatives:
        others = formats.plural(len(load.alternatives), "other state dict")
        names = ", ".join(formats.shorten(key, 40) for key in load.alternatives[:3])
        more = ", …" if len(load.alternatives) > 3 else ""  # noqa: PLR2004 - three names make a sentence
        yield Finding("note", f"{others} of the file not measured: {names}{more}.", Target(run.id, "load"), 8)


def lacking(load: Load) -> list[str]:
    """Return the missing tensors that matter: evaluation does not use BatchNorm's counter, which old files lack."""
    return [name for name in load.missing if not name.endswith("num_batches_tracked")]


def _faithful(run: Run) -> Iterator[Finding]:
    proof = run.faithfulness
    if proof is None:
        return
    where = Target(run.id)
    if proof.output_identical is False:
        outputs = formats.shorten(", ".join(proof.differs[:3]), 80)
        text = f"Watching changed what the network gave (first batch: {outputs}): these numbers are in doubt."
        yield Finding("warn", text, where, 1)
    if proof.repeats is False:
        text = "The network does not repeat itself: two plain forward passes of the same images differ."
        yield Finding("warn", text, where, 4)
    if not proof.state_unchanged:
        count = len(proof.changed)
        first = formats.shorten(proof.changed[0]) if proof.changed else ""
        text = f"The forward pass changed {formats.plural(count, 'tensor')} of the network, in eval mode: {first}."
        yield Finding("warn", text, where, 3, count)
    if proof.hooks_left:
        text = f"{formats.plural(proof.hooks_left, 'hook')} more on the network after the run than before."
        yield Finding("warn", text, where, 3, proof.hooks_left)


def _training(run: Run) -> Iterator[Finding]:
    load = run.load
    if load is None:
        return
    if load.untrained:
        text = "Looks untrained: the loaded weights still have the distribution of their initialisation."
        yield Finding("warn", text, Target(run.id, "load"), 2)
    if load.idle_norms:
        layers = formats.plural(len(load.idle_norms), "BatchNorm layer")
        first = formats.shorten(load.idle_norms[0])
        which = f"“{first}”" if len(load.idle_norms) == 1 else f"the first is “{first}”"
        text = f"{layers} with statistics that were never updated (mean 0, variance 1): {which}."
        yield Finding("warn", text, Target(run.id, "load"), 5, len(load.idle_norms))


def _dead_filters(run: Run) -> Iterator[Finding]:
    tensors = [tensor for tensor in run.weights if tensor.kind == "weight" and tensor.dead]
    if not tensors:
        return
    worst = max(tensors, key=lambda tensor: len(tensor.dead) / (tensor.channels or 1))
    count = sum(len(tensor.dead) for tensor in tensors)
    text = (
        f"{formats.plural(count, 'filter')} with no weight above the near-zero threshold; "
        f"highest share in {formats.shorten(worst.name)}: {formats.part(len(worst.dead), worst.channels or 0)}."
    )
    yield Finding("warn", text, Target(run.id, "weight", (worst.name,)), 5, count)


def _images(run: Run) -> Iterator[Finding]:
    failed = len(run.images.failed)
    if failed:
        share = formats.part(failed, failed + run.images.count)
        yield Finding("warn", f"{share} images could not be used.", Target(run.id, "images"), 6, failed)


def _constant(run: Run) -> Iterator[Finding]:
    taps = [tap for tap in distinct(run.activations) if tap.constant]
    if taps:
        worst = max(taps, key=lambda tap: len(tap.constant))
        count = sum(len(tap.constant) for tap in taps)
        most = f"most at {tap_name(worst)}: {formats.integer(len(worst.constant))}"
        where = f"all at {tap_name(worst)}" if len(taps) == 1 else most
        text = f"{formats.plural(count, 'channel')} constant but not zero, {where}."
        yield Finding("note", text, tap_target(run, worst), 7, count)


def _unmeasured(run: Run) -> Iterator[Finding]:
    count = len(run.unmeasured)
    if weights_alone(run):
        yield Finding("note", f"No activations: {run.unmeasured[0].reason}.", Target(run.id, "unmeasured"), 9)
    elif count:
        layers = formats.plural(count, "layer or output", "layers or outputs")
        yield Finding("note", f"{layers} without numbers.", Target(run.id, "unmeasured"), 9, count)


_RULES: tuple[Callable[[Run], Iterator[Finding]], ...] = (
    _nonfinite,
    _dead_layers,
    _dead_channels,
    _load,
    _faithful,
    _training,
    _dead_filters,
    _images,
    _constant,
    _unmeasured,
)


def rectifiers(run: Run) -> list[Activation]:
    """Return the taps where "dead" means that a channel never fires, in depth order."""
    return [tap for tap in run.activations if tap.rectifier]
