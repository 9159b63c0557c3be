"""What an address names: one file, the files a glob fits, or those in a folder; fsspec asks the other side."""

from __future__ import annotations

import difflib
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

# Scheme → what to install for it. All others of fsspec's are refused: some run commands, some read this machine.
SCHEMES = {
    "https": "aiohttp",
    "http": "aiohttp",
    "s3": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
}
_WEB = ("http", "https")
_REMOTE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_LONGEST = 100  # characters of a file's name that are kept
_CONNECT, _SILENCE = 20.0, 60.0  # seconds until a server must answer, and may say nothing
# By what a server says that a file is still the same one; its size alone says nothing.
_SAME = (
    "ETag",
    "etag",
    "Content-MD5",
    "md5Hash",
    "md5",
    "generation",
    "version_id",
    "VersionId",
    "content_md5",
)
_DATES = ("Last-Modified", "LastModified", "last_modified", "updated", "mtime")
_FINAL = {400, 401, 403, 404, 405, 410}
TRIES, PAUSE = 3, 1.0  # of a question or a transfer; seconds before the second, thrice that before the third
Found = TypeVar("Found")


class RemoteError(Exception):
    """An address leads to nothing, or cannot be asked; the message says why and holds no secret of the address."""


@dataclass(frozen=True)
class Address:
    """One file elsewhere."""

    url: str  # with whatever it takes to get it

    @property
    def shown(self) -> str:
        """Return the address without user, password and query, which may be secrets."""
        return shown(self.url)

    @property
    def name(self) -> str:
        """Return the file's name, as a file of this machine may be called."""
        last = unquote(PurePosixPath(urlsplit(self.url).path).name or urlsplit(self.url).netloc)
        return re.sub(r"[^\w.+=@ -]", "_", last)[-_LONGEST:].lstrip(".") or "file"

    @property
    def place(self) -> str:
        """Return the folder of its copy; a query is no part of its name: it may be a signature that changes."""
        return sha256(self.shown.encode()).hexdigest()[:24]


@dataclass(frozen=True)
class Told:
    """What the other side says of a file."""

    size: int | None
    same: dict[str, str]  # what stays while the file does; empty: nothing tells


def is_remote(text: str) -> bool:
    """Say whether a path of the manifest is an address."""
    return _REMOTE.match(text) is not None


def shown(url: str) -> str:
    """Return an address without user, password, query and fragment."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


def find(text: str) -> tuple[list[Address], bool]:
    """Return the files an address names, and whether they were looked up rather than named.

    Raises:
        RemoteError: there are none, or the other side cannot be asked.
    """
    system, path = open_system(text)
    scheme = urlsplit(text).scheme
    listing = scheme in _WEB
    magic = any(sign in urlsplit(text).path for sign in ("*[" if listing else "*?["))
    if magic:
        hits: dict[str, Any] = _asked(text, lambda: system.glob(path, detail=True))
    elif text.endswith("/"):
        entries: list[dict[str, Any]] = _asked(text, lambda: system.ls(path, detail=True))
        hits = {str(entry["name"]): entry for entry in entries}
    else:
        info: dict[str, Any] = _asked(text, lambda: system.info(path))
        if info.get("type") == "directory":
            raise RemoteError(f"{shown(text)} is a folder: write {shown(text)}/ for its files, or a glob")
        return [Address(text)], False
    names = [name for name, entry in hits.items() if entry.get("type") == "file"]
    if not names:
        raise RemoteError(f"{'the glob ' if magic else ''}{shown(text)} matches no file")
    urls = names if listing else [f"{scheme}://{name.lstrip('/')}" for name in names]
    return [Address(url) for url in urls], True


def ask(address: Address) -> Told:
    """Return what the other side says of a file.

    Raises:
        RemoteError: there is no such file, or the other side cannot be asked.
    """
    system, path = open_system(address.url)
    info: dict[str, Any] = _asked(address.url, lambda: system.info(path))
    size = info.get("size")
    marks = {key: str(info[key]) for key in _SAME if info.get(key)}
    marks = marks or {key: str(info[key]) for key in _DATES if info.get(key)}
    return Told(int(size) if isinstance(size, int) else None, marks and {**marks, "size": str(size)})


def open_system(url: str) -> tuple[Any, str]:
    """Return fsspec's file system of an address, and the file's path in it.

    Raises:
        RemoteError: no package for its scheme is installed, or it is none of those read here.
    """
    import fsspec

    scheme = urlsplit(url).scheme
    if scheme not in SCHEMES or "::" in url:
        near = difflib.get_close_matches(scheme, SCHEMES, 1)
        hint = f" (did you mean {near[0]}://?)" if near and near[0] != scheme else ""
        raise RemoteError(f"expected {', '.join(f'{name}://' for name in SCHEMES)}, got {shown(url)!r}{hint}")
    try:
        system, path = fsspec.url_to_fs(url, **_settings(scheme))
    except ImportError:
        package = SCHEMES[scheme]
        raise RemoteError(f"{scheme}:// needs the package {package}: pip install {package}") from None
    except Exception as error:  # noqa: BLE001 - each file system has its own, for keys and regions
        raise RemoteError(reason(url, error)) from None
    return system, str(path)


def _settings(scheme: str) -> dict[str, Any]:
    if scheme not in _WEB:
        return {}
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT, sock_read=_SILENCE)
    # trust_env: proxies, as every other tool takes them from the environment
    return {
        "client_kwargs": {"timeout": timeout, "trust_env": True},
        "headers": {"Accept-Encoding": "identity"},
        "skip_instance_cache": True,
    }


def _asked(url: str, question: Callable[[], Found]) -> Found:
    for number in range(1, TRIES + 1):
        try:
            return question()
        except Exception as error:  # noqa: BLE001 - each file system has its own
            if number == TRIES or is_final(error):
                raise RemoteError(reason(url, error)) from None
            time.sleep(PAUSE * 3 ** (number - 1))
    raise AssertionError("the last try returns or raises")


def is_final(error: BaseException) -> bool:
    """Say whether asking again cannot help."""
    known = isinstance(_cause(error), FileNotFoundError | PermissionError | IsADirectoryError)
    return known or getattr(_cause(error), "status", None) in _FINAL


def _cause(error: BaseException) -> BaseException:
    """Return what is behind an error: fsspec says of whatever happens over HTTP that there is no such file."""
    return error.__cause__ if isinstance(error, FileNotFoundError) and error.__cause__ else error


def reason(url: str, error: BaseException) -> str:
    """Return in words why a file could not be had, without what its address keeps secret."""
    error = _cause(error)
    name, status = shown(url), getattr(error, "status", None)
    if isinstance(error, FileNotFoundError) or status in {404, 410}:
        return f"no such file: {name}"
    if isinstance(error, PermissionError) or status in {401, 403}:
        return f"{name} may not be read ({_first_line(url, error)}); are the keys set?"
    return f"{name} cannot be read ({type(error).__name__}{_colon(_first_line(url, error))})"


def _first_line(url: str, error: BaseException) -> str:
    text = next(iter(str(error).splitlines()), "")
    for secret in sorted(_secrets(url), key=len, reverse=True):
        text = text.replace(secret, "…")
    return text[:200]


def _secrets(url: str) -> Iterator[str]:
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    yield from (text for text in (parts.query, user if at else "", parts.password or "") if text)
    yield from (value for value in re.split("[&=]", parts.query) if len(value) > 3)  # noqa: PLR2004 - no mere flag


def _colon(text: str) -> str:
    return f": {text}" if text else ""
