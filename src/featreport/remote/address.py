"""What an address names: one file, the files a glob fits, or those in a folder; fsspec asks the other side."""

from __future__ import annotations

import difflib
import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

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
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]+")
_QUERY = re.compile(r"\?[^\s'\"<>]+")
# Parameters that sign an address: with others it is the same file.
_SIGNS = re.compile(
    r"(x-(amz|goog|ms|oss|cos)-.*|.*signature|expires|.*token|key-pair-id|policy|awsaccesskeyid|googleaccessid"
    r"|s[aeiprtv]|sig|sip|spr|ske|skoid|sks|skt|sktid|skv|srt|ss)",
    re.IGNORECASE,
)
_LONGEST = 100  # bytes of a file's name that are kept
_CONNECT, _SILENCE = 10.0, 30.0  # seconds until a server must answer, and may say nothing
# By what a server says that a file is still the same one; its size alone says nothing, a date not for sure.
_SURE = (
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
        """Return the address without what may be secret in it."""
        return shown(self.url)

    @property
    def name(self) -> str:
        """Return the file's name, as a file of this machine may be called."""
        text = unquote(urlsplit(self.url).path) if _scheme(self.url) in _WEB else _rest(self.url)
        name = re.sub(r"[^\w.+=@ -]", "_", PurePosixPath(text).name)
        short = name.encode()[-_LONGEST:].decode("utf-8", "ignore")
        return short.lstrip(".") or "file"

    @property
    def place(self) -> str:
        """Return the name of the folder of its copies: each file has one of its own, whoever signed its address."""
        return sha256(_identity(self.url).encode()).hexdigest()[:24]


@dataclass(frozen=True)
class Told:
    """What the other side says of a file."""

    size: int | None
    same: dict[str, str]  # what stays while the file does; empty: nothing tells
    sure: bool  # whether it also changes whenever the file does


def is_remote(text: str) -> bool:
    """Say whether a path of the manifest is an address."""
    return _REMOTE.match(text) is not None


def shown(url: str) -> str:
    """Return an address without user, password, query and fragment; one that a query tells apart keeps a mark of it."""
    if _scheme(url) not in _WEB:
        return url  # a bucket and a key: keys of access are elsewhere
    parts = urlsplit(url)
    plain = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    return f"{plain}?…{sha256(_identity(url).encode()).hexdigest()[:6]}" if _telling(url) else plain


def _readable(url: str) -> bool:
    try:
        urlsplit(url)
    except ValueError:  # its message repeats user and password
        return False
    return True


def _scheme(url: str) -> str:
    return url.partition("://")[0].lower()


def _rest(url: str) -> str:
    return url.partition("://")[2]


def _telling(url: str) -> list[tuple[str, str]]:
    """Return the parameters of a web address that name the file."""
    pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    return [(key, value) for key, value in pairs if not _SIGNS.fullmatch(key)]


def _identity(url: str) -> str:
    if _scheme(url) not in _WEB:
        return url
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}?{_telling(url)}"


def find(text: str) -> tuple[list[Address], bool]:
    """Return the files an address names, and whether they were looked up rather than named.

    Raises:
        RemoteError: there are none, or the other side cannot be asked.
    """
    web = _scheme(text) in _WEB
    if web and not _readable(text):
        raise RemoteError(
            "one of the addresses is no valid web address: is a sign in its user, password or host not %-encoded? "
            "(It is not repeated here because it may hold a password)"
        )
    system, path = open_system(text)
    magic = any(sign in (urlsplit(text).path if web else _rest(text)) for sign in ("*[" if web else "*?["))
    if magic and web and urlsplit(text).query:
        raise RemoteError(f"{shown(text)}: a glob over HTTP takes no query; name the files")
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
    return [Address(name if web else _within(text, name.lstrip("/"))) for name in names], True


