"""Where Numba keeps what it compiled of `loops` and `lines`: a place of their own, named after their sources.

Numba itself looks at the file of a function only: it would go on using machine code into which an older version of
another file was inlined, and refuses to compile where it finds no place to write to.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numba

PACKAGE = Path(__file__).parent
SOURCES = ("cells.py", "lines.py", "loops.py", "machine.py")  # what is compiled, and the constants it holds


def compiled(**how: Any) -> Callable[[Any], Any]:
    """Return a decorator: `numba.njit` with these options, and with the cache where there is a place for one."""

    def decorate(function: Any) -> Any:
        place = directory(PACKAGE, numba.config.CACHE_DIR)
        with _kept_in(place):
            return numba.njit(**how, cache=place is not None)(function)

    return decorate


def bring_in() -> None:
    """Load now what a first call would load of Numba, while nothing else wants the interpreter.

    But for SciPy's linear algebra, which Numba looks for wherever SciPy is installed, and which no loop here calls.
    """
    from numba.core.registry import cpu_target

    modules: dict[str, Any] = sys.modules
    unused = "scipy.linalg.cython_blas"
    absent = unused not in modules
    if absent:
        modules[unused] = None  # which Python takes for: not to be found
    try:
        cpu_target.target_context.refresh()
    finally:
        if absent:
            del modules[unused]


def is_empty() -> bool:
    """Whether nothing is kept yet: the first call will compile."""
    place = directory(PACKAGE, numba.config.CACHE_DIR)
    return place is None or next(place.rglob("*.nbi"), None) is None


@cache
def directory(package: Path, chosen: str = "") -> Path | None:
    """Return the directory for the sources in `package`, and make it; None where nothing can be written.

    It lies below what the user chose for Numba, else beside the package's compiled files, else in the user's cache.
    """
    try:
        name = f"loops-{digest(package)}"
    except OSError:  # the package is not made of files: Numba could not stamp them either
        return None
    places = [Path(chosen)] if chosen else []
    places += [package / "__pycache__", *_of_user()]
    return next((place / name for place in places if _writable(place / name)), None)


def digest(package: Path) -> str:
    """Return what tells one state of the sources, and one version of Numba, from another."""
    told = sha256(numba.__version__.encode())
    for name in SOURCES:
        told.update(sha256((package / name).read_bytes()).digest())
    return told.hexdigest()[:16]


def _of_user() -> Iterator[Path]:
    """Yield the user's directories for caches; relative ones, and a home that is not known, do not count."""
    for base in (os.environ.get("XDG_CACHE_HOME", ""), os.path.expanduser("~/.cache")):  # noqa: PTH111 - never raises
        if os.path.isabs(base):  # noqa: PTH117 - of a string that may be empty
            yield Path(base) / "featreport"


def _writable(place: Path) -> bool:
    try:
        place.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=place).close()
    except OSError:
        return False
    return True


@contextmanager
def _kept_in(place: Path | None) -> Iterator[None]:
    """Let functions decorated meanwhile keep their machine code there; everybody else's stays where it was."""
    before = numba.config.CACHE_DIR
    if place is not None:
        numba.config.CACHE_DIR = str(place)
    try:
        yield
    finally:
        numba.config.CACHE_DIR = before
