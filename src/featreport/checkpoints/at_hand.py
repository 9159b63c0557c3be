"""The file a load audit tells of, where it still is; and its tensors as they were measured."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from torch import Tensor

from featreport.checkpoints import layout, reading
from featreport.checkpoints.alone import Whole, put_together
from featreport.checkpoints.contents import sha256_of_file
from featreport.errors import CheckpointError
from featreport.results.schema import Load

SHARDED = "sharded index"


def find(places: Sequence[Path], load: Load) -> reading.Checkpoint | None:
    """Return the file with the SHA-256 of `load`, read anew, from `places` (files, and folders with all below them).

    Where it lay, as the manifest named it, is looked at first, then files of its name, then all of its size.

    Raises:
        CheckpointError: it is there and cannot be read.
    """
    seen: set[Path] = set()
    for path in _likely(places, load):
        if path in seen:
            continue
        seen.add(path)
        try:
            if load.format != SHARDED and sha256_of_file(path) != load.sha256:
                continue
            found = reading.read(path)
        except OSError:
            continue
        except CheckpointError:
            if load.format == SHARDED:  # another index of this name, whose shards are not here
                continue
            raise
        if found.sha256 == load.sha256:
            return found
    return None


def tensors(content: reading.Checkpoint, load: Load) -> Iterator[Tensor]:
    """Yield the tensors of a file: first those of the state dict that was loaded, then those of every other.

    What the file holds in parts comes whole, and then as it stands.
    """
    found = layout.candidates(content.tree, content.bytes)
    for candidate in sorted(found, key=lambda one: one.path != (load.key or "")):
        entries = put_together(candidate.tensors)
        for entry in entries.values():
            yield entry.value() if isinstance(entry, Whole) else entry
        yield from (tensor for name, tensor in candidate.tensors.items() if name not in entries)


def _likely(places: Sequence[Path], load: Load) -> Iterator[Path]:
    """Yield the files that may be the one, the likeliest first."""
    yield from (path for path in places if path.is_file())
    folders = [path for path in places if path.is_dir()]
    name = Path(load.path or "").name
    yield from (path for folder in folders if load.path and (path := folder / load.path).is_file())
    files = [
        Path(where, one) for folder in folders for where, _, some in os.walk(folder) for one in sorted(some)
    ]
    yield from (path for path in files if path.name == name)
    if load.format != SHARDED and load.bytes is not None:
        yield from (path for path in files if _size(path) == load.bytes)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None
