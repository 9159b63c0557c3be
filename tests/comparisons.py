"""Results to compare: generated ones, and the mirror image of a comparison."""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

import sample_results as samples
from featreport.judge.compare import (
    Change,
    ChannelChange,
    Comparison,
    Drift,
    LayerChange,
    RunChange,
    WeightChange,
)
from featreport.judge.compare.verdict import verdict
from featreport.results.schema import Histogram, ImageFile, Images, Results, Thresholds

NAMES = st.sampled_from(["a", "b.c", "a.b", "relu", samples.HOSTILE, "", "=", "a|b"])
NUMBERS = st.none() | st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def histograms(draw: st.DrawFn) -> Histogram:
    edges = sorted(draw(st.lists(st.floats(-1e6, 1e6), max_size=6)))
    counts = draw(
        st.lists(st.integers(0, 50), min_size=max(0, len(edges) - 1), max_size=max(0, len(edges) - 1))
    )
    scale, zeros = draw(st.sampled_from(["linear", "log"])), draw(st.none() | st.integers(0, 60))
    return Histogram(edges=edges, counts=counts, scale=scale, zeros=zeros)


def subset(size: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.sampled_from(range(size)), unique=True).map(sorted) if size else st.just([])


@st.composite
def taps(draw: st.DrawFn) -> Any:
    channels = draw(st.integers(1, 4))
    more = {
        "call": draw(st.integers(0, 1)), "mean": draw(NUMBERS), "std": draw(NUMBERS), "max": draw(NUMBERS),
        "histogram": draw(histograms()), "constant": draw(subset(channels)), "nonfinite": draw(st.integers(0, 2)),
        "effective_rank": draw(NUMBERS), "fired_images": None, "invented": draw(st.integers(0, 1)),
    }  # fmt: skip
    rectifier, dead = draw(st.booleans()), draw(subset(channels))
    return samples.activation(draw(NAMES), channels, 1, rectifier=rectifier, dead=dead, **more)


@st.composite
def tensors(draw: st.DrawFn) -> Any:
    shape = draw(st.sampled_from([[2], [3, 2], [4, 3, 5, 2]]))
    size = min(61, int(np.prod(shape)))
    values = draw(st.lists(st.floats(-10, 10, width=32), min_size=size, max_size=size))
    packed = base64.b64encode(np.array(values, "<f4").tobytes()).decode()
    sketch = draw(st.sampled_from([packed, None, "no base64", packed[:8]]))
    digest = draw(st.sampled_from([None, "0" * 16, "1" * 16]))
    more = {"mean": draw(NUMBERS), "sketch": sketch, "digest": digest, "histogram": draw(histograms())}
    more |= {"dead": draw(subset(shape[0])), "nonfinite": draw(st.integers(0, 1))}
    return samples.weight(draw(NAMES), shape, 1, **more)


@st.composite
def results(draw: st.DrawFn, most: int = 2) -> Results:
    runs = []
    ids = draw(
        st.lists(st.sampled_from(["n/a", "n/b", "m/a=b", samples.HOSTILE]), unique=True, max_size=most)
    )
    for name in ids:
        if draw(st.sampled_from([False, False, False, True])):
            runs.append(samples.failed(name))
            continue
        layers, weights = draw(st.lists(taps(), max_size=4)), draw(st.lists(tensors(), max_size=4))
        sums = draw(st.sampled_from([["1" * 64], ["1" * 64, "2" * 64], ["2" * 64, "1" * 64]]))
        files = [ImageFile(name="x.png", sha256=one, width=1, height=1) for one in sums]
        update = {
            "id": name, "activations": layers, "weights": weights, "buffers": [], "maps": [], "kernels": None,
            "images": Images(count=len(files), files=files), "summary": samples.summary(layers, weights),
            "source": draw(st.sampled_from(["python:net.py:Net", "none"])),
            "device": draw(st.sampled_from(["cpu", "cuda (NVIDIA H100)", None])),
        }  # fmt: skip
        runs.append(EMPTY.model_copy(update=update))
    thresholds = Thresholds(dead=0.0, near_zero=draw(st.sampled_from([0.001, 0.01])))
    return samples.results(runs).model_copy(update={"thresholds": thresholds})


