"""A checkpoint's bytes in memory, and what a reader of one format returns."""

from __future__ import annotations

import hashlib
import mmap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

# Smaller files are read whole: a mapped file cut short by its writer would kill the process.
MAP_FROM = 256 * 2**20


class Bytes(mmap.mmap):
    """Bytes that can be read as a file, sliced, and shared with tensors without a copy."""

    def seekable(self) -> bool:
        """Return True; `mmap` has the method from Python 3.13 on."""
        return True


@dataclass(frozen=True)
class Contents:
    """The tree of plain data in a file, and what its container says of itself."""

    tree: Any
    producer: str | None = None
    checksums: str | None = None
    objects: tuple[str, ...] = ()  # names of classes and functions in the file; none of them was looked up
    metadata: dict[str, str] = field(default_factory=dict)  # texts beside the tensors, of safetensors


def load_bytes(path: Path) -> Bytes:
    """Return the file's content, mapped copy-on-write where it is large."""
    with path.open("rb") as file:
        size = path.stat().st_size
        if size >= MAP_FROM:
            return Bytes(file.fileno(), 0, access=mmap.ACCESS_COPY)
        data = Bytes(-1, size)
        if file.readinto(data) != size:
            raise EOFError("the file became shorter while it was read")
        return data


def of_bytes(raw: bytes | memoryview) -> Bytes:
    """Return `raw` as `Bytes` of its own."""
    data = Bytes(-1, len(raw))
    data[:] = bytes(raw)
    return data


def sha256(data: Bytes) -> str:
    """Return the SHA-256 of `data` as hexadecimal text."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal text, read piece by piece."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tensor_bytes(data: Bytes, start: int, length: int) -> torch.Tensor:
    """Return bytes of `data` as a tensor that shares them."""
    if not length:
        return torch.empty(0, dtype=torch.uint8)
    return torch.frombuffer(data, dtype=torch.uint8, offset=start, count=length)
