"""Results, the part about other builds and other runs: what earlier builds measured, how alike two runs are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from featreport.results.frozen import Frozen, Number

if TYPE_CHECKING:
    from featreport.results.schema import Run


class Similarity(Frozen):
    """Debiased linear CKA between the layers of two runs over the same images; without `values` `reason` says why."""

    run: str
    other: str
    images: int = 0
    batches: int = 0  # over which it is estimated
    layers: list[str] = Field(default_factory=list)  # of `run`: the rows
    other_layers: list[str] = Field(default_factory=list)  # of `other`: the columns
    values: list[list[Number | None]] = Field(
        default_factory=list
    )  # None: a layer that tells no images apart
    reason: str | None = None


class PastRun(Frozen):
    """The headline of a run of an earlier build."""

    id: str
    status: Literal["ok", "failed"]
    digest: str = ""  # of its numbers
    passed: bool = True  # no check of level error failed
    channels: int | None = None
    dead_channels: int | None = None
    dead_fraction: Number | None = None
    near_zero_fraction: Number | None = None
    zero_fraction: Number | None = None
    nonfinite: int | None = None

    @classmethod
    def of(cls, run: Run, *, digest: str = "", passed: bool = True) -> PastRun:
        """Return the headline of a run."""
        told = run.summary.model_dump() if run.summary is not None else {}
        fields = {name: told[name] for name in cls.model_fields if name in told}
        return cls(id=run.id, status=run.status, digest=digest, passed=passed, **fields)


class PastBuild(Frozen):
    """An earlier build of a history: its number there, and its runs."""

    number: int
    runs: list[PastRun]


class History(Frozen):
    """The builds before this one, oldest first: the newest of them, and how many there are in all."""

    count: int
    builds: list[PastBuild]
    unreadable: int = 0  # files of builds that are damaged
