"""Weight statistics: every parameter tensor once, buffers apart (STATISTICS 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd

from featreport.checkpoints.alone import Whole
from featreport.collect import kinds
from featreport.collect.tensors import measure, spread
from featreport.results.schema import Buffer, Weight
from featreport.statistics import Settings

MATRIX = 2  # axes from which on a weight has output channels
NOTHING: Mapping[str, Tensor] = {}


@dataclass(frozen=True)
class _Subject:
    """A parameter and what is known of it; `groups` of a transposed convolution, else None."""

    name: str
    tied: list[str]
    module: str
    kind: kinds.Kind
    groups: int | None = None


def measure_weights(
    model: nn.Module, settings: Settings, stored: Mapping[str, Tensor] = NOTHING
) -> list[Weight]:
    """Measure every parameter, tied ones once under their first name.

    Args:
        model: whose parameters.
        settings: the thresholds.
        stored: the checkpoint's own tensors, by the model's names, where they are of another type than the model's:
            these are what is measured.
    """
    owners = _owners(model)
    names: dict[int, list[str]] = {}
    tensors: dict[int, Tensor] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
        tensors[id(parameter)] = parameter
    weights = []
    for key, (name, *tied) in names.items():
        module, local = owners[name]
        kind = kinds.of_parameter(module, local, tensors[key])
        groups = module.groups if isinstance(module, _ConvTransposeNd) else None
        tensor = _stored((name, *tied), stored, tensors[key])
        weights.append(_weight(_Subject(name, tied, type(module).__name__, kind, groups), tensor, settings))
    return weights


def measure_buffers(model: nn.Module, stored: Mapping[str, Tensor] = NOTHING) -> list[Buffer]:
    """Measure every buffer (BN running statistics, counters): apart, because none of them is a weight."""
    owners = _owners(model)
    return [
        _buffer(name, type(owners[name][0]).__name__, _stored((name,), stored, buffer))
        for name, buffer in model.named_buffers()
    ]


def measure_tensors(
    tensors: Mapping[str, Tensor | Whole], settings: Settings
) -> tuple[list[Weight], list[Buffer]]:
    """Measure a state dict without its model, tied tensors once under their first name.

    What each tensor is, its name and shape say; output channels lie along the first axis, also where it belongs to
    a transposed convolution, which nothing tells.
    """
    weights: list[Weight] = []
    buffers: list[Buffer] = []
    names: dict[tuple[object, ...], list[str]] = {}
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    for name, tensor in tensors.items():
        names.setdefault(_identity(name, tensor), []).append(name)
    for name, *tied in names.values():
        entry = tensors[name]
        tensor = entry if isinstance(entry, Tensor) else entry.value()
        if kinds.is_buffer(name, tensor.dtype):
            buffers += [_buffer(each, "", tensor) for each in (name, *tied)]
        else:
            subject = _Subject(name, tied, "", kinds.of_name(name, shapes))
            weights.append(_weight(subject, tensor, settings))
    return weights, buffers


def _identity(name: str, tensor: Tensor | Whole) -> tuple[object, ...]:
    """Return what is equal for tied tensors: the same numbers in the same place."""
    if not isinstance(tensor, Tensor) or not tensor.numel():
        return (name,)
    return tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride()


def _owners(model: nn.Module) -> dict[str, tuple[nn.Module, str]]:
    """Full parameter or buffer name → (the module that holds it, its name there)."""
    return {
        (f"{prefix}.{name}" if prefix else name): (module, name)
        for prefix, module in model.named_modules(remove_duplicate=False)
        for name in (*module._parameters, *module._buffers)  # noqa: SLF001 - the order of registration
    }


def _stored(names: Sequence[str], stored: Mapping[str, Tensor], tensor: Tensor) -> Tensor:
    """Return the checkpoint's tensor of one of these names, otherwise the model's."""
    return next((stored[name] for name in names if name in stored), tensor)


def _rows(subject: _Subject, tensor: Tensor) -> tuple[Tensor, tuple[int, ...] | None]:
    """Return a view of the tensor and the axes that tell its output channels apart; None where it has none."""
    if subject.kind != "weight" or tensor.ndim < MATRIX:
        return tensor, None
    if subject.groups is not None:  # a transposed convolution's is [in, out / groups, k, k]
        return torch.unflatten(tensor, 0, (subject.groups, tensor.shape[0] // subject.groups)), (0, 2)
    return tensor, (0,)


def _weight(subject: _Subject, tensor: Tensor, settings: Settings) -> Weight:
    view, rows = _rows(subject, tensor.detach())
    numbers = measure(view, settings.near_zero, rows)
    histogram, relative = spread(view, numbers)
    count, channels = numbers.count, None if numbers.peaks is None else numbers.peaks.size
    dead: list[int] = []
    if numbers.peaks is not None and count:
        dead = np.flatnonzero(numbers.peaks <= settings.near_zero).tolist()
    return Weight(
        name=subject.name,
        module=subject.module,
        kind=subject.kind,
        tied=subject.tied,
        dtype=str(tensor.dtype).removeprefix("torch."),
        shape=list(tensor.shape),
        count=count,
        mean=numbers.mean,
        std=numbers.std,
        min=numbers.low if numbers.finite else None,
        max=numbers.high if numbers.finite else None,
        zeros=numbers.zeros,
        zero_fraction=numbers.zeros / count if count else None,
        near_zeros=numbers.near_zeros,
        near_zero_fraction=numbers.near_zeros / count if count else None,
        relative_near_zero_fraction=None if relative is None else relative / count,
        nonfinite=numbers.nonfinite,
        nan=numbers.nan,
        posinf=numbers.posinf,
        neginf=numbers.neginf,
        channels=channels,
        dead=dead,
        dead_fraction=len(dead) / channels if channels else None,
        histogram=histogram,
    )


def _buffer(name: str, module: str, tensor: Tensor) -> Buffer:
    numbers = measure(tensor, 0.0)
    return Buffer(
        name=name,
        module=module,
        dtype=str(tensor.dtype).removeprefix("torch."),
        shape=list(tensor.shape),
        count=numbers.count,
        mean=numbers.mean,
        std=numbers.std,
        min=numbers.low if numbers.finite else None,
        max=numbers.high if numbers.finite else None,
        nonfinite=numbers.nonfinite,
    )
