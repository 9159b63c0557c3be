"""The same thing done for many files elsewhere at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue
from threading import Event, Semaphore, Thread
from typing import TypeVar

PATIENCE = 2.0  # seconds for what is under way to end when the build is interrupted
Asked = TypeVar("Asked")
Had = TypeVar("Had")


def together(
    task: Callable[[Asked], Had], many: Iterable[Asked], most: int, stop: Event | None = None
) -> dict[Asked, Had]:
    """Return what `task` gives for each of `many`, done on at most `most` threads; what it raises is raised here.

    The threads are daemons: an interrupted build waits for none that hears nothing from its server. It sets `stop`.
    """
    stop = stop or Event()
    had: dict[Asked, Had] = {}
    broken: list[BaseException] = []
    waiting: SimpleQueue[Asked] = SimpleQueue()
    ended = Semaphore(
        0
    )  # a thread each; one that was interrupted while it joined another takes that for ended
    for asked in many:
        waiting.put(asked)

    def work() -> None:
        try:
            take()
        finally:
            ended.release()

    def take() -> None:
        while not broken and not stop.is_set():
            try:
                asked = waiting.get_nowait()
            except Empty:
                return
            try:
                had[asked] = task(asked)
            except BaseException as error:  # noqa: BLE001 - raised again where the build is
                broken.append(error)

    threads = [
        Thread(target=work, name=f"featreport-remote-{number}", daemon=True)
        for number in range(min(most, waiting.qsize()))
    ]
    try:
        for thread in threads:
            thread.start()
        for _ in threads:
            ended.acquire()
    except BaseException:
        stop.set()
        for _ in threads:
            ended.acquire(timeout=PATIENCE / len(threads))
        raise
    if broken:
        raise broken[0]
    return had
