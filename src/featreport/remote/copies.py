"""Copies of files elsewhere, kept below the store: fetched once, checksummed, used while the file is the same."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

from featreport.errors import OutputError
from featreport.remote.address import (
    PAUSE,
    TRIES,
    Address,
    RemoteError,
    Told,
    ask,
    is_final,
    open_system,
    reason,
)

NOTE = "copy.json"  # which of the copies of an address is the latest, and what it is of
_PART = ".part"
_LEFT_BEHIND = 86400.0  # seconds after which a broken transfer of another machine is nobody's any more
_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
Say = Callable[[str], None]


@dataclass(frozen=True)
class Copies:
    """A folder of copies: `ADDRESS/SHA256/NAME`, and `ADDRESS/copy.json` that tells the latest.

    A copy lies under its own checksum: nothing is ever written over one that another build reads, and one whose bytes
    are no longer those that were fetched is known by itself.
    """

    folder: Path
    most: int  # bytes of one file
    say: Say = print
    stop: Event = field(default_factory=Event)  # set: transfers end

    def get(self, address: Address, digest: str | None = None) -> Path:
        """Return the path of a copy that is the file as it is now, or the one with this SHA-256.

        Args:
            address: the file.
            digest: the SHA-256 it must have, in hex digits; with one a copy serves without asking.

        Raises:
            RemoteError: it cannot be had, is too large or another than the digest says.
            OutputError: its copy cannot be written.
        """
        self._clear(address)
        if digest is not None and (path := self._whole(address, digest)):
            return path
        told, note = ask(address), self._note(address)
        same, have = bool(told.same) and note.get("same") == told.same, str(note.get("sha256"))
        if same and digest not in {None, have}:
            raise RemoteError(_another(address, digest, have))
        if same and (path := self._whole(address, have)):
            return path
        if told.size is not None and told.size > self.most:
            raise RemoteError(self._too_large(address, told.size))
        self.say(f"fetching {address.shown}{_size(told.size)}")
        for number in range(1, TRIES + 1):
            try:
                return self._fetched(address, told, digest)
            except _AgainError as again:
                if number == TRIES:
                    raise RemoteError(f"{again}; tried {TRIES} times") from None
                self.say(f"{again}; trying again")
                self.stop.wait(PAUSE * 3 ** (number - 1))
                told = ask(address)
        raise AssertionError("the last try returns or raises")

    def all(self) -> Iterator[Path]:
        """Yield the path of each copy."""
        yield from sorted(path for path in self.folder.glob("*/*/*") if not path.name.startswith("."))

    def verify(self) -> tuple[int, int]:
        """Read every copy; return how many are whole, and how many were removed because they are not."""
        found = []
        for path in self.all():
            whole = _is_whole(path)
            found.append(whole)
            if not whole:
                self.say(f"{path}: damaged, removed; it is fetched again when it is needed")
                with contextlib.suppress(OSError):
                    path.unlink()
        return sum(found), len(found) - sum(found)

    def tidy(self) -> None:
        """Remove the folders of copies that are gone."""
        for folder in self.folder.glob("*/"):
            for inner in folder.glob("*/"):
                with contextlib.suppress(OSError):
                    inner.rmdir()  # only if it is empty
            with contextlib.suppress(OSError):
                if {entry.name for entry in folder.iterdir()} <= {NOTE}:
                    (folder / NOTE).unlink(missing_ok=True)
                    folder.rmdir()

    def _path(self, address: Address, digest: str) -> Path:
        return self.folder / address.place / digest / address.name

    def _whole(self, address: Address, digest: str) -> Path | None:
        """Return the path of the copy with a checksum, if it is there and has it."""
        path = self._path(address, digest)
        if not path.is_file():
            return None
        if not _is_whole(path):
            self.say(f"{path}: the copy of {address.shown} is damaged; fetched again")
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # used now: what was not for long is removed by `featreport store gc`
        return path

    def _fetched(self, address: Address, told: Told, digest: str | None) -> Path:
        part = (
            self.folder
            / address.place
            / f".{socket.gethostname()}-{os.getpid()}-{time.monotonic_ns()}{_PART}"
        )
        try:
            part.parent.mkdir(parents=True, exist_ok=True)
            self._hide()
            self._transfer(address, part)
            size, found = part.stat().st_size, _digest(part)
            if size > self.most:
                raise RemoteError(self._too_large(address, size))
            if told.size is not None and size != told.size:
                raise _AgainError(f"{address.shown}: {size:,} of {told.size:,} bytes came")
            if told.sure and ask(address).same != told.same:
                raise _AgainError(f"{address.shown}: it changed while it was read")
            if digest not in {None, found}:
                raise RemoteError(_another(address, digest, found))
            with part.open("rb") as file:
                os.fsync(file.fileno())
            path = self._path(address, found)
            path.parent.mkdir(exist_ok=True)
            part.replace(path)
            note = {"of": address.shown, "same": told.same, "bytes": size, "sha256": found}
            part.write_text(json.dumps(note, indent=1), encoding="utf-8")
            part.replace(part.parent / NOTE)
        except OSError as error:
            what = f"{error.strerror or type(error).__name__}"
            raise OutputError(
                f"{part.parent}: the copy of {address.shown} cannot be written ({what})"
            ) from error
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
        return path

    def _transfer(self, address: Address, part: Path) -> None:
        system, inside = open_system(address.url)
        try:
            system.get_file(inside, str(part), callback=_watch(self.most, self.stop))
        except _TooMuchError:
            raise RemoteError(self._too_large(address, None)) from None
        except _StoppedError:
            raise RemoteError(f"{address.shown}: interrupted") from None
        except Exception as error:
            mine = isinstance(error, OSError) and str(error.filename) == str(part)
            if mine or (isinstance(error, OSError) and error.errno in _OF_THE_DISK):
                raise
            if is_final(error):
                raise RemoteError(reason(address.url, error)) from None
            raise _AgainError(reason(address.url, error)) from None

    def _note(self, address: Address) -> dict[str, Any]:
        try:
            note = json.loads((self.folder / address.place / NOTE).read_bytes())
        except (OSError, ValueError):
            return {}
        return note if isinstance(note, dict) else {}

    def _clear(self, address: Address) -> None:
        """Remove what killed builds left of transfers of a file."""
        for part in (self.folder / address.place).glob(f".*{_PART}"):
            host, pid, _ = part.name[1:].rsplit("-", 2)
            with contextlib.suppress(OSError, ValueError):
                old = time.time() - part.stat().st_mtime > _LEFT_BEHIND
                if old or (host == socket.gethostname() and not _runs(int(pid))):
                    part.unlink()

    def _hide(self) -> None:
        """Keep copies out of the user's repository."""
        mark = self.folder / ".gitignore"
        if not mark.exists():
            mark.write_text("*\n", encoding="utf-8")

    def _too_large(self, address: Address, size: int | None) -> str:
        has = f"has {size:,} bytes" if size is not None else "is larger"
        return f"{address.shown} {has}; remote.max_bytes allows {self.most:,}"


class _AgainError(Exception):
    """A transfer failed in a way that the next one may not."""


class _TooMuchError(Exception):
    """More came than a file may have."""


class _StoppedError(Exception):
    """The build was interrupted."""


def checksum(path: Path) -> str:
    """Return the SHA-256 that `get` found a copy to have: it lies below it."""
    return path.parent.name


def _watch(most: int, stop: Event) -> Any:
    """Return a callback of fsspec that ends a transfer of more than `most` bytes, or of a build that ends."""
    from fsspec.callbacks import Callback

    base: Any = Callback

    class Watch(base):  # type: ignore[misc]  # fsspec has no types
        def call(self, *_: Any, **__: Any) -> None:
            if stop.is_set():
                raise _StoppedError
            if self.value > most:
                raise _TooMuchError

    return Watch()


def _another(address: Address, wanted: str | None, found: str) -> str:
    return f"{address.shown}: expected sha256 {wanted}, got {found}: another file than was meant"


def _is_whole(path: Path) -> bool:
    try:
        return _digest(path) == checksum(path)
    except OSError:
        return False


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _size(size: int | None) -> str:
    return "" if size is None else f" ({size / 1e6:,.1f} MB)"
