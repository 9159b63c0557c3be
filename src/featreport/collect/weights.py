"""Weight statistics: every parameter tensor once, buffers apart (STATISTICS 3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from featreport.collect.slabs import measure, row_maxima, spread
from featreport.results.schema import Buffer, Weight
from featreport.statistics import Settings

BUFFERS = ("running_mean", "running_var", "num_batches_tracked")  # where no module tells
NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.LocalResponseNorm)
EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)
Kind = Literal["weight", "bias", "norm", "embedding", "other"]


def _owners(model: nn.Module) -> dict[str, tuple[nn.Module, str]]:
    """Full parameter or buffer name → (the module that holds it, its name there)."""
    return {
        (f"{prefix}.{name}" if prefix else name): (module, name)
        for prefix, module in model.named_modules(remove_duplicate=False)
        for name in (*module._parameters, *module._buffers)  # noqa: SLF001 - the order of registration
    }


def _kind(module: nn.Module, name: str, tensor: Tensor) -> Kind:
    if isinstance(module, NORMS) or (tensor.ndim == 1 and "norm" in type(module).__name__.lower()):
        return "norm"
    if isinstance(module, EMBEDDINGS):
        return "embedding"
    if "bias" in name:
        return "bias"
    layer = isinstance(
        module, (_ConvNd, nn.Linear, nn.Bilinear, nn.MultiheadAttention, nn.RNNBase, nn.RNNCellBase)
    )
    return "weight" if tensor.ndim > 1 and (layer or "weight" in name) else "other"


def _rows(module: nn.Module | None, kind: Kind, tensor: Tensor) -> Tensor | None:
    """A view `[output channels, …]` of a conv, transposed conv or linear weight; None for other tensors.

    Without a module, a transposed convolution cannot be told from a convolution: rows are then the first axis.
    """
    if kind != "weight" or tensor.ndim < 2:  # noqa: PLR2004
        return None
    if isinstance(module, _ConvTransposeNd) and module.groups == 1:  # [in, out, k, k]
        return tensor.transpose(0, 1)
    if isinstance(module, _ConvTransposeNd):  # [in, out / groups, k, k]: the split needs a copy
        groups = module.groups
        split = tensor.reshape(groups, tensor.shape[0] // groups, *tensor.shape[1:])
        rows: Tensor = split.transpose(1, 2).flatten(0, 1)
        return rows
    return tensor


def measure_weights(
    model: nn.Module, settings: Settings, stored: Mapping[str, Tensor] | None = None
) -> list[Weight]:
    """Measure every parameter, tied ones once under their first name.

    `stored` holds tensors of the checkpoint by the model's names whose type is not the model's (half precision):
    these are measured as they stand in the file.
    """
    owners = _owners(model)
    names: dict[int, list[str]] = {}
    tensors: dict[int, Tensor] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
        tensors[id(parameter)] = (stored or {}).get(name, parameter.detach())
    return [
        _weight(found[0], found[1:], *owners[found[0]], tensors[key], settings)
        for key, found in names.items()
    ]


def measure_tensors(tensors: Mapping[str, Tensor], settings: Settings) -> tuple[list[Weight], list[Buffer]]:
    """Measure a state dict without its model: what each tensor is, its name and shape say."""
    weights: list[Weight] = []
    buffers: list[Buffer] = []
    names: dict[tuple[object, ...], list[str]] = {}
    for name, tensor in tensors.items():
        names.setdefault(_identity(name, tensor), []).append(name)
    for found in names.values():
        name, tensor = found[0], tensors[found[0]]
        local = name.rpartition(".")[2]
        if local in BUFFERS or not (tensor.is_floating_point() or tensor.is_complex()):
            buffers += [_buffer(each, "", tensors[each]) for each in found]
        else:
            weights.append(_weight(name, found[1:], None, name, tensor, settings))
    return weights, buffers


def _identity(name: str, tensor: Tensor) -> tuple[object, ...]:
    """Return what is equal for tied tensors: the same numbers in the same place."""
    if not tensor.numel():
        return (name,)
    return tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride()


def _kind_by_name(name: str, tensor: Tensor) -> Kind:
    parts = name.lower().split(".")
    if parts[-1] == "bias" or parts[-1].endswith("_bias"):
        return "bias"
    if any("embed" in part and "patch" not in part for part in parts) and tensor.ndim > 1:
        return "embedding"
    if tensor.ndim == 1 and "weight" in parts[-1]:
        return "norm"
    return "weight" if tensor.ndim > 1 and "weight" in parts[-1] else "other"


def _weight(
    name: str, tied: list[str], module: nn.Module | None, local: str, tensor: Tensor, settings: Settings
) -> Weight:
    kind = _kind_by_name(name, tensor) if module is None else _kind(module, local, tensor)
    real = tensor.real if tensor.is_complex() else tensor
    numbers = measure(real, settings.near_zero)
    histogram, relative = spread(real, numbers)
    rows = _rows(module, kind, tensor)
    dead: list[int] = []
    if rows is not None and rows.shape[0] and rows[0].numel():
        dead = (row_maxima(rows) <= settings.near_zero).nonzero().flatten().tolist()
    count = numbers.count
    return Weight(
        name=name,
        module="" if module is None else type(module).__name__,
        kind=kind,
        tied=tied,
        dtype=str(tensor.dtype).removeprefix("torch."),
        shape=list(tensor.shape),
        count=count,
        mean=numbers.mean if numbers.finite else None,
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
        channels=None if rows is None else rows.shape[0],
        dead=dead,
        dead_fraction=len(dead) / rows.shape[0] if rows is not None and rows.shape[0] else None,
        histogram=histogram,
    )


def measure_buffers(model: nn.Module) -> list[Buffer]:
    """Measure every buffer (BN running statistics, counters): apart, because none of them is a weight."""
    owners = _owners(model)
    return [
        _buffer(name, type(owners[name][0]).__name__, buffer.detach())
        for name, buffer in model.named_buffers()
    ]


def _buffer(name: str, module: str, buffer: Tensor) -> Buffer:
    numbers = measure(buffer.real if buffer.is_complex() else buffer, 0.0)
    return Buffer(
        name=name,
        module=module,
        dtype=str(buffer.dtype).removeprefix("torch."),
        shape=list(buffer.shape),
        count=numbers.count,
        mean=numbers.mean if numbers.finite else None,
        std=numbers.std,
        min=numbers.low if numbers.finite else None,
        max=numbers.high if numbers.finite else None,
        nonfinite=numbers.nonfinite,
    )
