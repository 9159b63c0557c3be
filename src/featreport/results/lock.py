"""One build at a time for each output: a lock that ends with the process that holds it."""

from __future__ import annotations

import contextlib
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from featreport.errors import BusyError
from featreport.results.store import refused

try:
    import fcntl
except ImportError:  # pragma: no cover - not on Windows
    fcntl = None  # type: ignore[assignment]  # there builds are not kept apart


@contextmanager
def held(output: Path) -> Iterator[bool]:
    """Hold the lock of an output; the kernel lets go of it when this process ends, however it ends.

    Yields whether nobody else can hold it: False where the system or its files know no locks.

    Raises:
        BusyError: another build holds it; the message says which.
        OutputError: the folder cannot be written.
    """
    if fcntl is None:  # pragma: no cover - see above
        yield False
        return
    path = _path(output)
    descriptor, alone = _taken(path, output)
    try:
        with contextlib.suppress(OSError):  # who holds it is said for people: a full disk holds it as well
            os.ftruncate(descriptor, 0)
            os.write(descriptor, json.dumps({"host": platform.node(), "pid": os.getpid()}).encode())
        yield alone
    finally:
        with contextlib.suppress(OSError):
            path.unlink()  # while it is held: who waits for this file finds out that it is another one
        with contextlib.suppress(OSError):
            os.close(descriptor)


def is_free(output: Path) -> bool:
    """Say whether no build holds an output, and none that was killed left its lock behind."""
    return not os.path.lexists(_path(output))


def _path(output: Path) -> Path:
    return output.with_name(f".{output.name}.lock")


def _taken(path: Path, output: Path) -> tuple[int, bool]:
    """Return the descriptor of the lock's file, the very file that stands at `path` now, and whether it is locked."""
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise refused(output, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = _holder(descriptor)
            os.close(descriptor)
            raise BusyError(
                f"{output}: another build is writing this report ({who}); wait for it, or choose another --output"
            ) from None
        except OSError:  # a file system without locks
            return descriptor, False
        try:
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor, True
        except FileNotFoundError:
            pass
        except OSError as error:
            os.close(descriptor)
            raise refused(output, error) from error
        os.close(descriptor)  # its holder just let go of it and took it away


def _holder(descriptor: int) -> str:
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        told = json.loads(os.pread(descriptor, 4096, 0))
        return f"process {int(told['pid'])} on {str(told['host'])[:80]}"
    return "it has not said which"
