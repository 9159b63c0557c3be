"""How the process begins and ends: its locale, the signals it hears, and the way out."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import NoReturn, TextIO

from featreport.errors import OutputError

INTERRUPTED, TERMINATED = 130, 143
BEGUN = "featreport-begun"  # an option -X: whatever such a process finds, it does not begin again
TUNABLES = "GLIBC_TUNABLES"
HEAP = {  # of the C library's memory (glibc's manual, "Memory Allocation Tunables")
    # One heap: what the threads that decode images gave back, the forward pass can then use.
    "glibc.malloc.arena_max": 1,
    # No small pieces put by: each large tensor leaves one where it was aligned, and one handed out again keeps what is
    # free before and after it apart. ResNet-50's heap grew by up to 100 MiB, in one process and not in the next.
    "glibc.malloc.tcache_count": 0,
    # Large tensors (up to the most there is) and what is free at the end stay the process's from batch to batch: asking
    # the system for them again took 0.1 s of every batch of ResNet-50.
    "glibc.malloc.mmap_threshold": 32 * 2**20,
    "glibc.malloc.trim_threshold": 512 * 2**20,
}
PATIENCE = 5.0  # seconds from a signal to the end of what did not end by itself


_heard: list[type[BaseException]] = []


def hear_signals(terminated: type[BaseException]) -> None:
    """Let no signal go unheard: SIGTERM raises `terminated`, and what goes on for seconds after a signal is ended.

    Python raises in the main thread, which may be inside a long computation, or where nobody sees an exception (the end
    of an object, an `except` that takes all). Files are whole at every moment, so every moment is one to end at.
    """
    signal.signal(signal.SIGTERM, partial(_raise, terminated))
    if (
        signal.getsignal(signal.SIGINT) is signal.default_int_handler
    ):  # a shell's background job is deaf to it
        signal.signal(signal.SIGINT, partial(_raise, KeyboardInterrupt))
    if os.name != "posix":
        return
    codes = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED}
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))  # a child's signals are not ours

    def watch() -> None:
        while (number := os.read(reading, 1)[0]) not in codes:
            pass
        time.sleep(PATIENCE)
        os._exit(codes[signal.Signals(number)])

    threading.Thread(target=watch, name="featreport-signals", daemon=True).start()


def _raise(kind: type[BaseException], _number: int, _frame: FrameType | None) -> NoReturn:
    _heard.append(kind)
    raise kind


def raise_again() -> None:
    """Raise for a signal whose exception somebody took: torch does while it imports NumPy, and lacks half of it."""
    if _heard:
        raise _heard[-1]


def begin_again(measuring: bool) -> None:
    """Begin this process again where it did not begin as it should: what decides that is read at its start alone.

    In Python's UTF-8 mode, where the locale has file names read as something else: the same files would have other
    names and another order, and the report other bytes. And, where networks are run, with `HEAP`, which processes
    that it starts inherit. Once; `python -X featreport-begun -m featreport …` goes on as it began, for a profiler.
    """
    if BEGUN in sys._xoptions:  # noqa: SLF001 - documented with the option -X
        with contextlib.suppress(OSError):
            Path("/proc/self/comm").write_text(
                "featreport", encoding="ascii"
            )  # or `pkill featreport` finds none
        return
    utf8 = sys.getfilesystemencoding() == "utf-8" or bool(sys.flags.utf8_mode)
    tunables = _tunables() if measuring else {}
    if (utf8 and not tunables) or not _repeatable():
        return
    options = ["-X", BEGUN, *([] if utf8 else ["-X", "utf8"])]
    with contextlib.suppress(OSError):  # then as it began
        os.execve(  # noqa: S606 - no shell is meant
            sys.executable, [sys.executable, *options, *sys.orig_argv[1:]], os.environ | tunables
        )


def _repeatable() -> bool:
    """Whether the same command begins the same: no program read from a pipe, frozen, or run by a debugger."""
    program = sys.argv[0]
    if not sys.executable or getattr(sys, "frozen", False) or sys.gettrace() is not None:
        return False
    return program not in {"", "-"} and not Path(program).is_fifo()


def _tunables() -> dict[str, str]:
    """Return the variable with what is given in the environment and, of `HEAP`, what nothing is given for.

    Nothing where nothing is to be added, or where the C library is another.
    """
    try:
        os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, OSError, ValueError):
        return {}
    given = os.environ.get(TUNABLES, "")
    names = {one.partition("=")[0] for one in given.split(":")}
    older = {name.strip("_").lower() for name in os.environ if name.startswith("MALLOC_")}  # MALLOC_ARENA_MAX
    ours = [
        f"{name}={value}"
        for name, value in HEAP.items()
        if name not in names and name.replace("glibc.malloc.", "malloc_") not in older
    ]
    return {TUNABLES: ":".join([*filter(None, [given]), *ours])} if ours else {}


class _Log(io.TextIOWrapper):
    """Standard error: where it can no longer be written (the disk is full, its reader gone), the build goes on."""

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            super().flush()


class Unread(Exception):  # noqa: N818 - no error: `featreport diff A B | head -1`
    """Whoever read standard output has gone."""


class _Result(io.TextIOWrapper):
    """Standard output: where it cannot be written, that is an error of its own."""

    def write(self, text: str) -> int:
        with _told():
            return super().write(text)

    def flush(self) -> None:
        with _told():
            super().flush()


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise Unread from error  # typer would end the process with 1: that a check failed
    except OSError as error:
        raise OutputError(
            f"standard output cannot be written: {error.strerror or error}; what was to be written to files is written."
        ) from error


def steady_streams() -> None:
    """Let a log that cannot be written end no build, and tell a result that cannot be from a bug.

    A closed descriptor is opened on nothing: the next file would get its number, and whatever C prints with it.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = _steady(sys.stdout, _Result)
    sys.stderr = _steady(sys.stderr, _Log)


def _steady(stream: TextIO | None, kind: type[io.TextIOWrapper]) -> TextIO:
    if stream is None:
        return Path(os.devnull).open("w", encoding="utf-8")
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    return kind(
        stream.buffer, stream.encoding, stream.errors, None, stream.line_buffering, write_through=True
    )


def leave(code: int) -> NoReturn:
    """End the process without taking torch's million objects apart, which takes a second; all files are written."""
    try:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
    finally:  # a signal that comes now is too late to matter
        os._exit(code)
