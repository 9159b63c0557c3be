"""Weight statistics: every parameter tensor once, buffers apart (STATISTICS 3)."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from featreport.results.schema import Buffer, Histogram, Weight
from featreport.statistics import Settings

BINS = 50
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


def _rows(module: nn.Module, kind: Kind, tensor: Tensor) -> Tensor | None:
    """`[output channels, everything else]` of a conv, transposed conv or linear weight; None for other tensors."""
    if kind != "weight" or tensor.ndim < 2:  # noqa: PLR2004
        return None
    if isinstance(module, _ConvTransposeNd):  # [in, out / groups, k, k]
        groups = module.groups
        split = tensor.reshape(groups, tensor.shape[0] // groups, *tensor.shape[1:])
        rows: Tensor = split.transpose(1, 2).flatten(0, 1).flatten(1)
        return rows
    return tensor.flatten(1)


def _count(found: Tensor) -> int:
    """Sum of a float64 mask of 0 and 1: exact, and faster than counting booleans."""
    return int(found.sum())


def _moments(values: Tensor) -> tuple[float | None, float | None, float | None, float | None]:
    """Mean, std (ddof = 1), min, max of a float64 vector of finite values."""
    if values.numel() == 0:
        return None, None, None, None
    mean = float(values.mean())
    std = (
        float(torch.linalg.vector_norm(values - mean) / (values.numel() - 1) ** 0.5)
        if values.numel() > 1
        else None
    )
    return mean, std, float(values.min()), float(values.max())


def _histogram(values: Tensor) -> Histogram:
    """50 equal bins from the least to the greatest finite value, as `numpy.histogram`."""
    if values.numel() == 0:
        return Histogram(edges=[], counts=[])
    array = values.numpy()
    low, high = float(array.min()), float(array.max())
    if high > low and not np.all(
        np.diff(np.linspace(low, high, BINS + 1)) > 0
    ):  # range of a few units in last place
        high = low
    counts, edges = np.histogram(array, bins=BINS, range=None if high > low else (low - 0.5, low + 0.5))
    return Histogram(edges=edges.tolist(), counts=counts.tolist())


def measure_weights(model: nn.Module, settings: Settings) -> list[Weight]:
    """Measure every parameter as stored in the model, tied ones once under their first name."""
    owners = _owners(model)
    names: dict[int, list[str]] = {}
    tensors: dict[int, Tensor] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
        tensors[id(parameter)] = parameter
    return [
        _weight(found[0], found[1:], *owners[found[0]], tensors[key].detach(), settings)
        for key, found in names.items()
    ]


def _weight(
    name: str, tied: list[str], module: nn.Module, local: str, tensor: Tensor, settings: Settings
) -> Weight:
    kind = _kind(module, local, tensor)
    exact = tensor.cpu().double()
    flat = exact.flatten()
    whole = bool(torch.isfinite(flat.sum()))  # a float64 sum of float32 values cannot overflow
    finite = flat if whole else flat[torch.isfinite(flat)]
    mean, std, low, high = _moments(finite)
    magnitude = flat.abs()
    zeros = _count(torch.eq(flat, 0, out=torch.empty_like(flat)))
    near = _count(torch.le(magnitude, settings.near_zero, out=torch.empty_like(flat)))
    rows = _rows(module, kind, exact)
    dead: list[int] = []
    if rows is not None and rows.shape[1]:
        dead = (rows.abs().amax(1) <= settings.near_zero).nonzero().flatten().tolist()
    tests = (torch.isnan, torch.isposinf, torch.isneginf)
    nonfinite = [0, 0, 0] if whole else [int(test(flat).sum()) for test in tests]
    count = flat.numel()
    relative = None
    if std is not None:
        relative = _count(torch.le(magnitude, 0.01 * std, out=torch.empty_like(flat))) / count
    return Weight(
        name=name,
        module=type(module).__name__,
        kind=kind,
        tied=tied,
        dtype=str(tensor.dtype).removeprefix("torch."),
        shape=list(tensor.shape),
        count=count,
        mean=mean,
        std=std,
        min=low,
        max=high,
        zeros=zeros,
        zero_fraction=zeros / count if count else None,
        near_zeros=near,
        near_zero_fraction=near / count if count else None,
        relative_near_zero_fraction=relative,
        nonfinite=sum(nonfinite),
        nan=nonfinite[0],
        posinf=nonfinite[1],
        neginf=nonfinite[2],
        channels=None if rows is None else rows.shape[0],
        dead=dead,
        dead_fraction=len(dead) / rows.shape[0] if rows is not None and rows.shape[0] else None,
        histogram=_histogram(finite),
    )


def measure_buffers(model: nn.Module) -> list[Buffer]:
    """Measure every buffer (BN running statistics, counters): apart, because none of them is a weight."""
    owners = _owners(model)
    found = []
    for name, buffer in model.named_buffers():
        flat = buffer.detach().cpu().double().flatten()
        finite = flat[torch.isfinite(flat)]
        mean, std, low, high = _moments(finite)
        found.append(
            Buffer(
                name=name,
                module=type(owners[name][0]).__name__,
                dtype=str(buffer.dtype).removeprefix("torch."),
                shape=list(buffer.shape),
                count=flat.numel(),
                mean=mean,
                std=std,
                min=low,
                max=high,
                nonfinite=flat.numel() - finite.numel(),
            )
        )
    return found
