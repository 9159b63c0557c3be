"""From the device to the host, once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def to_host(tensors: Sequence[Tensor]) -> list[NDArray[Any]]:
    """Return tensors of one device as arrays of the same shapes and types, in a single transfer.

    On the CPU they share the tensors' memory.
    """
    if not tensors or tensors[0].device.type == "cpu":
        return [tensor.detach().numpy() for tensor in tensors]
    return unpack(pack(tensors).cpu().numpy(), tensors)


def pack(tensors: Sequence[Tensor]) -> Tensor:
    """Return the bytes of all tensors one after the other."""
    return torch.cat([tensor.detach().contiguous().reshape(-1).view(torch.uint8) for tensor in tensors])


def unpack(data: NDArray[np.uint8], like: Sequence[Tensor]) -> list[NDArray[Any]]:
    """Take packed bytes apart into arrays of the shapes and types of `like`."""
    found, start = [], 0
    for tensor in like:
        end = start + tensor.numel() * tensor.element_size()
        kind = torch.empty(0, dtype=tensor.dtype).numpy().dtype
        found.append(np.frombuffer(data[start:end].tobytes(), kind).reshape(tuple(tensor.shape)))
        start = end
    return found
