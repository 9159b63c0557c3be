"""What the runs of one build share: a built network, and the next checkpoint read ahead. It changes no number."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from featreport.checkpoints.ahead import ReadAhead
from featreport.checkpoints.loading import Opened
from featreport.collect.reuse import Built
from featreport.plan.types import RunPlan, SourceRef
from featreport.sources import build_model


@dataclass(frozen=True)
class _Recipe:
    """What decides how a network is built."""

    source: SourceRef
    weights: str | None
    seed: int
    code: str | None  # the hash of the source's own file


class Session:
    """One build's runs in their order.

    Nothing outlives the run that it is for: a network is kept only where the very next run is built alike.
    """

    def __init__(self, runs: Sequence[RunPlan] = (), *, sharing: bool = True) -> None:
        """Prepare for `runs`, in their order; `sharing` tells whether anything is shared at all."""
        self._after = dict(zip((run.id for run in runs), runs[1:], strict=False)) if sharing else {}
        self._held: tuple[_Recipe, Built] | None = None
        self._ahead = ReadAhead()

    def model(self, run: RunPlan) -> nn.Module:
        """Return the network of a run as `build_model` gives it.

        Raises:
            SourceError: it could not be built.
        """
        self._ahead.wait()
        recipe = _recipe(run)
        built = self._taken(recipe) if run.checkpoint.kind != "random" else None
        self._held = None
        model = None if built is None else built.restored()
        if model is None:
            built = None  # before the next one needs its memory
            model = build_model(run.source, seed=recipe.seed, weights=recipe.weights)
        following = self._after.get(run.id)
        if following is not None and following.checkpoint.kind != "random" and _recipe(following) == recipe:
            built = built or Built.of(model)
            self._held = None if built is None else (recipe, built)
        return model

    def _taken(self, recipe: _Recipe) -> Built | None:
        return self._held[1] if self._held is not None and self._held[0] == recipe else None

    def opened(self, run: RunPlan) -> Opened | None:
        """Return what was read of a run's checkpoint ahead of it, or None: then the run reads it."""
        return self._ahead.take(run.checkpoint, run.source)

    def measuring(self, run: RunPlan) -> None:
        """Note that the run's network stands: now what the next run needs is read."""
        following = self._after.get(run.id)
        if following is not None:
            self._ahead.start(following.checkpoint, following.source)

    def failed(self) -> None:
        """Forget a network whose run broke off."""
        self._held = None


def _recipe(run: RunPlan) -> _Recipe:
    checkpoint = run.checkpoint
    seed = checkpoint.seed if checkpoint.kind == "random" and checkpoint.seed is not None else 0
    return _Recipe(run.source, checkpoint.weights, seed, _digest(run.source.file))


def _digest(file: Path | None) -> str | None:
    try:
        return None if file is None else hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return None
