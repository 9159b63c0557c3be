"""What the last build of an output was made of: where nothing changed since, nothing is made anew."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from featreport.errors import OutputError
from featreport.results.store import write_atomically


def is_as_built(store: Path, report: Path, state: str) -> bool:
    """Say whether a report and its results are, to the last bit, what a build in this state left.

    Args:
        store: the folder of finished runs.
        report: the report.
        state: a digest of all that the report is made of.
    """
    try:
        told = json.loads(_path(store, report).read_bytes())
        return isinstance(told, dict) and told == _told(report, state)
    except (OSError, ValueError, RecursionError):
        return False


def note(store: Path, report: Path, state: str, say: Callable[[str], None]) -> None:
    """Note what a finished build left; where that fails it is said, and the next build makes the report anew."""
    path = _path(store, report)
    try:
        write_atomically(path, json.dumps(_told(report, state)))
    except OutputError as error:
        say(f"{error}; the next build makes the report anew")
    except OSError as error:
        say(f"{path}: not noted ({error.strerror}); the next build makes the report anew")


def _told(report: Path, state: str) -> dict[str, str]:
    files = {"report": report, "results": report.with_suffix(".json")}
    return {"state": state} | {
        name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()
    }


def _path(store: Path, report: Path) -> Path:
    return (
        store
        / "outputs"
        / f"{hashlib.sha256(str(report).encode('utf-8', 'surrogateescape')).hexdigest()[:32]}.json"
    )
