"""What kind of tensor a parameter is: by the module that holds it, or by its name and shape where there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.LocalResponseNorm)
EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)
LAYERS = (_ConvNd, nn.Linear, nn.Bilinear, nn.MultiheadAttention, nn.RNNBase, nn.RNNCellBase)
RUNNING = ("running_mean", "running_var", "num_batches_tracked")
Kind = Literal["weight", "bias", "norm", "embedding", "other"]


def class_of(module: nn.Module) -> type[nn.Module]:
    """Return a module's class; of one compiled to TorchScript the layer of torch that bears its original name."""
    if isinstance(module, torch.jit.ScriptModule):
        found = getattr(nn, module.original_name, None)
        if isinstance(found, type) and issubclass(found, nn.Module):
            return found
    return type(module)


def held_by(module: nn.Module) -> tuple[Mapping[str, Tensor | None], Mapping[str, Tensor | None]]:
    """Return the parameters and the buffers that a module holds itself, in the order of their registration.

    As torch knows them: a network's own `named_parameters()` may list others (those it trains).
    """
    if isinstance(module, torch.jit.ScriptModule):  # it keeps them elsewhere
        own = nn.Module.named_parameters(module, recurse=False, remove_duplicate=False)
        return dict(own), dict(nn.Module.named_buffers(module, recurse=False, remove_duplicate=False))
    return module._parameters, module._buffers  # noqa: SLF001 - torch's methods take 2 ms more of ResNet-50's 17


def of_parameter(module: nn.Module, name: str, tensor: Tensor) -> Kind:
    """Return the kind of the parameter that `module` holds as `name`."""
    kind = class_of(module)
    if issubclass(kind, NORMS) or (tensor.ndim == 1 and "norm" in kind.__name__.lower()):
        return "norm"
    if issubclass(kind, EMBEDDINGS):
        return "embedding"
    if "bias" in name:
        return "bias"
    return "weight" if tensor.ndim > 1 and (issubclass(kind, LAYERS) or "weight" in name) else "other"


def is_norm(module: nn.Module, held: Mapping[str, object]) -> bool:
    """Say whether a module that holds these tensors is a norm: it has running statistics, or a scale as norms have."""
    if isinstance(held.get("running_var"), Tensor):
        return True
    scale, kind = held.get("weight"), class_of(module)
    return isinstance(scale, Tensor) and (
        issubclass(kind, NORMS) or (scale.ndim == 1 and "norm" in kind.__name__.lower())
    )


def of_name(name: str, shapes: Mapping[str, Sequence[int]]) -> Kind:
    """Return the kind of a tensor of which only name and shape are known, and those of its neighbours.

    A bias beside a one-dimensional weight belongs to a norm; `embed` names an embedding where it is the tensor or
    the layer itself (`patch_embed.proj` is a convolution).
    """
    layer, _, local = name.lower().rpartition(".")
    axes = len(shapes[name])
    if "bias" in local:
        beside = shapes.get(f"{name.rpartition('.')[0]}.weight")
        return "norm" if beside is not None and len(beside) == 1 else "bias"
    if "embed" in local or (axes == 2 and "embed" in layer.rpartition(".")[2]):  # noqa: PLR2004 - a table
        return "embedding"
    if axes > 1:
        return "weight" if "weight" in local else "other"
    return "norm" if local in {"weight", "gamma", "beta", "scale"} and axes else "other"


def dense(tensor: Tensor) -> Tensor:
    """Return a parameter or buffer as the rows of numbers it stands for, as checkpoints' own are read."""
    if tensor.is_quantized:
        return tensor.dequantize()
    return tensor if tensor.layout == torch.strided or tensor.is_nested else tensor.detach().to_dense()


def is_buffer(name: str, dtype: torch.dtype) -> bool:
    """Say whether a tensor is one that no training step learns: running statistics, counters, indices, masks."""
    return name.rpartition(".")[2] in RUNNING or not (dtype.is_floating_point or dtype.is_complex)