def _within(text: str, name: str) -> str:
    """Return the address of a name of a listing; `container@account` stays what it is."""
    container, at, account = _rest(text).partition("/")[0].partition("@")
    listed, _, key = name.partition("/")
    host = f"{container}@{account}" if at and listed == container else listed
    return f"{_scheme(text)}://{host}/{key}"


def ask(address: Address) -> Told:
    """Return what the other side says of a file now.

    Raises:
        RemoteError: there is no such file, or the other side cannot be asked.
    """
    system, path = open_system(address.url)

    def now() -> dict[str, Any]:
        system.invalidate_cache()
        found: dict[str, Any] = system.info(path)
        return found

    info = _asked(address.url, now)
    size = info.get("size")
    marks = {key: str(info[key]) for key in _SURE if info.get(key)}
    sure = bool(marks)
    marks = marks or {key: str(info[key]) for key in _DATES if info.get(key)}
    known = int(size) if isinstance(size, int) and size > 0 else None  # some answer 0 where they do not know
    return Told(known, marks and {**marks, "size": str(size)}, sure)


def open_system(url: str) -> tuple[Any, str]:
    """Return fsspec's file system of an address, and the file's path in it.

    Raises:
        RemoteError: no package for its scheme is installed, or it is none of those read here.
    """
    import fsspec

    scheme = _scheme(url)
    if scheme not in SCHEMES or "::" in url:
        near = difflib.get_close_matches(scheme, SCHEMES, 1)
        hint = f" (did you mean {near[0]}://?)" if near and near[0] != scheme else ""
        raise RemoteError(f"expected {', '.join(f'{name}://' for name in SCHEMES)}, got {shown(url)!r}{hint}")
    _listen(scheme)
    try:
        system, path = fsspec.url_to_fs(url, **_settings(scheme))
    except ImportError:
        package = SCHEMES[scheme]
        raise RemoteError(f"{scheme}:// needs the package {package}: pip install {package}") from None
    except Exception as error:  # noqa: BLE001 - each file system has its own, for keys and regions
        raise RemoteError(reason(url, error)) from None
    return system, str(path)


def _listen(scheme: str) -> None:
    """Keep a package's own log from standard error where nobody asked for it: what went wrong is said in one line."""
    logger = logging.getLogger(SCHEMES[scheme])
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())


def _settings(scheme: str) -> dict[str, Any]:
    if scheme not in _WEB:
        return {"skip_instance_cache": True}
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT, sock_read=_SILENCE)
    return {
        # trust_env: proxies, as every other tool takes them from the environment
        "client_kwargs": {"timeout": timeout, "trust_env": True},
        "headers": {"Accept-Encoding": "identity"},
        "skip_instance_cache": True,
    }


def _asked(url: str, question: Callable[[], Found]) -> Found:
    for number in range(1, TRIES + 1):
        try:
            return question()
        except Exception as error:  # noqa: BLE001 - each file system has its own
            if number == TRIES or is_final(error) or isinstance(_cause(error), TimeoutError):
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
    """Return in words why a file could not be had, without what addresses keep secret."""
    error = _cause(error)
    name, status = shown(url), getattr(error, "status", None)
    if isinstance(error, FileNotFoundError) or status in {404, 410}:
        return f"no such file: {name}"
    said = (
        f"{status} {getattr(error, 'message', '')}".strip() if isinstance(status, int) else _scrubbed(error)
    )
    if isinstance(error, PermissionError) or status in {401, 403}:
        return f"{name} may not be read ({said}); are the keys set?"
    return f"{name} cannot be read ({type(error).__name__}{f': {said}' if said else ''})"


def _scrubbed(error: BaseException) -> str:
    """Return the first line of an error's words; of any address in it, a redirect's too, what may be told."""
    text = next(iter(str(error).splitlines()), "")
    text = _URL.sub(lambda found: shown(found[0]), text)
    return _QUERY.sub(lambda found: found[0] if found[0].startswith("?…") else "?…", text)[:200]
