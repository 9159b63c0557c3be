"""The process that a command runs in: the encoding it begins with, the signals that end it."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Mapping

PATIENCE = 5.0  # seconds from a signal to the end of what did not end by itself


def end_soon_after_a_signal(codes: Mapping[int, int]) -> None:
    """Let no signal go unheard: what is still going some seconds after one is ended, wherever it is.

    Python raises in the main thread, which may be inside a long computation, or where nobody sees an exception (the end
    of an object, an `except` that takes all). Files are whole at every moment, so every moment is one to end at.

    Args:
        codes: the exit code of each signal.
    """
    if os.name != "posix":
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))  # a child's signals are not ours

    def watch() -> None:
        while (number := os.read(reading, 1)[0]) not in codes:
            pass
        time.sleep(PATIENCE)
        os._exit(codes[number])

    threading.Thread(target=watch, name="featreport-signals", daemon=True).start()


def in_utf8() -> None:
    """Begin again in Python's UTF-8 mode where the locale has file names read as something else.

    The same files would have other names and another order, and the report other bytes.
    """
    if sys.getfilesystemencoding() != "utf-8" and not sys.flags.utf8_mode and sys.executable:
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606 - no shell is meant
