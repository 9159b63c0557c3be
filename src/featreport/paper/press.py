"""Drawings → the bytes of their files, by several processes at once: the same bytes by any number of them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import parent_process

from featreport.errors import OutputError
from featreport.paper import backends, letters, sheet, sprites
from featreport.paper.drawing import Drawing

Files = list[tuple[str, bytes]]  # path below the folder, content
EACH = 8  # figures that are worth a process: starting one takes as long as drawing five


@dataclass(frozen=True, eq=False)
class Order:
    """A figure to be drawn, and where: a path without width and suffix."""

    stem: str
    drawing: Drawing


@contextmanager
def printing(orders: Sequence[Order], workers: int) -> Iterator[Iterator[Files]]:
    """Yield the files of each order, in order, as they are drawn by at most `workers` processes.

    No process outlives the `with`: on an error, Ctrl-C included, what is being drawn is finished and the rest left.

    Raises:
        OutputError: a process was ended from outside, as when memory runs out.
    """
    workers = min(workers, -(-len(orders) // EACH))
    if workers <= 1:
        yield map(printed, orders)
        return
    # "spawn": the same on every system, and no copy of this process's threads.
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _end_with_parent)
    try:
        with _no_interrupt():
            made = pool.map(printed, orders)
        yield made
    except BrokenProcessPool as error:
        raise OutputError(
            "a process that drew figures was ended from outside (no memory left?); try again with --workers 1"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def printed(order: Order) -> Files:
    """Draw a figure at both widths in every format."""
    drawing, files = order.drawing, Files()
    title = letters.drawable(drawing.title)
    for width in (sheet.COLUMN, sheet.FULL):
        stem = f"{order.stem}-{width:.0f}mm"
        with sheet.style(stem):
            made = backends.files(drawing.draw(width), title)
        files += [(f"{stem}.{suffix}", content) for suffix, content in made.items()]
    if drawing.values is not None:
        files.append((f"{order.stem}-values.png", sprites.encode(drawing.values)))
    if drawing.numbers is not None:
        files.append((f"{order.stem}-values.csv.gz", drawing.numbers.packed()))
    return files


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Hold Ctrl-C back; processes started meanwhile never see it: it is this one's to end them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_parent() -> None:
    """Let this process end when the one that started it does, however that ended."""

    def wait() -> None:
        parent = parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
