"""Faults at every call that a process makes on some folders: an error of the system, a write cut short, a kill -9.

`Watch` stands between Python and the calls that open, write, rename, remove, look at or lock a file. It is put into a
process that does one build and ends: nothing is put back. Where a machine has strace, `sweep.py` does the same from
outside the process.
"""

from __future__ import annotations

import _io
import builtins
import errno
import fcntl
import io
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KILL = "KILL"
PATHS = (
    "open", "replace", "rename", "unlink", "remove", "rmdir", "mkdir", "chmod", "utime", "stat", "lstat", "listdir",
    "scandir", "access", "truncate", "link", "statvfs",
)  # fmt: skip
DESCRIPTORS = ("fsync", "fdatasync", "write", "pread", "ftruncate", "fchmod", "fstat", "close")
CHANGE = {"open to write", "write", "fsync", "replace", "rename", "mkdir", "ftruncate", "chmod", "utime"}


@dataclass(frozen=True)
class Call:
    """One call on a watched file; `inside` is the file's place within the first folder that holds it."""

    name: str
    path: str

    def __str__(self) -> str:
        """Return it as a person would write it."""
        return f"{self.name}({self.path})"


@dataclass
class Watch:
    """Counts the calls on files in `folders`; at call number `at` (from 0) lets `fault` happen.

    `fault` is the name of an error (ENOSPC), or KILL. `torn`: half of what was to be written is, before that.
    `lasting`: from then on every call that would change the disk meets it too.
    """

    folders: Sequence[Path]
    at: int | None = None
    fault: str = KILL
    torn: bool = False
    lasting: bool = False
    seen: Callable[[Call], None] = lambda _call: None
    count: int = 0
    _open: dict[int, str] = field(default_factory=dict)

    def begin(self) -> None:
        """Stand between Python and the system, from now to the end of this process."""
        for name in PATHS:
            setattr(os, name, self._on_path(name, getattr(os, name)))
        for name in DESCRIPTORS:
            setattr(os, name, self._on_descriptor(name, getattr(os, name)))
        fcntl.flock = self._on_descriptor("flock", fcntl.flock)
        opened = self._on_file(io.open)
        builtins.open = io.open = _io.open = opened

    def _watched(self, path: object) -> str | None:
        if isinstance(path, int):
            return self._open.get(path)
        try:
            whole = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - Path calls what is replaced here
        except TypeError:
            return None
        return whole if any(Path(whole).is_relative_to(folder) for folder in self.folders) else None

    def _meet(self, name: str, path: str, tear: Callable[[], object] | None = None) -> None:
        number, self.count = self.count, self.count + 1
        self.seen(Call(name, path))
        later = self.lasting and self.at is not None and number > self.at and name in CHANGE
        if number != self.at and not later:
            return
        if self.torn and tear is not None:
            tear()
        if self.fault == KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        number = getattr(errno, self.fault)
        raise OSError(number, os.strerror(number), path)

    def _on_path(self, name: str, plain: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            named = [
                *args[:1],
                *(arg for arg in args[1:2] if not isinstance(arg, int)),
            ]  # not flags or a mode
            path = next((found for arg in named if (found := self._watched(arg))), None)
            if path is not None:
                writing = name == "open" and args[1] & (os.O_WRONLY | os.O_RDWR)
                self._meet("open to write" if writing else name, path)
            result = plain(*args, **more)
            if name == "open" and path is not None:
                self._open[result] = path
            return result

        return call

    def _on_descriptor(self, name: str, plain: Callable[..., Any]) -> Callable[..., Any]:
        def call(descriptor: Any, *args: Any, **more: Any) -> Any:
            number = descriptor if isinstance(descriptor, int) else -1
            path = self._open.get(number)
            if name == "close":  # closed it is, whatever is said of it
                self._open.pop(number, None)
                plain(descriptor)
            if path is not None:
                half = args[0][: len(args[0]) // 2] if name == "write" else b""
                self._meet(name, path, (lambda: plain(descriptor, half)) if half else None)
            return None if name == "close" else plain(descriptor, *args, **more)

        return call

    def _on_file(self, plain: Callable[..., Any]) -> Callable[..., Any]:
        def call(file: Any, mode: str = "r", *args: Any, **more: Any) -> Any:
            path = self._watched(file)
            if path is None:
                if "opener" in more:  # a temporary file without a name: its opener asks os.open
                    before = set(self._open)
                    opened = plain(file, mode, *args, **more)
                    new = set(self._open) - before
                    return _File(opened, self._open[new.pop()], self._meet) if new else opened
                return plain(file, mode, *args, **more)
            if not isinstance(file, int):
                self._meet("open to write" if set(mode) & set("wxa+") else "open", path)
            return _File(plain(file, mode, *args, **more), path, self._meet)

        return call


class _File:
    """A file whose reads and writes are calls that may fail."""

    def __init__(self, plain: Any, path: str, meet: Callable[..., None]) -> None:
        self._plain, self._path, self._meet = plain, path, meet

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_what: object) -> None:
        self.close()

    def __iter__(self) -> Any:
        return iter(self._plain)

    def read(self, *args: Any) -> Any:
        """Read, if that may succeed."""
        self._meet("read", self._path)
        return self._plain.read(*args)

    def write(self, data: Any) -> Any:
        """Write, if that may succeed; torn, half of it."""
        self._meet(
            "write", self._path, lambda: (self._plain.write(data[: len(data) // 2]), self._plain.flush())
        )
        return self._plain.write(data)

    def close(self) -> None:
        """Close; that may be the call that fails."""
        if not self._plain.closed:
            self._plain.close()
            self._meet("close", self._path)
