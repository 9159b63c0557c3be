"""One way in for every format: its name, its hash, its tree; every failure is a `CheckpointError`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from featreport.checkpoints import safetensors, torch_legacy, torch_zip
from featreport.checkpoints.sniff import Format, sniff
from featreport.errors import CheckpointError

READERS: dict[Format, Callable[[Path], object]] = {
    "torch zip": torch_zip.load,
    "torch legacy": torch_legacy.load,
    "safetensors": safetensors.load,
}
_ADVICE = ("weights_only", "weights only", "add_safe_globals", "torch.load", "trust")


@dataclass(frozen=True)
class Checkpoint:
    """A file's content: containers and CPU tensors, no object of any other kind that could run."""

    tree: object
    format: Format
    sha256: str
    bytes: int


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
            "fetch or save it again and compare its size with the original's",
        ) from error


def _read(path: Path) -> Checkpoint:
    kind = sniff(path)
    before = path.stat()
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    tree = READERS[kind](path)
    after = path.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise CheckpointError("changed while it was read", "wait until the training has written it")
    return Checkpoint(tree, kind, digest, before.st_size)


def _plain(error: Exception) -> str:
    """Return the first line of an error's text; never advice to switch the protection off."""
    text = str(error).strip()
    if not text or any(word in text.lower() for word in _ADVICE):
        return f"its index holds something other than a tree of tensors ({type(error).__name__})"
    line = text.splitlines()[0]
    return f"{line[:160]} ({type(error).__name__})"
