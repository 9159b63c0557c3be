"""What has no numbers, and why: a report says it rather than leaving it out."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from featreport.checkpoints.alone import Whole
from featreport.collect.activations import ActivationCollector
from featreport.collect.sites import ROOT
from featreport.collect.taps import Taps
from featreport.results.schema import Unmeasured

PROGRAM = "a TorchScript program, whose layers cannot be watched"
COMPLEX = "complex numbers: they have no order, and a threshold of real numbers does not apply to them"


def list_unmeasured(model: nn.Module, taps: Taps, collector: ActivationCollector) -> list[Unmeasured]:
    """Return every leaf that was never called, and every output that could not be measured, with the reason."""
    found: dict[str, str] = {}
    programs: list[str] = []
    for name, module in model.named_modules():
        layer = name or ROOT
        if isinstance(module, torch.jit.ScriptModule):
            if not any(f"{name}.".startswith(f"{program}.") for program in programs):
                programs.append(name)
            continue
        if layer in taps.called or next(module.children(), None) is not None:
            continue
        if collector.wants(layer):
            owns = next(module.parameters(), None) is not None
            used = " (its parameters may be used by the module around it)" if owns else ""
            found[layer] = f"never called in the forward pass{used}"
    skipped = dict.fromkeys(programs, PROGRAM) | taps.skipped | collector.skipped
    found |= {place: why for place, why in skipped.items() if collector.wants(place.split(" output ")[0])}
    listed = [Unmeasured(layer=layer, reason=reason) for layer, reason in found.items()]
    return listed + complex_tensors(dict((*model.named_parameters(), *model.named_buffers())))


def complex_tensors(tensors: Mapping[str, Tensor | Whole]) -> list[Unmeasured]:
    """Return the parameters and buffers of complex numbers."""
    return [
        Unmeasured(layer=name, reason=COMPLEX)
        for name, tensor in tensors.items()
        if isinstance(tensor, Tensor) and tensor.is_complex()
    ]
