"""Looking after the runs that builds keep."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from featreport import manifest
from featreport.errors import ManifestError
from featreport.fetching import copies_of
from featreport.remote import Copies
from featreport.results.entries import Store


def store_at(folder: Path) -> Store:
    """Return the store in a folder; what is wrong in it is said on standard error.

    Raises:
        ManifestError: there is none.
    """
    if not folder.is_dir():
        raise ManifestError(
            f"{folder}: no such folder; a build keeps its runs in .featreport beside its manifest"
        )
    return Store(folder, lambda line: print(line, file=sys.stderr))


def clear_store(folder: Path, keep: str, max_size: str | None) -> tuple[int, int]:
    """Remove what a store need not keep; return how many entries went, and their bytes.

    Args:
        folder: the store.
        keep: entries used within this time stay: a number with d, h, m or s, such as 30d.
        max_size: the largest size of all entries, such as 2GB; None: any.

    Raises:
        ManifestError: there is no such folder, `keep` is no time or `max_size` no size.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([dhms])", keep.strip())
    if found is None:
        raise ManifestError(f"--keep: expected a time such as 30d, 12h or 90m, got {keep!r}")
    seconds = float(found[1]) * {"d": 86400, "h": 3600, "m": 60, "s": 1}[found[2]]
    try:
        most = None if max_size is None else manifest.bytes_of(max_size)
    except ValueError as error:
        raise ManifestError(f"--max-size: {error}") from None
    store, copies = store_at(folder), _copies(folder)
    gone = store.collect(seconds, most, list(copies.all()))
    copies.tidy()
    return gone


def verify_store(folder: Path) -> tuple[int, int]:
    """Read every entry of a store, and every copy of a file elsewhere; return how many are whole, and how many not.

    What is not is set aside, or removed where it can be fetched again, and mentioned.

    Raises:
        ManifestError: there is no such folder.
    """
    runs, copies = store_at(folder).verify(), _copies(folder).verify()
    return runs[0] + copies[0], runs[1] + copies[1]


def _copies(folder: Path) -> Copies:
    return Copies(copies_of(folder), 0, lambda line: print(line, file=sys.stderr))
