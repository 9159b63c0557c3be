"""An index of shards (`*.index.json`): names of tensors, and in which file beside it each lies."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from featreport.checkpoints.contents import Contents
from featreport.errors import CheckpointError

MAX_INDEX = 64 * 2**20
MAX_SHARDS = 10_000


def shards(path: Path) -> dict[str, list[str]]:
    """Return the files an index names, each with the tensors expected in it.

    Raises:
        CheckpointError: it is malformed, or names a file that is not beside it.
    """
    if path.stat().st_size > MAX_INDEX:
        raise CheckpointError(f"is an index of more than {MAX_INDEX:,} bytes", "name the file it indexes")
    table = json.loads(path.read_bytes())
    entries = table.get("weight_map") if isinstance(table, dict) else None
    if (
        not isinstance(entries, dict)
        or not entries
        or not all(isinstance(file, str) for file in entries.values())
    ):
        raise CheckpointError("is an index without names of files", "save or fetch it again")
    found: dict[str, list[str]] = {}
    for name, file in entries.items():
        if file != Path(file).name or "\\" in file or file in {"", ".", ".."}:
            raise CheckpointError(f"names a file outside its folder: {file[:80]!r}", "save or fetch it again")
        found.setdefault(file, []).append(name)
    if len(found) > MAX_SHARDS:
        raise CheckpointError(f"names {len(found):,} files, more than any model", "save or fetch it again")
    absent = sorted(file for file in found if not (path.parent / file).is_file())
    if absent:
        raise CheckpointError(
            f"names {len(found)} files, of which {len(absent)} are not beside it: {', '.join(absent[:5])}",
            "put every shard into the folder of the index",
        )
    return found


def load(path: Path, read: Callable[[Path], Contents]) -> Contents:
    """Return the tensors of all shards by name.

    Raises:
        CheckpointError: a shard cannot be read, lacks a tensor or holds one that the index puts elsewhere.
    """
    tensors: dict[str, Any] = {}
    seen: list[str] = []
    objects: dict[str, None] = {}
    files = shards(path)
    for file, names in files.items():
        try:
            part = read(path.parent / file)
        except CheckpointError as error:
            raise CheckpointError(
                f"names a shard that cannot be used: {file} {error.message}", error.hint
            ) from error
        tree = part.tree if isinstance(part.tree, dict) else {}
        lacking = [name for name in names if name not in tree]
        if lacking:
            raise CheckpointError(
                f"expects {len(lacking)} tensors in {file} that are not there ({', '.join(lacking[:3])})",
                "the shards belong to another save; fetch them together",
            )
        tensors |= {name: tree[name] for name in names}
        seen += [part.checksums] if part.checksums and part.checksums not in seen else []
        objects |= dict.fromkeys(part.objects)
    return Contents(tensors, f"{len(files)} shards", "; ".join(seen) or None, tuple(objects))
