"""Orders and spellings of paths as people expect them."""

from __future__ import annotations

import os
import re
from pathlib import Path


def natural(text: str) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """Return a sort key that puts epoch_2 before epoch_10."""
    parts = re.split(r"([0-9]+)", text)
    return tuple((0, int(p), "") if i % 2 else (1, 0, p.casefold()) for i, p in enumerate(parts)), text


def printable(text: str) -> str:
    """Return a file name as text that can be written anywhere: bytes that are not UTF-8 are escaped."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def display(path: Path, folder: Path, *, absolute: bool) -> str:
    """Return the name a report shows: relative to the manifest, or file and parent where it was absolute."""
    if absolute:
        return printable(f"{path.parent.name}/{path.name}" if path.parent.name else path.name)
    return printable(Path(os.path.relpath(path, folder)).as_posix())
