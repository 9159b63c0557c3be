"""Finds the file that a load audit tells of, wherever it lies by now, and reads its tensors without a model."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from torch import Tensor

from featreport.checkpoints import layout, reading, sharded
from featreport.checkpoints.alone import Whole, put_together
from featreport.checkpoints.contents import sha256_of_file
from featreport.checkpoints.sniff import sniff
from featreport.errors import CheckpointError
from featreport.results.schema import Load

SHARDED = "sharded index"


class Places:
    """Files, and folders with all below them, listed once; no file is hashed twice."""

    def __init__(self, places: Sequence[Path]) -> None:
        """Look into `places` when the first file is asked for."""
        self._places = places
        self._listed: dict[Path, int] | None = None  # with sizes
        self._digests: dict[Path, str] = {}
        self.closed = 0  # folders that could not be looked into

    def find(self, load: Load) -> reading.Checkpoint | None:
        """Return the file with the SHA-256 of `load`, read anew; None where there is none.

        Raises:
            CheckpointError: it is there and cannot be read.
        """
        for path in self._likely(load):
            if load.format == SHARDED:
                found = _shards(path, load)
            else:
                found = reading.read(path) if self._digest(path) == load.sha256 else None
            if found is not None and found.sha256 == load.sha256:
                return found
        return None

    def _likely(self, load: Load) -> Iterator[Path]:
        """Yield the files that may be the one: where it lay for the manifest, of its name, then of its size."""
        told = Path(load.path or "")
        seen: set[Path] = set()
        if load.path and not told.is_absolute() and ".." not in told.parts:
            for place in self._places:
                if (size := _size(place / told)) is not None and _may_be(size, load):
                    seen.add(place / told)
                    yield place / told
        files = [path for path, size in self._files().items() if path not in seen and _may_be(size, load)]
        yield from sorted(files, key=lambda path: path.name != told.name)

    def _files(self) -> dict[Path, int]:
        """Return every regular file with its size; links are followed, in a circle once."""
        if self._listed is None:
            self._listed = {}
            seen: set[tuple[int, int]] = set()
            for place in self._places:
                for path in [place] if place.is_file() else self._below(place, seen):
                    if (size := _size(path)) is not None:
                        self._listed.setdefault(path, size)
        return self._listed

    def _below(self, folder: Path, seen: set[tuple[int, int]]) -> Iterator[Path]:
        for where, folders, files in os.walk(folder, followlinks=True, onerror=self._note):
            with suppress(OSError):
                status = Path(where).stat()
                if (status.st_dev, status.st_ino) in seen:
                    folders.clear()
                    continue
                seen.add((status.st_dev, status.st_ino))
            folders.sort()
            yield from (Path(where, name) for name in sorted(files))

    def _note(self, _error: OSError) -> None:
        self.closed += 1

    def _digest(self, path: Path) -> str:
        if path not in self._digests:
            try:
                self._digests[path] = sha256_of_file(path)
            except OSError:
                self._digests[path] = ""
        return self._digests[path]


def tensors(content: reading.Checkpoint, load: Load) -> Iterator[Tensor]:
    """Yield the tensors of a file: first those of the state dict that was loaded, then those of every other.

    What the file holds in parts comes whole, and then as it stands.
    """
    found = layout.candidates(content.tree, content.bytes)
    for candidate in sorted(found, key=lambda one: one.path != (load.key or "")):
        entries = put_together(candidate.tensors)
        for entry in entries.values():
            with suppress(RuntimeError, TypeError, ValueError):  # parts that do not fit each other
                yield entry.value() if isinstance(entry, Whole) else entry
        yield from (tensor for name, tensor in candidate.tensors.items() if name not in entries)


def _may_be(size: int, load: Load) -> bool:
    return load.format == SHARDED or load.bytes in {None, size}


def _size(path: Path) -> int | None:
    """Return the size of a regular file; None of anything else."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _shards(path: Path, load: Load) -> reading.Checkpoint | None:
    """Return what an index leads to, where it and its shards are as large as those of `load` together."""
    try:
        if path.suffix != ".json" or sniff(path) != SHARDED:
            return None
        parts = [path, *(path.parent / name for name in sharded.shards(path))]
        if load.bytes not in {None, sum(part.stat().st_size for part in parts)}:
            return None
        return reading.read(path)
    except (CheckpointError, OSError, ValueError):  # another index, whose shards are not here
        return None
