"""The run in a few numbers: parts and wholes over its taps and tensors (STATISTICS 5)."""

from __future__ import annotations

from collections.abc import Sequence

from featreport.results.schema import Activation, Definition, Summary, Weight, distinct
from featreport.statistics import Settings, all_statistics
from featreport.statistics.weights import weight_sentences


def summarise(activations: Sequence[Activation], weights: Sequence[Weight]) -> Summary:
    """Add up rectifier taps (each once) and conv and linear weights; fractions of nothing are None."""
    rectifiers = [tap for tap in activations if tap.rectifier]
    channels = sum(tap.channels for tap in rectifiers)
    dead = sum(len(tap.dead) for tap in rectifiers)
    shares = [tap.dead_fraction for tap in rectifiers if tap.dead_fraction is not None]
    matrices = [weight for weight in weights if weight.kind == "weight"]
    elements = sum(weight.count for weight in matrices)
    near = sum(weight.near_zeros for weight in matrices)
    zeros = sum(weight.zeros for weight in matrices)
    return Summary(
        channels=channels,
        dead_channels=dead,
        dead_fraction=dead / channels if channels else None,
        dead_fraction_macro=sum(shares) / len(shares) if shares else None,
        rectifiers=len(rectifiers),
        weights=elements,
        near_zero_weights=near,
        near_zero_fraction=near / elements if elements else None,
        zero_weights=zeros,
        zero_fraction=zeros / elements if elements else None,
        dead_filters=sum(len(weight.dead) for weight in matrices),
        nonfinite=sum(tap.nonfinite for tap in activations) + sum(weight.nonfinite for weight in weights),
        constant_channels=sum(len(tap.constant) for tap in distinct(activations)),
    )


def definitions(settings: Settings) -> list[Definition]:
    """Every number of the report in one sentence, with the thresholds used."""
    found = [
        Definition(metric=s.metric, label=s.label, sentence=s.sentence()) for s in all_statistics(settings)
    ]
    texts = {
        ("summary.dead_fraction", "dead channels of a run"): (
            "Dead channels at rectifier outputs (ReLU, ReLU6, thresholds) of all channels there, each tap once; "
            "none where the network has no rectifier. The mean over layers (macro) stands beside it."
        ),
        ("fired_images", "fires on"): (
            "On how many of the images the channel exceeds the dead threshold, or is not finite, anywhere. No firing "
            "in N images bounds the firing rate at 1 − 0.05^(1/N) with 95 % confidence."
        ),
    }
    found += [Definition(metric=m, label=label, sentence=text) for (m, label), text in texts.items()]
    return found + [
        Definition(metric=s.metric, label=s.label, sentence=s.sentence()) for s in weight_sentences(settings)
    ]
