"""What the checks of a build found (part of `schema`)."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from featreport.results.frozen import Frozen, Number

Severity = Literal["ok", "warn", "error"]
# Metrics of a comparison: channels, by index, that are dead now and were not in the baseline, and the other way about.
OF_COMPARISON: Final = {
    "newly_dead_channels": "activations",
    "revived_channels": "activations",
    "newly_dead_filters": "weights",
    "revived_filters": "weights",
}


class CheckItem(Frozen):
    """One number that a check has something to say about; `layer` is empty where it is the run's own number.

    `verdict` "failed": it breaks `limit`; "missing": the baseline has it, this run has not (warns); "new": the other
    way about (informs).
    """

    layer: str  # or the tensor
    call: int = 0
    output: str | None = None
    verdict: Literal["failed", "missing", "new"]
    observed: Number | None  # None of a "new" layer: what it is in a comparison cannot be said
    bound: Literal["at most", "at least", "exactly", "below"] | None = None
    limit: Number | None = None  # the number it was held against, the baseline reckoned in
    baseline: Number | None = None
    channels: list[int] = Field(
        default_factory=list
    )  # what a count counts; of an increase, what is new in it
    names: list[str] = Field(default_factory=list)  # likewise, where it counts tensors, files or layers


class CheckOutcome(Frozen):
    """One check of the manifest on one run.

    `severity` is what it means for the exit code: a check that could not be compared keeps its level, because
    silence must be worth trusting.
    """

    place: str  # in the manifest: "checks[0]"; "default[0]" of the set that is used where it has none
    run: str  # empty: the check found no run
    metric: str
    scope: Literal["layer", "run"]
    layers: str = "*"
    level: Literal["error", "warn"]
    limits: dict[str, Number]  # as the manifest gives them
    baseline: str | None = None  # what it was compared with, in words
    verdict: Literal["passed", "warned", "failed", "skipped"]
    severity: Severity
    reason: str = ""  # why it was skipped, or failed without an item
    examined: int = 0  # numbers held against the limits
    items: list[CheckItem] = Field(
        default_factory=list
    )  # worst first; those that keep the limits are not listed

    @property
    def default(self) -> bool:
        """Whether it belongs to the default set."""
        return self.place.startswith("default")
