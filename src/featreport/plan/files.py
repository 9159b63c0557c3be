"""A path of the manifest → the files it names, in natural order."""

from __future__ import annotations

import glob
import os
from dataclasses import dataclass
from pathlib import Path

from featreport.manifest.scalars import did_you_mean, quote
from featreport.plan.elsewhere import Find
from featreport.plan.order import display, natural
from featreport.plan.packages import NotFoundError, shipped
from featreport.remote import RemoteError, find, is_remote, shown

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")


@dataclass(frozen=True)
class Found:
    """One file: its absolute path, the name a report shows, and whether a glob or folder led to it."""

    path: Path
    name: str
    matched: bool
    url: str | None = None


def images(text: str, folder: Path, find: Find = find) -> list[Found]:
    """Return the images a path names; a file named outright is taken whatever its suffix.

    Args:
        text: the path as written.
        folder: where it starts.
        find: tells what an address names.

    Raises:
        NotFoundError: there are none.
    """
    found = _find(text, folder, find, folders=True)
    kept = [file for file in found if not file.matched or file.path.suffix.lower() in IMAGE_SUFFIXES]
    if not kept:
        count = f"{len(found)} file{'s' * (len(found) != 1)}"
        raise NotFoundError(
            f"no image in {quote(told(text))} ({count}, none ends in {', '.join(IMAGE_SUFFIXES)})"
        )
    return kept


def checkpoints(text: str, folder: Path, find: Find = find) -> list[Found]:
    """Return the checkpoint files a path names. Arguments as for `images`.

    Raises:
        NotFoundError: there are none.
    """
    if is_remote(text) and text.endswith("/"):
        raise NotFoundError(f"expected a file or a glob such as {quote(told(text) + '*.pt')}, got a folder")
    return _find(text, folder, find, folders=False)


def told(text: str) -> str:
    """Return a path of the manifest as messages may have it: an address without its secrets."""
    return shown(text) if is_remote(text) else text


def python_file(text: str, folder: Path) -> Path:
    """Return the absolute path of a Python file.

    Raises:
        NotFoundError: it does not exist.
    """
    path = absolute(text, folder)
    if not path.is_file():
        raise _missing(text, path)
    return path


def absolute(text: str, folder: Path) -> Path:
    """Return a path of the manifest as an absolute one."""
    return Path(os.path.normpath(folder / os.path.expanduser(text)))  # noqa: PTH111  # never raises


def _find(text: str, folder: Path, find: Find, *, folders: bool) -> list[Found]:
    if is_remote(text):
        return elsewhere(text, find)
    if text.startswith("package:"):
        files = shipped(text)
        outright = len(files) == 1 and files[0][1] == text
        return [Found(path, name, not outright) for path, name in files]
    path = absolute(text, folder)
    outside = Path(os.path.expanduser(text)).is_absolute()  # noqa: PTH111
    try:
        paths, matched = _listed(text, path, folder, folders=folders)
    except OSError as error:
        raise NotFoundError(f"{quote(text)} cannot be read ({error.strerror})") from None
    return [Found(one, display(one, folder, absolute=outside), matched) for one in paths]


def elsewhere(text: str, find: Find = find) -> list[Found]:
    """Return the files that an address names; their paths are those that copies of them will have below a store.

    Raises:
        NotFoundError: there are none, or the other side cannot be asked.
    """
    try:
        found, matched = find(text)
    except RemoteError as error:
        raise NotFoundError(str(error)) from None
    files = [Found(Path(one.place, one.name), one.shown, matched, one.url) for one in found]
    return sorted(files, key=lambda file: natural(file.name)) if matched else files


def _listed(text: str, path: Path, folder: Path, *, folders: bool) -> tuple[list[Path], bool]:
    """Return the files, and whether they were looked up rather than named."""
    if path.is_dir():
        if not folders:
            raise NotFoundError(
                f"expected a file or a glob such as {quote(text.rstrip('/') + '/*.pt')}, got a folder"
            )
        inside = [entry for entry in path.iterdir() if entry.is_file() and not entry.name.startswith(".")]
        return sorted(inside, key=lambda entry: natural(entry.name)), True
    if path.exists():
        return [path], False
    if not glob.has_magic(text):
        raise _missing(text, path)
    pattern = os.path.join(glob.escape(str(folder)), os.path.expanduser(text))  # noqa: PTH111, PTH118
    hits = {Path(os.path.normpath(hit)) for hit in glob.iglob(pattern, recursive=True)}  # noqa: PTH207
    files = sorted((hit for hit in hits if hit.is_file()), key=lambda hit: natural(hit.as_posix()))
    if not files:
        raise NotFoundError(f"the glob {quote(text)} matches no file")
    return files, True


def _missing(text: str, path: Path) -> NotFoundError:
    """Return the complaint about a path that is not there, with the sibling that was probably meant."""
    if not path.parent.is_dir():
        return NotFoundError(f"no such file or folder {quote(text)}: its folder does not exist")
    siblings = [entry.name for entry in path.parent.iterdir()]
    return NotFoundError(f"no such file or folder {quote(text)}{did_you_mean(path.name, siblings)}")
