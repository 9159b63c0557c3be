"""The norms of a network or of a state dict: parameters and buffers of one module together."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from featreport.checkpoints.alone import Whole
from featreport.collect import kinds
from featreport.collect.weights import NOTHING, own_or_stored
from featreport.results.schema import Norm
from featreport.statistics.weights.norms import NormTensors, norm_fields

PARTS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def measure_norms(model: nn.Module, stored: Mapping[str, Tensor] = NOTHING) -> list[Norm]:
    """Measure every norm once, frozen ones (whose scale is a buffer) too."""
    found = []
    for name, module in model.named_modules():
        own, buffers = kinds.held_by(module)
        held = {**own, **buffers}  # a frozen norm's scale is a buffer
        if not kinds.is_norm(module, held):
            continue
        scale, shift, mean, variance, counter = [
            None
            if (tensor := held.get(part)) is None
            else own_or_stored((f"{name}.{part}" if name else part,), stored, tensor)
            for part in PARTS
        ]
        eps = getattr(module, "eps", None)
        known = eps if isinstance(eps, float) else None
        norm = NormTensors(scale, shift, mean, variance, counter, known)
        found.append(Norm(layer=name, module=kinds.class_of(module).__name__, **norm_fields(norm)))
    return found


def norms_of_tensors(tensors: Mapping[str, Tensor | Whole]) -> list[Norm]:
    """Measure the norms of a state dict: what has running statistics, or a scale that its name and shape give away."""
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    layers: dict[str, None] = {}
    for name in tensors:
        layer, _, local = name.rpartition(".")
        if local == "running_var" or (local == "weight" and kinds.of_name(name, shapes) == "norm"):
            layers.setdefault(layer)
    found = []
    for layer in layers:
        scale, shift, mean, variance, counter = [
            _value(tensors.get(f"{layer}.{part}" if layer else part)) for part in PARTS
        ]
        found.append(
            Norm(
                layer=layer,
                module="",
                **norm_fields(NormTensors(scale, shift, mean, variance, counter, None)),
            )
        )
    return found


def _value(entry: Tensor | Whole | None) -> Tensor | None:
    return entry if entry is None or isinstance(entry, Tensor) else entry.value()
