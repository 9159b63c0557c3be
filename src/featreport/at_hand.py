"""Two runs whose checkpoints are at hand → how far each tensor moved, exactly: the one comparison that needs torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from torch import Tensor

from featreport.checkpoints.at_hand import find, tensors
from featreport.errors import CheckpointError
from featreport.judge.compare import Drift
from featreport.judge.compare.drift import exactly
from featreport.results.schema import Run, Weight
from featreport.statistics.weights import sketch
from featreport.statistics.weights.apart import apart, rows

Key = tuple[int, str]  # number of elements, digest
Pairs = Sequence[tuple[Weight, Weight]]


class AtHand:
    """Measures drift from the checkpoints below `places`."""

    def __init__(self, places: Sequence[Path]) -> None:
        """Look below `places`, files or folders, for whatever checkpoints are asked for."""
        self._places = places

    def __call__(
        self, before: Run, after: Run, pairs: Pairs
    ) -> tuple[dict[tuple[str, str], Drift], list[str]]:
        """Return the drift of the pairs that both files hold as they were measured, by their names, and notes.

        A tensor is told by its digest: so what a layer's own loading made of the file's numbers is not taken for them.
        """
        if not pairs:
            return {}, []
        sides: list[dict[Key, Tensor]] = []
        for side, run, weights in zip("AB", (before, after), zip(*pairs, strict=True), strict=True):
            found = self._measured(run, weights)
            if isinstance(found, str):
                return {}, [f"Drift is estimated: {found} (in {side})."]
            sides.append(found)
        drifts = {}
        for one, other in pairs:
            ours, theirs = sides[0].get(_key(one)), sides[1].get(_key(other))
            if ours is not None and theirs is not None and one.shape == other.shape:
                drifts[one.name, other.name] = _drift(ours, theirs, one, other)
        told = f"Drift of {len(drifts)} of {len(pairs)} tensors is exact, from both checkpoints"
        if len(drifts) < len(pairs):
            told += "; of the others the files hold no such numbers as were measured"
        return drifts, [f"{told}."]

    def _measured(self, run: Run, weights: Iterable[Weight]) -> dict[Key, Tensor] | str:
        """Return the tensors of a run's checkpoint that are those of `weights`, or why there are none."""
        load = run.load
        if load is None or load.sha256 is None:
            return f"{run.id} was not read from a file"
        called = f"{load.path or 'its checkpoint'} (sha256 {load.sha256[:12]}…)"
        wanted = {_key(weight) for weight in weights if weight.digest is not None and not weight.nonfinite}
        sizes = {size for size, _ in wanted}
        found: dict[Key, Tensor] = {}
        try:
            content = find(self._places, load)
            if content is None:
                return f"{called} of {run.id} was not found"
            for tensor in tensors(content, load):
                if tensor.numel() in sizes and not tensor.is_complex():
                    key = tensor.numel(), sketch.read(tensor, finite=False)[1]
                    if key in wanted:
                        found.setdefault(key, tensor)
                if len(found) == len(wanted):
                    break
        except CheckpointError as error:
            return f"{called} of {run.id}: {error.message}"
        return found


def _key(weight: Weight) -> Key:
    return weight.count, weight.digest or ""


def _drift(ours: Tensor, theirs: Tensor, one: Weight, other: Weight) -> Drift:
    sides = [
        rows(tensor.reshape(weight.shape), weight.kind, weight.module, weight.channels, weight.median_norm)
        for tensor, weight in ((ours, one), (theirs, other))
    ]
    filters = all(known for _, known in sides)
    if not filters:
        sides = [(tensor.reshape(1, -1), False) for tensor in (ours, theirs)]
    found = apart(sides[0][0], sides[1][0], filters=filters)
    return exactly(found.distance, found.norms, found.cosine, found.filters, same=one.digest == other.digest)
