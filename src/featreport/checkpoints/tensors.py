"""What a tensor from a file must be before anything counts its elements."""

from __future__ import annotations

import torch

from featreport.errors import CheckpointError

SMALL = 2**20  # bytes; a constant expanded to this much is harmless


def verify(name: str, tensor: torch.Tensor, file_bytes: int, *, converted: bool = False) -> None:
    """Raise a `CheckpointError` unless `tensor` is dense, on the CPU and no larger than its file can hold.

    A `converted` tensor may be larger: the reader made it from fewer bytes, within a budget of its own.
    """
    if tensor.is_quantized:
        raise CheckpointError(f"holds a quantized tensor: {name}", "save a float state dict")
    if tensor.layout is not torch.strided or tensor.device.type != "cpu":
        kind = "meta (a shape without numbers)" if tensor.device.type == "meta" else str(tensor.layout)
        raise CheckpointError(
            f"holds a tensor that is not dense: {name} is {kind}", "save a dense state dict"
        )
    needed = tensor.numel() * tensor.itemsize
    if needed > max(file_bytes, SMALL) and not converted:
        raise CheckpointError(
            f"claims more than it holds: {name} would take {needed:,} bytes, the file has {file_bytes:,}",
            "the file is damaged or hostile; get it from another place",
        )
    last = tensor.storage_offset() + sum(
        (n - 1) * s for n, s in zip(tensor.shape, tensor.stride(), strict=True)
    )
    if tensor.numel() and (last + 1) * tensor.itemsize > tensor.untyped_storage().nbytes():
        raise CheckpointError(f"is damaged: {name} reaches beyond its storage", "fetch or save it again")
