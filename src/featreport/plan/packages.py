"""Files that an installed distribution ships: `package:DISTRIBUTION/path/in/it`."""

from __future__ import annotations

import functools
import re
from importlib import metadata
from pathlib import Path

from featreport.manifest.scalars import did_you_mean, quote
from featreport.plan.order import natural


class NotFoundError(Exception):
    """A path of the manifest leads to nothing; the message says what to do."""


def shipped(text: str) -> list[tuple[Path, str]]:
    """Return the files of `package:DISTRIBUTION/path` (or glob, or folder) with the names a report shows.

    Raises:
        NotFoundError: the distribution is not installed, or ships no such file.
    """
    name, _, inside = text.removeprefix("package:").partition("/")
    try:
        distribution = metadata.distribution(name)
    except (metadata.PackageNotFoundError, ValueError):
        near = did_you_mean(name, _installed())
        raise NotFoundError(
            f"the distribution {quote(name)} is not installed{near}: pip install {name}"
        ) from None
    files = [file.as_posix() for file in distribution.files or () if ".." not in file.parts]
    if not files:
        raise NotFoundError(f"the distribution {quote(name)} has no list of its files")
    wanted = _matching(inside.rstrip("/"))
    names = sorted((file for file in files if wanted.fullmatch(file)), key=natural)
    if not names:
        folder = inside.rstrip("/") + "/"
        names = sorted(
            (f for f in files if f.startswith(folder) and "/" not in f[len(folder) :]), key=natural
        )
    if not names:
        raise NotFoundError(f"{quote(name)} ships no file {quote(inside)}{did_you_mean(inside, files)}")
    found = [(Path(str(distribution.locate_file(file))).absolute(), file) for file in names]
    present = [(path, f"package:{name}/{file}") for path, file in found if path.is_file()]
    if not present:
        raise NotFoundError(f"{quote(inside)} is not on disk: pip install --force-reinstall {name}")
    return present


@functools.cache
def _installed() -> tuple[str, ...]:
    return tuple(sorted({d.metadata["Name"] for d in metadata.distributions() if d.metadata["Name"]}))


def _matching(pattern: str) -> re.Pattern[str]:
    """Return a glob (with `**` for any folders) as a pattern over forward-slash paths."""
    steps = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    return re.compile("".join(steps.get(part) or re.escape(part) for part in parts))
