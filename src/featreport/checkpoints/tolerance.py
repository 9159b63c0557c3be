"""What of a misfit the manifest allows: strict, allow_missing and allow_unexpected."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from featreport.plan.types import CheckpointRef

COUNTER = "num_batches_tracked"  # files from before torch 0.4.1 lack it; evaluation does not use it
AVERAGE_COUNTER = "n_averaged"  # torch.optim.swa_utils.AveragedModel's, beside the weights


@dataclass(frozen=True)
class Tolerance:
    """Globs of the model's names that a file may lack, and of the file's that the model may lack."""

    strict: bool = True
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()

    @classmethod
    def of(cls, checkpoint: CheckpointRef) -> Tolerance:
        """Return what the manifest says for one checkpoint."""
        return cls(checkpoint.strict, checkpoint.allow_missing, checkpoint.allow_unexpected)

    def lacking(self, names: Iterable[str]) -> list[str]:
        """Return the missing names that are not allowed."""
        return [n for n in names if self.strict and not n.endswith(COUNTER) and not _any(n, self.missing)]

    def left_over(self, names: Iterable[str]) -> list[str]:
        """Return the unexpected names that are not allowed."""
        return [n for n in names if self.strict and n != AVERAGE_COUNTER and not _any(n, self.unexpected)]

    def replaced(self, name: str) -> bool:
        """Say whether a tensor may differ in shape or kind, and so keep its initial numbers."""
        return not self.strict or (_any(name, self.missing) and _any(name, self.unexpected))

    def idle(self, missing: Iterable[str], unexpected: Iterable[str]) -> list[str]:
        """Return what the audit says of globs that nothing needed."""
        lists = (
            ("allow_missing", self.missing, list(missing)),
            ("allow_unexpected", self.unexpected, list(unexpected)),
        )
        return [
            f"{what} {glob!r} matched nothing"
            for what, globs, names in lists
            for glob in globs
            if not any(fnmatchcase(name, glob) for name in names)
        ]


def _any(name: str, globs: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)
