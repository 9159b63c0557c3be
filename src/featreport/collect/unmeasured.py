"""What a run did not measure, and why."""

from __future__ import annotations

from torch import nn

from featreport.collect.forward import Pass
from featreport.collect.taps import ROOT
from featreport.results.schema import Unmeasured


def unmeasured(model: nn.Module, done: Pass) -> list[Unmeasured]:
    """Every leaf that was never called, and every output that could not be measured, with the reason."""
    found: dict[str, str] = {}
    for name, module in model.named_modules():
        layer = name or ROOT
        if layer in done.taps.called or next(module.children(), None) is not None:
            continue
        if done.collector.wants(layer):
            owns = next(module.parameters(), None) is not None
            used = " (its parameters may be used by the module around it)" if owns else ""
            found[layer] = f"never called in the forward pass{used}"
    skipped = done.taps.skipped | done.collector.skipped
    found |= {
        place: why for place, why in skipped.items() if done.collector.wants(place.split(" output ")[0])
    }
    return [Unmeasured(layer=layer, reason=reason) for layer, reason in found.items()]
