"""Finished runs on disk, each under its key: verified on every read, a bad one set aside."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from featreport.errors import OutputError
from featreport.results.frozen import Frozen
from featreport.results.grams import Grams
from featreport.results.schema import Definition, Run
from featreport.results.store import PART, write_atomically

FORMAT, VERSION = "featreport/run", 1
LEFT_BEHIND = 3600.0  # seconds after which a temporary file belongs to no build any more
Say = Callable[[str], None]


class Made(Frozen):
    """What made a run's numbers, as the report says it."""

    device: str
    engine: str
    definitions: list[Definition]


class Entry(Frozen):
    """A finished run with its pictures and what made it."""

    run: Run
    pictures: dict[str, str]
    made: Made
    grams: Grams | None = None  # where similarities are asked for


@dataclass(frozen=True)
class Store:
    """A folder of finished runs; `say` tells people what was found wrong in it."""

    folder: Path
    say: Say = print

    def read(self, key: str) -> Entry | None:
        """Return the run under a key, or None; an entry that is not whole is set aside and mentioned."""
        path = self._path(key)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            self.say(f"{path}: cannot be read ({error.strerror}); the run is measured anew")
            return None
        entry = unpack(key, content)
        if entry is None:
            self._set_aside(path)
        else:
            with contextlib.suppress(OSError):
                os.utime(path)  # used now: `collect` removes what was not used for long
        return entry

    def write(self, key: str, entry: Entry) -> None:
        """Keep a run, whole or not at all; where that fails the build goes on and it is mentioned."""
        try:
            write_atomically(self._path(key), pack(key, entry))
            mark = self.folder / ".gitignore"
            if not os.path.exists(mark):  # noqa: PTH110 - Path.exists raises where it may not look
                write_atomically(mark, "*\n")
        except OutputError as error:
            self.say(f"{error}; this run is not kept for the next build")

    def entries(self) -> Iterator[tuple[str, Path]]:
        """Yield key and path of every entry."""
        for path in sorted((self.folder / "runs").glob("??/*.run")):
            yield path.stem, path

    def verify(self) -> tuple[int, int]:
        """Read every entry; return how many are whole and how many were set aside."""
        found = [self.read(key) is not None for key, _ in self.entries()]
        return sum(found), len(found) - sum(found)

    def collect(self, keep: float, most: int | None, more: Iterable[Path] = ()) -> tuple[int, int]:
        """Remove entries not used for `keep` seconds, then the longest unused beyond `most` bytes in all.

        Also what was set aside and what killed builds left behind. Returns how many entries went, and their bytes.

        Args:
            keep: seconds.
            most: bytes; None: any.
            more: other files of the store, which count and go like entries.
        """
        now = time.time()
        aged = []
        for path in (*(path for _, path in self.entries()), *more):
            with contextlib.suppress(OSError):
                status = path.stat()
                aged.append((status.st_mtime, status.st_size, path))
        aged.sort(reverse=True)
        room, gone = most, []
        for used, size, path in aged:
            room = None if room is None else room - size
            if now - used > keep or (room is not None and room < 0):
                gone.append((size, path))
        for path in self._refuse(now):
            with contextlib.suppress(OSError):
                path.unlink()
        removed = 0
        for size, path in gone:
            with contextlib.suppress(OSError):
                path.unlink()
                removed += size
        return len(gone), removed

    def _refuse(self, now: float) -> Iterator[Path]:
        yield from (self.folder / "bad").glob("*")
        for path in self.folder.rglob(f".*{PART}"):
            with contextlib.suppress(OSError):
                if now - path.stat().st_mtime > LEFT_BEHIND:
                    yield path

    def _path(self, key: str) -> Path:
        return self.folder / "runs" / key[:2] / f"{key}.run"

    def _set_aside(self, path: Path) -> None:
        bad = self.folder / "bad" / path.name
        try:
            bad.parent.mkdir(parents=True, exist_ok=True)
            path.replace(bad)
        except OSError as error:
            self.say(f"{path}: damaged, and cannot be set aside ({error.strerror}); the run is measured anew")
        else:
            self.say(f"{path}: damaged, set aside as {bad}; the run is measured anew")


def pack(key: str, entry: Entry) -> str:
    """Return an entry as text: a line that tells key, length and digest of the rest, and the rest."""
    rest = json.dumps(entry.model_dump(mode="python"), separators=(",", ":"), allow_nan=False)
    return f"{_head(key, rest.encode())}\n{rest}"


def unpack(key: str, content: bytes) -> Entry | None:
    """Return the entry in some bytes, or None where a single bit of them is not as it was written."""
    head, _, rest = content.partition(b"\n")
    if head != _head(key, rest).encode():
        return None
    try:
        return Entry.model_validate(json.loads(rest))
    except (ValueError, ValidationError, RecursionError):
        return None


def _head(key: str, rest: bytes) -> str:
    told = {
        "format": FORMAT,
        "version": VERSION,
        "key": key,
        "bytes": len(rest),
        "sha256": hashlib.sha256(rest).hexdigest(),
    }
    return json.dumps(told, separators=(",", ":"))