EMPTY = samples.empty().runs[0]


def mirrored(found: Comparison) -> Comparison:
    """The comparison of B with A, made from that of A with B by swapping every pair."""
    turned = found.model_copy(
        update={
            "before": found.after, "after": found.before, "runs": [_run(run) for run in found.runs],
            "runs_added": found.runs_removed, "runs_removed": found.runs_added, "notes": [],
        }
    )  # fmt: skip
    return turned.model_copy(update={"verdict": verdict(turned)})


def canonical(found: Comparison) -> dict[str, Any]:
    """A comparison as plain data, without the order of rows (the baseline's), and without sentences that name sides."""
    fields = found.model_dump(exclude={"notes"})
    for run in fields["runs"]:
        run["notes"] = []
        run["load"] = sorted(run["load"], key=str)
        for key in (
            "layers",
            "weights",
            "layers_added",
            "layers_removed",
            "weights_added",
            "weights_removed",
        ):
            run[key] = sorted(run[key], key=str)
        for row in run["weights"]:
            row["drift"]["reason"] = None
    fields["runs"] = sorted(fields["runs"], key=lambda run: str(run["before"]))
    for key in ("runs_added", "runs_removed"):
        fields[key] = sorted(fields[key])
    fields.pop("verdict")  # which of several equally bad layers it names depends on the order
    return fields


def near(there: object, back: object) -> bool:
    """Equal but for the last bits of what is relative to a norm."""
    if isinstance(there, dict):
        return there.keys() == back.keys() and all(near(there[key], back[key]) for key in there)
    if isinstance(there, (list, tuple)):
        return len(there) == len(back) and all(map(near, there, back))
    if isinstance(there, float) and isinstance(back, float):
        return math.isclose(there, back, rel_tol=1e-12)
    return there == back


def _run(run: RunChange) -> RunChange:
    swap = {"before": run.after, "after": run.before, "failures": run.failures[::-1]}
    swap |= {f"{kind}_{one}": getattr(run, f"{kind}_{other}") for kind in ("layers", "weights")
             for one, other in (("added", "removed"), ("removed", "added"))}  # fmt: skip
    swap |= {key: [one.model_copy(update={"before": one.after, "after": one.before}) for one in getattr(run, key)]
             for key in ("obstacles", "load")}  # fmt: skip
    swap["numbers"] = [_change(one) for one in run.numbers]
    swap["layers"] = [_layer(row) for row in run.layers]
    swap["weights"] = [_weight(row) for row in run.weights]
    return run.model_copy(update=swap)


def _change(one: Change) -> Change:
    minus = None if one.change is None else one.before - one.after
    return one.model_copy(update={"before": one.after, "after": one.before, "change": minus})


def _channels(one: ChannelChange | None) -> ChannelChange | None:
    return one and ChannelChange(
        newly_dead=one.revived, revived=one.newly_dead,
        newly_constant=one.no_longer_constant, no_longer_constant=one.newly_constant,
    )  # fmt: skip


def _layer(row: LayerChange) -> LayerChange:
    pairs = {key: getattr(row, key)[::-1] for key in ("modules", "shapes", "counts", "dead")}
    update = {"before": row.after, "after": row.before, "numbers": [_change(one) for one in row.numbers]}
    return row.model_copy(update=update | pairs | {"channels": _channels(row.channels)})


def _weight(row: WeightChange) -> WeightChange:
    pairs = {key: getattr(row, key)[::-1] for key in ("kinds", "shapes", "counts", "dead")}
    update = {"before": row.after, "after": row.before, "numbers": [_change(one) for one in row.numbers]}
    return row.model_copy(
        update=update | pairs | {"filters": _channels(row.filters), "drift": _drift(row.drift)}
    )


def _drift(one: Drift) -> Drift:
    """Swap the norms; what is relative to A becomes relative to B."""
    relative = error = None
    if one.distance is not None:
        relative = one.relative_after
        if relative is not None:
            known = one.relative_error if one.relative is not None else None
            error = known / one.relative * relative if known and one.relative else known
    update = {"norm_before": one.norm_after, "norm_after": one.norm_before}
    update |= {"relative": relative, "relative_after": one.relative}
    return one.model_copy(update=update | {"relative_error": error})
