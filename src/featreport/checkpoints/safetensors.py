"""The safetensors format: a JSON table of tensors, then their bytes. Flat; holds nothing that could run."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import safetensors.torch

from featreport.checkpoints.contents import Contents
from featreport.errors import CheckpointError

MAX_TENSORS = 50_000  # the reader takes seconds per hundred thousand, even for empty ones
MAX_HEADER = 100 * 10**6  # bytes; the format's own limit


def load(path: Path) -> Contents:
    """Return the tensors by name, and what the table says beside them.

    Raises:
        CheckpointError: its table names a tensor twice, or is larger than any model's.
        Exception: whatever the reader meets in a damaged file; the caller reports it as damage.
    """
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > MAX_HEADER:
            raise CheckpointError(
                f"has a table of {length:,} bytes, more than safetensors allows", "save it again"
            )
        table = json.loads(file.read(length), object_pairs_hook=_no_duplicates)
    if not isinstance(table, dict) or len(table) > MAX_TENSORS:
        raise CheckpointError(
            f"names more than {MAX_TENSORS:,} tensors, or none", "save the state dict of one model"
        )
    metadata = _metadata(table)
    producer = f"safetensors (format {metadata['format'][:20]})" if "format" in metadata else "safetensors"
    tensors = safetensors.torch.load_file(path, device="cpu")
    return Contents(tensors, producer, "none in this format", metadata=metadata)


def _metadata(table: dict[str, object]) -> dict[str, str]:
    found = table.get("__metadata__")
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    names = dict(pairs)
    if len(names) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise CheckpointError(f"is ambiguous: its table names {twice!r} more than once", "save it again")
    return names
