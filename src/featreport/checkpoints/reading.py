"""One way in for every format: its name, its hash, its tree; every failure is a `CheckpointError`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from featreport.checkpoints import safetensors, sharded, torch_export, torch_legacy, torch_zip, torchscript
from featreport.checkpoints.contents import Bytes, Contents, load_bytes, sha256, sha256_of_file
from featreport.checkpoints.sniff import Format, sniff
from featreport.errors import CheckpointError

READERS: dict[Format, Callable[[Bytes], Contents]] = {
    "torch zip": torch_zip.load,
    "TorchScript": torchscript.load,
    "torch.export": torch_export.load,
}
FROM_PATH: dict[Format, Callable[[Path], Contents]] = {  # these read or map the file themselves
    "torch legacy": torch_legacy.load,
    "safetensors": safetensors.load,
}
_AGAIN = "fetch or save it again and compare its size with the original's"
_ADVICE = ("weights_only", "weights only", "add_safe_globals", "torch.load", "trust")


@dataclass(frozen=True)
class Checkpoint:
    """A file's content: plain data and CPU tensors, no object of any other kind (see `values`)."""

    tree: object
    format: Format
    sha256: str  # of the file; of an index: of its own hash and its shards', in their order
    bytes: int  # with all shards
    producer: str | None = None
    checksums: str | None = None
    objects: tuple[str, ...] = ()  # classes and functions that the file names; none was looked up
    metadata: dict[str, str] = field(default_factory=dict)  # texts beside the tensors, of safetensors


def one_line(text: str) -> str:
    """Escape what names in a file may hold and a line may not: line ends, controls, lone surrogates."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text
    )


def read(path: Path, *, shown: str | None = None) -> Checkpoint:
    """Read the checkpoint at `path`; messages call it `shown`.

    Raises:
        CheckpointError: it is not a checkpoint, is damaged, or holds what featreport does not open.
    """
    shown = shown or path.name
    try:
        return _read(path)
    except CheckpointError as error:
        raise CheckpointError(one_line(f"{shown} {error.message}"), one_line(error.hint)) from error.__cause__
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise CheckpointError(f"{shown} cannot be read: {reason}", "check the file's permissions") from error
    except MemoryError as error:
        raise CheckpointError(f"{shown} does not fit into memory", "save the state dict alone") from error
    except Exception as error:
        raise CheckpointError(
            one_line(f"{shown} is damaged or cut short: {_plain(error)}"),
            _AGAIN,
        ) from error


def _read(path: Path) -> Checkpoint:
    kind = sniff(path)
    if kind == "sharded index":
        return _read_shards(path)
    before = path.stat()
    with ThreadPoolExecutor(1) as beside:
        if kind in FROM_PATH:
            digest = beside.submit(sha256_of_file, path)
            found = FROM_PATH[kind](path)
        else:
            data = load_bytes(path)
            digest = beside.submit(sha256, data)
            found = READERS[kind](data)
        hashed = digest.result()
    after = path.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise CheckpointError("changed while it was read", "wait until the training has written it")
    return _checkpoint(found, kind, hashed, before.st_size)


def _read_shards(path: Path) -> Checkpoint:
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest()]
    size = path.stat().st_size

    def read_one(shard: Path) -> Contents:
        nonlocal size
        if sniff(shard) == "sharded index":
            raise CheckpointError("is an index itself", "name the index of the tensors")
        try:
            part = _read(shard)
        except (CheckpointError, OSError, MemoryError):
            raise
        except Exception as error:
            raise CheckpointError(f"is damaged or cut short: {_plain(error)}", _AGAIN) from error
        hashes.append(part.sha256)
        size += part.bytes
        return Contents(part.tree, part.producer, part.checksums, part.objects, part.metadata)

    found = sharded.load(path, read_one)
    return _checkpoint(found, "sharded index", hashlib.sha256("".join(hashes).encode()).hexdigest(), size)


def _checkpoint(found: Contents, kind: Format, digest: str, size: int) -> Checkpoint:
    return Checkpoint(
        found.tree, kind, digest, size, found.producer, found.checksums, found.objects, found.metadata
    )


def _plain(error: Exception) -> str:
    """Return the first line of an error's text; never advice to switch the protection off."""
    text = str(error).strip()
    if not text or any(word in text.lower() for word in _ADVICE):
        return f"its index holds something other than a tree of tensors ({type(error).__name__})"
    line = text.splitlines()[0]
    return f"{line[:160]} ({type(error).__name__})"
