"""Copies of files elsewhere, kept below the store: fetched once, checksummed, used while the file is the same."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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

NOTE = "copy.json"  # beside a copy: what it is of
LEFT_BEHIND = 3600.0  # seconds after which a broken transfer is nobody's any more
_PART = ".part"
_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
Say = Callable[[str], None]


@dataclass(frozen=True)
class Copies:
    """A folder of copies: one folder for each address, in it the file under its own name and a note.

    A copy whose bytes are no longer those that were fetched is fetched anew. Two builds may fetch one file at once:
    each writes a file of its own and puts it in place whole.
    """

    folder: Path
    most: int  # bytes of one file
    say: Say = print

    def get(self, address: Address, digest: str | None = None) -> Path:
        """Return the path of a copy that is the file as it is now, or the one with this SHA-256.

        Args:
            address: the file.
            digest: the SHA-256 it must have, in hex digits; with one a copy serves without asking.

        Raises:
            RemoteError: it cannot be had, is too large or another than the digest says.
        """
        path = self.path(address)
        note = self._note(path)
        if digest is not None and note.get("sha256") == digest and self._whole(path, note):
            return self._used(path)
        told = ask(address)
        known = bool(told.same) and note.get("same") == told.same and digest in {None, note.get("sha256")}
        if known and self._whole(path, note):
            return self._used(path)
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
                time.sleep(PAUSE * 3 ** (number - 1))
                told = ask(address)
        raise AssertionError("the last try returns or raises")

    def path(self, address: Address) -> Path:
        """Return where the copy of a file lies."""
        return self.folder / address.place / address.name

    def all(self) -> Iterator[Path]:
        """Yield the path of each copy."""
        for note in sorted(self.folder.glob(f"*/{NOTE}")):
            yield from (
                file for file in note.parent.iterdir() if file.name != NOTE and not file.name.startswith(".")
            )

    def verify(self) -> tuple[int, int]:
        """Read every copy; return how many are whole, and how many were removed because they are not."""
        found = [self._whole(path, self._note(path)) for path in self.all()]
        return sum(found), len(found) - sum(found)

    def tidy(self) -> None:
        """Remove what is left of copies that are gone, and of transfers that were broken off."""
        for folder in self.folder.glob("*"):
            with contextlib.suppress(OSError):
                left = list(folder.iterdir())
                for part in left:
                    if part.name.endswith(_PART) and time.time() - part.stat().st_mtime > LEFT_BEHIND:
                        part.unlink()
                if {file.name for file in left} <= {NOTE}:
                    (folder / NOTE).unlink(missing_ok=True)
                    folder.rmdir()

    def _fetched(self, address: Address, told: Told, digest: str | None) -> Path:
        path = self.path(address)
        part = _aside(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._transfer(address, part)
            size, found = part.stat().st_size, _digest(part)
            if told.size is not None and size != told.size:
                raise _AgainError(f"{address.shown}: {size:,} of {told.size:,} bytes came")
            if size > self.most:
                raise RemoteError(self._too_large(address, size))
            if ask(address).same != told.same:
                raise _AgainError(f"{address.shown}: it changed while it was read")
            if digest not in {None, found}:
                raise RemoteError(
                    f"{address.shown}: expected sha256 {digest}, got {found}: another file than was meant"
                )
            with part.open("rb") as file:
                os.fsync(file.fileno())
            note = {"of": address.shown, "same": told.same, "bytes": size, "sha256": found}
            (path.parent / NOTE).unlink(missing_ok=True)  # so that no note ever stands beside another's bytes
            part.replace(path)
            _write(path.parent / NOTE, json.dumps(note, indent=1))
        except OSError as error:
            raise RemoteError(
                f"{address.shown}: its copy cannot be written to {path.parent} ({error.strerror})"
            ) from None
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
        return path

    def _transfer(self, address: Address, part: Path) -> None:
        system, inside = open_system(address.url)
        try:
            system.get_file(inside, str(part), callback=_limit(self.most))
        except _TooMuchError:
            raise RemoteError(self._too_large(address, None)) from None
        except Exception as error:
            if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
                raise
            if is_final(error):
                raise RemoteError(reason(address.url, error)) from None
            raise _AgainError(reason(address.url, error)) from None

    def _whole(self, path: Path, note: dict[str, Any]) -> bool:
        """Say whether a copy is the bytes that were fetched; one that is not is removed."""
        try:
            if path.stat().st_size == note.get("bytes") and _digest(path) == note.get("sha256"):
                return True
        except FileNotFoundError:
            return False
        except OSError as error:
            self.say(f"{path}: the copy cannot be read ({error.strerror})")
            return False
        self.say(f"{path}: the copy of {note.get('of', 'a file elsewhere')} is damaged; removed")
        with contextlib.suppress(OSError):
            path.unlink()
        return False

    def _note(self, path: Path) -> dict[str, Any]:
        try:
            note = json.loads((path.parent / NOTE).read_bytes())
        except (OSError, ValueError):
            return {}
        return note if isinstance(note, dict) else {}

    def _used(self, path: Path) -> Path:
        with contextlib.suppress(OSError):
            os.utime(path)  # used now: what was not for long is removed by `featreport store gc`
        return path

    def _too_large(self, address: Address, size: int | None) -> str:
        has = f"has {size:,} bytes" if size is not None else "is larger"
        return f"{address.shown} {has}; remote.max_bytes allows {self.most:,}"


class _AgainError(Exception):
    """A transfer failed in a way that the next one may not."""


class _TooMuchError(Exception):
    """More came than a file may have."""


def _limit(most: int) -> Any:
    """Return a callback of fsspec that ends a transfer of more than `most` bytes."""
    from fsspec.callbacks import Callback

    base: Any = Callback

    class Limit(base):  # type: ignore[misc]  # fsspec has no types
        def call(self, *_: Any, **__: Any) -> None:
            if self.value > most:
                raise _TooMuchError

    return Limit()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, text: str) -> None:
    part = _aside(path)
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _aside(path: Path) -> Path:
    return path.with_name(f".{os.getpid()}-{time.monotonic_ns()}{_PART}")


def _size(size: int | None) -> str:
    return "" if size is None else f" ({size / 1e6:,.1f} MB)"
