"""How far a build is: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)

from featreport.executors.serial import Progress as Listener
from featreport.report import formats

if TYPE_CHECKING:
    from featreport.results.schema import Run


@contextmanager
def progress_on(stream: TextIO, between: Callable[[], None]) -> Iterator[Listener]:
    """Yield a listener that writes to `stream`, as bars on a terminal; `between` is called between the runs."""
    if not stream.isatty():
        yield Lines(stream, between)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("images"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(file=stream), transient=True) as bars:
        yield Bars(bars, between)


def outcome_line(run: Run, seconds: float) -> str:
    """One line for a finished run."""
    if run.error is not None:
        hint = f"\n    → {run.error.hint}" if run.error.hint else ""
        return f"  × {run.id}: failed ({run.error.stage}) after {seconds:.1f} s: {run.error.message}{hint}"
    if run.source == "none" and run.summary is not None:
        share = run.summary.near_zero_fraction
        near = "" if share is None else f", {formats.percent(share)} of the weights near zero"
        tensors = formats.plural(len(run.weights), "tensor")
        return f"  ✓ {run.id}: {tensors}, {run.parameters or 0:,} parameters{near}, {seconds:.1f} s"
    dead = "no rectifier"
    if run.summary is not None and run.summary.channels:
        dead = f"{run.summary.dead_channels} of {run.summary.channels} rectifier channels dead"
    unread = f", {len(run.images.failed)} unreadable" if run.images.failed else ""
    return f"  ✓ {run.id}: {run.images.count} image{'s' * (run.images.count != 1)}{unread}, {dead}, {seconds:.1f} s"


class Lines:
    """Plain lines: the start and the outcome of each run, and a line every five seconds in between."""

    every = 5.0

    def __init__(self, stream: TextIO, between: Callable[[], None]) -> None:
        self._stream, self._between = stream, between
        self._began = self._spoke = time.monotonic()

    def _say(self, line: str) -> None:
        print(line, file=self._stream, flush=True)

    def run_started(self, run_id: str, number: int, of: int) -> None:
        """Say which run begins."""
        self._between()
        self._began = self._spoke = time.monotonic()
        self._say(f"[{number}/{of}] {run_id}")

    def images_done(self, done: int, of: int) -> None:
        """Say how many images are done and how long the rest takes, now and then."""
        now = time.monotonic()
        if now - self._spoke >= self.every and done:
            self._spoke = now
            left = (now - self._began) / done * (of - done)
            self._say(f"    {done} of {of} images, about {left:.0f} s left in this run")

    def mention(self, line: str) -> None:
        """Say it."""
        self._say(f"  {line}")

    def run_kept(self, run: Run, number: int, of: int) -> None:
        """Say that it is as it was."""
        self._say(f"[{number}/{of}] {run.id}: unchanged")

    def run_finished(self, run: Run) -> None:
        """Say what came of it."""
        self._between()
        self._say(outcome_line(run, time.monotonic() - self._began))


class Bars:
    """A bar for the runs and one for the images of the current run; outcomes scroll by above them."""

    def __init__(self, bars: Progress, between: Callable[[], None]) -> None:
        self._bars, self._between = bars, between
        self._task = bars.add_task("starting", total=None)
        self._began = time.monotonic()

    def run_started(self, run_id: str, number: int, of: int) -> None:
        """Start the bar anew."""
        self._between()
        self._began = time.monotonic()
        self._bars.reset(self._task, description=f"[{number}/{of}] {run_id}", total=None)

    def images_done(self, done: int, of: int) -> None:
        """Move the bar."""
        self._bars.update(self._task, completed=done, total=of)

    def mention(self, line: str) -> None:
        """Print it above the bar."""
        self._bars.console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)

    def run_kept(self, run: Run, number: int, of: int) -> None:
        """Print above the bar that it is as it was."""
        line = f"  = {run.id}: unchanged ({number} of {of})"
        self._bars.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def run_finished(self, run: Run) -> None:
        """Print the outcome above the bar."""
        self._between()
        self._bars.console.print(
            outcome_line(run, time.monotonic() - self._began), markup=False, highlight=False, soft_wrap=True
        )
