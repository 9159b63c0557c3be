"""Tensors that a file holds in parts, and how each kind is put together again, as torch itself does.

Pruning keeps a weight and a mask; weight norm a magnitude and a direction; spectral norm a weight and the two
vectors of its largest singular value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

Combine = Callable[..., Tensor]
ORIGINAL = "parametrizations.{}.original"


@dataclass(frozen=True)
class Compound:
    """A tensor in parts, by the file's names; the first part that `combine` takes has its shape."""

    what: str
    target: str
    parts: tuple[str, ...]
    combine: Combine

    def value(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Return the whole tensor."""
        with torch.no_grad():
            return self.combine(*(tensors[part] for part in self.parts))


def find(tensors: Mapping[str, Tensor]) -> list[Compound]:
    """Return the tensors that stand in parts in a state dict; nothing is computed."""
    found: dict[str, Compound] = {}
    for name in tensors:
        compound = _suffixed(name, tensors) or _parametrized(name, tensors)
        if compound is not None and compound.target not in tensors:
            found.setdefault(compound.target, compound)
    return list(found.values())


def _suffixed(name: str, tensors: Mapping[str, Tensor]) -> Compound | None:
    if name.endswith("_orig"):
        target = name.removesuffix("_orig")
        mask = f"{target}_mask"
        if mask in tensors and tensors[mask].shape == tensors[name].shape:
            return Compound("pruning mask multiplied in", target, (name, mask), _masked)
        u, v = f"{target}_u", f"{target}_v"
        if _spectral(name, u, v, tensors):
            return Compound("spectral norm divided out", target, (name, u, v), _normalised)
    if name.endswith("_v"):
        target = name.removesuffix("_v")
        if _weight_norm(f"{target}_g", name, tensors):
            return Compound("weight norm multiplied in", target, (name, f"{target}_g"), _scaled)
    return None


def _parametrized(name: str, tensors: Mapping[str, Tensor]) -> Compound | None:
    """Read `a.parametrizations.weight.original` and its like as `a.weight`."""
    head, dot, last = name.rpartition(".")
    outer, _, parameter = head.rpartition(".")
    before, _, room = outer.rpartition(".")
    if not dot or room != "parametrizations" or f"{head}.1._u" in tensors:
        return None
    target = f"{before}.{parameter}" if before else parameter
    if last == "original1" and _weight_norm(f"{head}.original0", name, tensors):
        return Compound("weight norm multiplied in", target, (name, f"{head}.original0"), _scaled)
    if last == "original" and _spectral(name, u := f"{head}.0._u", v := f"{head}.0._v", tensors):
        return Compound("spectral norm divided out", target, (name, u, v), _normalised)
    return None


def _weight_norm(g: str, v: str, tensors: Mapping[str, Tensor]) -> bool:
    """Say whether `g` holds magnitudes of `v`: a single one, or one along an axis, the other axes of length 1."""
    if g not in tensors or not tensors[v].is_floating_point():
        return False
    magnitude, direction = tensors[g].shape, tensors[v].shape
    return not magnitude or (
        len(magnitude) == len(direction)
        and all(m in {1, d} for m, d in zip(magnitude, direction, strict=True))
    )


def _spectral(weight: str, u: str, v: str, tensors: Mapping[str, Tensor]) -> bool:
    if u not in tensors or v not in tensors or not tensors[weight].is_floating_point():
        return False
    return bool(_axes(tensors[weight], tensors[u], tensors[v]))


def _axes(weight: Tensor, u: Tensor, v: Tensor) -> list[int]:
    """Return the axes that may be the rows of the matrix whose singular vectors `u` and `v` are."""
    if u.ndim != 1 or v.ndim != 1 or not weight.numel():
        return []
    return [
        axis for axis, length in enumerate(weight.shape)
        if length == u.numel() and weight.numel() // length == v.numel()
    ]  # fmt: skip


def _masked(weight: Tensor, mask: Tensor) -> Tensor:
    return weight * mask.to(weight.dtype)


def _scaled(direction: Tensor, magnitude: Tensor) -> Tensor:
    """Return g · v / ‖v‖, the norm over every axis along which `g` does not vary."""
    v, g = _wide(direction), _wide(magnitude)
    axes = [axis for axis in range(v.ndim) if not g.ndim or g.shape[axis] == 1]
    norm = torch.linalg.vector_norm(v, dim=axes, keepdim=True) if axes else v.abs()
    return v * (g / norm)


def _normalised(weight: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Return W / uᵀWv; where two axes are as long as `u`, the rows are those whose vectors `u` and `v` are."""
    wide, left, right = _wide(weight), _wide(u), _wide(v)
    matrices = [wide.movedim(axis, 0).flatten(1) for axis in _axes(weight, u, v)]
    matrix = min(matrices, key=lambda one: _residual(one, left, right)) if len(matrices) > 1 else matrices[0]
    return wide / torch.dot(left, torch.mv(matrix, right))


def _residual(matrix: Tensor, u: Tensor, v: Tensor) -> float:
    """Return how far `u` and `v` are from one step of the power iteration, the nearer of the two steps."""
    left = functional.normalize(torch.mv(matrix, v), dim=0)
    right = functional.normalize(torch.mv(matrix.t(), u), dim=0)
    return min(float((left - u).norm()), float((right - v).norm()))


def _wide(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in {torch.float16, torch.bfloat16} else tensor
