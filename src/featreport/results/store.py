"""Onto the disk whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
from pathlib import Path

from featreport.errors import OutputError

PART = ".part"  # ends the name of a file that is being written


def check_writable(path: Path) -> None:
    """Make the output's folder and prove that a file can be written there, before any work is done.

    Raises:
        OutputError: it cannot; the path and the free space are named.
    """
    if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises where the folder may not be looked into
        raise OutputError(f"{path}: cannot write the report: it is a folder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent) as probe:
            probe.write(b"featreport")
    except OSError as error:
        raise refused(path, error) from error


def write_atomically(path: Path, text: str) -> None:
    """Write UTF-8 text by a temporary file in the same folder, flush, fsync, and `os.replace`.

    Raises:
        OutputError: it could not be written; what stood at `path` before still stands.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}{PART}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise refused(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_aside(name: str, text: str) -> Path | None:
    """Write text to a temporary folder of its own; return the file, or None where that fails too."""
    folder: Path | None = None
    try:
        folder = Path(tempfile.mkdtemp(prefix="featreport-"))
        write_atomically(folder / name, text)
    except (OSError, OutputError):
        if folder is not None:
            with contextlib.suppress(OSError):
                folder.rmdir()
        return None
    return folder / name


def clear_parts(path: Path) -> None:
    """Remove what killed processes left behind of `path`; only for who alone writes it."""
    with contextlib.suppress(OSError):
        for found in path.parent.iterdir():
            if found.name.startswith(f".{path.name}.") and found.name.endswith(PART):
                with contextlib.suppress(OSError):
                    found.unlink()


def refused(path: Path, error: OSError, advice: str = "choose another place with --output") -> OutputError:
    """Return an error that names the path, the reason and the free space."""
    folder = path.parent
    while not os.path.exists(folder) and folder != folder.parent:  # noqa: PTH110 - Path.exists may raise
        folder = folder.parent
    if os.path.isfile(folder):  # noqa: PTH113 - likewise
        return OutputError(f"{path}: cannot be written: {folder} is a file, not a folder; {advice}")
    free = ""
    with contextlib.suppress(OSError):
        free = f" ({shutil.disk_usage(folder).free / 1e6:,.0f} MB free there)"
    return OutputError(f"{path}: cannot be written: {error.strerror or error}{free}; {advice}")
