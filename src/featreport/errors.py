"""The exceptions featreport raises on purpose; everything else is a bug and keeps its traceback.

    FeatreportError
    ├── ManifestError      exit 2   the manifest or the arguments are wrong; nothing was run
    ├── OutputError        exit 5   the report or its results could not be written
    │   └── TooLargeError           even the barest page is larger than it may be
    ├── BusyError          exit 75  another build holds this output
    ├── ResultsError       exit 2   a results file or report cannot be read back
    └── RunError                    one run failed; the others go on
        ├── SourceError        stage "source"      the architecture could not be built
        ├── CheckpointError    stage "checkpoint"  its tensors could not be read or do not fit
        ├── ImagesError        stage "images"      no image of the run could be used
        ├── ForwardError       stage "forward"     the network raised on a batch
        └── StatisticsError    stage "statistics"  the measuring itself failed

A run that takes longer than its timeout fails in the stage it has reached.
A message says where, what was expected, what was there; `hint` says what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from featreport.results.schema import FailedImage, Load


class FeatreportError(Exception):
    """Base of every expected error: prints its message, never a traceback."""

    exit_code: ClassVar[int] = 70


@dataclass(frozen=True, order=True)
class Problem:
    """One thing wrong with a manifest, at a place an editor can jump to (line and column count from 1).

    What an option of the command line put in has no line (0): `file` is then the option.
    """

    file: str
    line: int
    column: int
    path: str
    message: str

    @property
    def place(self) -> str:
        """Return `file:line:column`, or the option."""
        if not self.line:
            return self.file
        return f"{self.file}:{self.line}:{self.column}"

    @property
    def sentence(self) -> str:
        """Return `path: message`; at the top of the document only the message."""
        return f"{self.path}: {self.message}" if self.path else self.message

    def __str__(self) -> str:
        """Return `file:line:column path: message`."""
        return f"{self.place} {self.sentence}"


class ManifestError(FeatreportError):
    """The manifest or the arguments are wrong; carries every problem found, in the order of the file."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem] | str) -> None:
        self.problems: tuple[Problem, ...] = () if isinstance(problems, str) else tuple(sorted(set(problems)))
        if isinstance(problems, str):
            text = problems
        else:
            count = len(self.problems)
            width = max((len(problem.place) for problem in self.problems), default=0)
            lines = [f"{problem.place:<{width}} {problem.sentence}" for problem in self.problems]
            text = "\n".join([*lines, f"{count} problem{'s' * (count != 1)}; nothing was run."])
        super().__init__(text)


class OutputError(FeatreportError):
    """The output could not be written."""

    exit_code = 5


class TooLargeError(OutputError):
    """Even the barest page is larger than `report.max_bytes`; `full` is the size of the whole page in bytes."""

    def __init__(self, message: str, full: int) -> None:
        super().__init__(message)
        self.full = full


class BusyError(FeatreportError):
    """Another build holds this output."""

    exit_code = 75


class ResultsError(FeatreportError):
    """A results file or a report's embedded results cannot be read."""

    exit_code = 2


class Terminated(BaseException):  # a signal, not an error: no `except Exception` may take it
    """The process was asked to end (SIGTERM)."""


class RunError(FeatreportError):
    """One run failed; `stage` says in which step, `hint` what to do about it."""

    stage: ClassVar[str] = "forward"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class SourceError(RunError):
    """The architecture could not be built."""

    stage = "source"


class CheckpointError(RunError):
    """The checkpoint could not be read or does not fit the architecture; `load` is the audit so far."""

    stage = "checkpoint"

    def __init__(self, message: str, hint: str = "", load: Load | None = None) -> None:
        super().__init__(message, hint)
        self.load = load


class ImagesError(RunError):
    """No image of the run could be used; `failed` holds the reason for each."""

    stage = "images"

    def __init__(self, message: str, hint: str = "", failed: Sequence[FailedImage] = ()) -> None:
        super().__init__(message, hint)
        self.failed = tuple(failed)


class ForwardError(RunError):
    """The network raised on a batch."""

    stage = "forward"


class StatisticsError(RunError):
    """The measuring itself failed."""

    stage = "statistics"
