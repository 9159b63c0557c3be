"""Onto the disk whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from featreport.errors import OutputError


def check_writable(path: Path) -> None:
    """Make the output's folder and prove that a file can be written there, before any work is done.

    Raises:
        OutputError: it cannot; the path and the free space are named.
    """
    if path.is_dir():
        raise OutputError(f"{path}: cannot write the report: it is a folder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent) as probe:
            probe.write(b"featreport")
    except OSError as error:
        raise OutputError(refused(path, error)) from error


def write_atomically(path: Path, text: str) -> None:
    """Write UTF-8 text by a temporary file in the same folder, flush, fsync, and `os.replace`.

    Raises:
        OutputError: it could not be written; what stood at `path` before still stands.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        temporary = Path(name)
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise OutputError(refused(path, error)) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def refused(path: Path, error: OSError) -> str:
    """Name the path, the reason and the free space."""
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if folder.is_file():
        return (
            f"{path}: cannot be written: {folder} is a file, not a folder; choose another place with --output"
        )
    free = ""
    with contextlib.suppress(OSError):
        free = f" ({shutil.disk_usage(folder).free / 1e6:,.0f} MB free there)"
    return f"{path}: cannot be written: {error.strerror or error}{free}; choose another place with --output"
