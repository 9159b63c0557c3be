"""The next run's checkpoint is read and verified while the network of the current one runs."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from featreport.checkpoints.loading import Opened, opened
from featreport.plan.types import CheckpointRef, SourceRef

SHARE = 0.25  # of the free memory: a larger file waits for its turn
UNKNOWN_FREE = 2**30  # bytes taken to be free where the system does not say
Stamp = tuple[int, int, int]


class ReadAhead:
    """Holds at most one file, or its reading; so memory holds one checkpoint more than without, within `SHARE`.

    What goes wrong here is forgotten: the run itself reads the file again, and says so in its own words. So does a
    run whose file changed meanwhile.
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._of: tuple[CheckpointRef, SourceRef] | None = None
        self._found: tuple[Stamp, Opened] | None = None

    def start(self, checkpoint: CheckpointRef, source: SourceRef) -> None:
        """Begin to read a file; published weights, an index of shards and what is too large are left alone."""
        self.take(checkpoint, source)
        if checkpoint.kind != "file" or checkpoint.path is None or checkpoint.path.suffix == ".json":
            return
        stamp = _stamp(checkpoint.path)
        if stamp is None or stamp[0] > SHARE * free_memory():
            return
        self._of = (checkpoint, source)
        # a daemon: an interrupted build does not wait for the rest of a file
        self._thread = threading.Thread(target=self._read, args=(checkpoint, source, stamp), daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait until nothing is being read."""
        if self._thread is not None:
            self._thread.join()

    def take(self, checkpoint: CheckpointRef, source: SourceRef) -> Opened | None:
        """Return the content of this checkpoint, if it was read ahead and stands unchanged; forget all else."""
        self.wait()
        same, found = self._of == (checkpoint, source), self._found
        self._thread = self._of = self._found = None
        if not same or found is None or checkpoint.path is None or _stamp(checkpoint.path) != found[0]:
            return None
        return found[1]

    def _read(self, checkpoint: CheckpointRef, source: SourceRef, stamp: Stamp) -> None:
        try:
            self._found = stamp, opened(checkpoint, source)
        except BaseException:  # noqa: BLE001 - see the class: the run itself meets it again
            self._found = None


def free_memory() -> int:
    """Return how many bytes of memory a process may still take, as far as the system says."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError, IndexError):
        return UNKNOWN_FREE


def _stamp(path: Path) -> Stamp | None:
    """Return what changes when a file is written: size, time and inode."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_size, found.st_mtime_ns, found.st_ino
