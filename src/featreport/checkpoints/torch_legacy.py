"""The file torch.save wrote before torch 1.6: five pickles one after another, then the storages."""

from __future__ import annotations

from pathlib import Path

import torch

from featreport.checkpoints import scan

PICKLES = 5  # magic number, protocol, system, the object itself, the keys of the storages that follow


def load(path: Path) -> object:
    """Return the tree of containers and tensors in the file. The format holds no checksum to verify.

    Raises:
        CheckpointError: it asks for more than tensors.
        Exception: whatever torch meets in a damaged file; the caller reports it as damage.
    """
    with path.open("rb") as file:
        for _ in range(PICKLES):
            scan.refuse_names(scan.scan(file).names)
    with path.open("rb") as file:  # a file, not its path: torch.load goes by the suffix ".safetensors"
        return torch.load(file, map_location="cpu", weights_only=True)
