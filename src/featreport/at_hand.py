"""Two runs whose checkpoints are at hand → how far each tensor moved, exactly: the one comparison that needs torch."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from featreport.checkpoints.find import Places, tensors
from featreport.checkpoints.reading import one_line
from featreport.errors import CheckpointError
from featreport.judge.compare import Drift
from featreport.judge.compare.drift import exactly
from featreport.judge.compare.runs import Drifts, Pairs
from featreport.report import formats
from featreport.results.schema import Run, Weight
from featreport.statistics.weights import sketch
from featreport.statistics.weights.apart import apart, filters

Found = dict[tuple[int, str], Tensor]  # by number of elements and digest
SHAPES, VALUES, OLD, ABSENT = (
    "of another shape",
    "with values that are no numbers",
    "without a digest, as in older results",
    "of which a file does not hold what was measured",
)


class AtHand:
    """Measures drift from the checkpoints in `places`, files or folders with all below them."""

    def __init__(self, places: Sequence[Path]) -> None:
        """Look for a run's checkpoint when it is asked for."""
        self._places = Places(places)
        self._named = ", ".join(one_line(str(place)) for place in places)

    def __call__(self, before: Run, after: Run, pairs: Pairs) -> tuple[Drifts, list[str]]:
        """Return the drift of those of at least one pair that both files hold as they were measured, and notes.

        A tensor is told by its digest: so what a layer's own loading made of the file's numbers is not taken for them.
        """
        missing, sides = [], []
        for side, run, weights in zip("AB", (before, after), zip(*pairs, strict=True), strict=True):
            found = self._measured(run, weights)
            if isinstance(found, str):
                missing.append(f"{found} (in {side})")
            else:
                sides.append(found)
        if missing:
            return {}, [f"Drift is not taken from checkpoints: {'; '.join(missing)}."]
        drifts: Drifts = {}
        left: Counter[str] = Counter()
        for one, other in pairs:
            drift = _drift(one, other, *sides)
            if isinstance(drift, str):
                left[drift] += 1
            else:
                drifts[one.name, other.name] = drift
        told = [
            f"Drift of {len(drifts)} of {formats.plural(len(pairs), 'tensor')} is exact, from both checkpoints"
        ]
        told += [f"not of {count} {why}" for why, count in left.items()]
        return drifts, [f"{'; '.join(told)}."]

    def _measured(self, run: Run, weights: Sequence[Weight]) -> Found | str:
        """Return the tensors of a run's checkpoint that are those of `weights`, or why there are none."""
        load = run.load
        name = formats.shorten(run.id, 60)
        if load is None or load.sha256 is None:
            known = load is not None and load.path is not None
            why = (
                "has no SHA-256 of its checkpoint, as in older results" if known else "was read from no file"
            )
            return f"{name} {why}"
        path = formats.shorten(one_line(load.path or "its checkpoint"), 80)
        called = f"{path} (sha256 {load.sha256[:12]}…) of {name}"
        wanted = {_key(weight) for weight in weights if _why(weight) is None}
        sizes = {size for size, _ in wanted}
        found: Found = {}
        try:
            content = self._places.find(load)
            if content is None:
                closed = self._places.closed
                unseen = (
                    f", where {formats.plural(closed, 'folder')} could not be looked into" if closed else ""
                )
                return f"{called} is not in {self._named}{unseen}"
            for tensor in tensors(content, load):
                if len(found) == len(wanted):
                    break
                if tensor.numel() in sizes and not tensor.is_complex():
                    key = tensor.numel(), sketch.read(tensor, finite=False)[1]
                    if key in wanted:
                        found.setdefault(key, tensor)
        except CheckpointError as error:
            return f"{called}: {formats.shorten(one_line(error.message), 200)}"
        return found


def _key(weight: Weight) -> tuple[int, str]:
    return weight.count, weight.digest or ""


def _why(weight: Weight) -> str | None:
    """Return why a tensor is not looked for."""
    if weight.nonfinite:
        return VALUES
    return OLD if weight.digest is None or math.prod(weight.shape) != weight.count else None


def _drift(one: Weight, other: Weight, mine: Found, theirs: Found) -> Drift | str:
    """Return the drift of a pair, or why it is not known exactly."""
    why = _why(one) or _why(other)
    if why is not None or one.shape != other.shape:
        return why or SHAPES
    found = mine.get(_key(one)), theirs.get(_key(other))
    if found[0] is None or found[1] is None:
        return ABSENT
    sides = [tensor.reshape(one.shape) for tensor in found if tensor is not None]
    known = _have_filters(one, other)
    rows = [filters(side, one.transposed) if known else side.reshape(1, -1) for side in sides]
    far = apart(*rows)
    return exactly(
        far.distance, far.norms, far.cosine, far.rows if known else None, same=one.digest == other.digest
    )


def _have_filters(one: Weight, other: Weight) -> bool:
    """Whether the rows of both are the filters of output channels, along one axis.

    Older results do not tell which axis that is of a transposed convolution, nor does a state dict without its network.
    """
    return (one.channels, one.transposed) == (other.channels, other.transposed) and all(
        weight.kind == "weight"
        and weight.channels is not None
        and weight.count > 0
        and (weight.transposed is not None or "Transpose" not in weight.module)
        for weight in (one, other)
    )
