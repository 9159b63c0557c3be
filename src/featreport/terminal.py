"""A comparison on the terminal: the verdict, then the worst rows."""

from __future__ import annotations

from typing import TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from featreport.judge.compare import Comparison
from featreport.judge.compare.lines import Line, largest, lines
from featreport.report import formats

MOST = 30  # rows
NAME = 30  # letters of a layer's name that fit 80 columns beside its numbers
COLUMNS = 80
HEADS = ("Dead", "New", "Near 0", "Shift", "Drift")
LEGEND = (
    "New: channels newly dead (+) and revived (−). Near 0: percentage points. Shift: Jensen–Shannon distance of "
    "histograms, 0 to 1. Drift: ‖A − B‖ / ‖A‖ ± standard error where it is estimated."
)


def show(comparison: Comparison, stream: TextIO) -> None:
    """Write the comparison to `stream`; without colour where that is no terminal."""
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="replace")  # an ASCII terminal gets question marks, not a traceback
    width = None if stream.isatty() else COLUMNS
    console = Console(file=stream, width=width, highlight=False, emoji=False, soft_wrap=False)
    with (
        console.capture() as told
    ):  # written in one go, by us: rich would end the process where the reader has gone
        _show(comparison, console)
    stream.write(told.get())


def _show(comparison: Comparison, console: Console) -> None:
    console.print(Text(formats.clean(comparison.verdict), style="bold"))
    for note in filter(None, (largest(comparison), *_notes(comparison))):
        console.print(Text(formats.clean(note), style="dim"))
    found = lines(comparison)
    if found:
        console.print(_table(found[:MOST], console.width, several=len(comparison.runs) > 1))
        if len(found) > MOST:
            console.print(Text(f"and {formats.integer(len(found) - MOST)} more (--json has all)"))
        console.print(Text(LEGEND, style="dim"))


def _notes(comparison: Comparison) -> list[str]:
    """Return what a reader should know beside the numbers, and why runs have none."""
    notes = list(comparison.notes)
    for run in comparison.runs:
        notes += [f"{run.after}: {note}" if len(comparison.runs) > 1 else note for note in run.notes]
        for side, failure in zip("AB", run.failures, strict=True):
            if failure is not None:
                notes.append(f"{run.after} failed in {side}: {formats.shorten(failure, 140)}")
        if run.load:
            fields = ", ".join(one.what for one in run.load)
            notes.append(f"{run.after}: the load audits differ in {fields}.")
    return notes


def _table(found: list[Line], width: int, *, several: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, show_edge=False)
    table.add_column("Layer or tensor", overflow="fold", min_width=16)
    for head in HEADS:
        table.add_column(head, justify="right", no_wrap=True)
    room = NAME + max(0, width - COLUMNS)
    for line in found:
        name = Text(formats.shorten(line.name, room))
        if several:
            name.append(f"\n{formats.shorten(line.run, room)}", style="dim")
        new = Text(line.new, style="bold red" if "+" in line.new else "green")
        table.add_row(name, Text(line.dead), new, Text(line.near_zero), Text(line.shift), Text(line.drift))
    return table
