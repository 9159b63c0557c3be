"""Tables of a run's tensors: parameters, norms, buffers."""

from __future__ import annotations

from featreport.results.schema import Buffer, Norm, Run, Weight
from featreport.tables.table import Field, Table, indices, length, tabulate

_WEIGHT: tuple[Field[Weight], ...] = (
    Field("name", "Tensor", "text", lambda w: w.name),
    Field("module", "Module", "text", lambda w: w.module),
    Field("kind", "Kind", "text", lambda w: w.kind),
    Field("tied", "Tied to", "text", lambda w: "; ".join(w.tied) or None),
    Field("dtype", "Type", "text", lambda w: w.dtype),
    Field("shape", "Shape", "text", lambda w: "x".join(map(str, w.shape))),
    Field("count", "Elements", "integer", lambda w: w.count),
    Field("mean", "Mean", "number", lambda w: w.mean),
    Field("std", "Std", "number", lambda w: w.std),
    Field("min", "Min", "number", lambda w: w.min),
    Field("max", "Max", "number", lambda w: w.max),
    Field("zeros", "Zeros", "integer", lambda w: w.zeros),
    Field("zero_fraction", "Zero", "share", lambda w: w.zero_fraction),
    Field("near_zeros", "Near zeros", "integer", lambda w: w.near_zeros),
    Field("near_zero_fraction", "Near zero", "share", lambda w: w.near_zero_fraction),
    Field("relative_near_zero_fraction", "Below 0.01 std", "share", lambda w: w.relative_near_zero_fraction),
    Field("nonfinite", "Non-finite", "integer", lambda w: w.nonfinite),
    Field("nan", "NaN", "integer", lambda w: w.nan),
    Field("posinf", "+Inf", "integer", lambda w: w.posinf),
    Field("neginf", "−Inf", "integer", lambda w: w.neginf),
    Field("channels", "Output channels", "integer", lambda w: w.channels),
    Field("dead", "Dead filters", "integer", lambda w: None if w.channels is None else len(w.dead)),
    Field("dead_fraction", "Dead share", "share", lambda w: w.dead_fraction),
    Field("dead_channels", "Dead filters' channels", "indices", lambda w: indices(w.dead)),
    Field("median_norm", "Median norm", "number", lambda w: w.median_norm),
    Field("spectral_norm", "Spectral norm", "number", lambda w: w.spectral_norm),
    Field("stable_rank", "Stable rank", "number", lambda w: w.stable_rank),
    Field("redundant_pairs", "Redundant pairs", "integer", lambda w: w.redundant_pairs),
    Field("pairs", "Pairs", "integer", lambda w: w.pairs),
    Field("redundant_fraction", "Redundant", "share", lambda w: w.redundant_fraction),
    Field("two_four", "2:4 groups", "integer", lambda w: w.two_four),
    Field("two_four_groups", "Groups of 4", "integer", lambda w: w.two_four_groups),
    Field("two_four_fraction", "2:4", "share", lambda w: w.two_four_fraction),
    Field("two_four_chance", "2:4 by chance", "share", lambda w: w.two_four_chance),
    Field("looks_untrained", "Looks untrained", "flag", lambda w: w.looks_untrained),
    Field("initialisation", "Initialisation", "text", lambda w: w.initialisation),
    Field("alpha", "Alpha", "number", lambda w: w.alpha),
    Field(
        "reasons",
        "Why no value",
        "text",
        lambda w: "; ".join(f"{k}: {v}" for k, v in w.reasons.items()) or None,
    ),
)
_NORM: tuple[Field[Norm], ...] = (
    Field("layer", "Norm", "text", lambda n: n.layer),
    Field("module", "Module", "text", lambda n: n.module),
    Field("channels", "Channels", "integer", lambda n: n.channels),
    Field("eps", "Eps", "number", lambda n: n.eps),
    Field("counter", "Batches tracked", "integer", lambda n: n.counter),
    Field("small_scale", "Small scale", "integer", lambda n: length(n.small_scale)),
    Field("small_scale_fraction", "Small share", "share", lambda n: n.small_scale_fraction),
    Field("small_scale_channels", "Channels of small scale", "indices", lambda n: indices(n.small_scale)),
    Field("closed", "Shift ≤ 0 as well", "integer", lambda n: length(n.closed)),
    Field("closed_channels", "Channels of those", "indices", lambda n: indices(n.closed)),
    Field("effective_min", "Least effective scale", "number", lambda n: n.effective_min),
    Field("effective_median", "Median effective scale", "number", lambda n: n.effective_median),
    Field("effective_max", "Greatest effective scale", "number", lambda n: n.effective_max),
    Field("still", "Running variance ≈ 0", "integer", lambda n: length(n.still)),
    Field("still_channels", "Channels of those", "indices", lambda n: indices(n.still)),
    Field("untouched", "Untouched", "flag", lambda n: n.untouched),
)
_BUFFER: tuple[Field[Buffer], ...] = (
    Field("name", "Buffer", "text", lambda b: b.name),
    Field("module", "Module", "text", lambda b: b.module),
    Field("dtype", "Type", "text", lambda b: b.dtype),
    Field("shape", "Shape", "text", lambda b: "x".join(map(str, b.shape))),
    Field("count", "Elements", "integer", lambda b: b.count),
    Field("mean", "Mean", "number", lambda b: b.mean),
    Field("std", "Std", "number", lambda b: b.std),
    Field("min", "Min", "number", lambda b: b.min),
    Field("max", "Max", "number", lambda b: b.max),
    Field("nonfinite", "Non-finite", "integer", lambda b: b.nonfinite),
)


def weights(run: Run) -> Table:
    """Return one row per parameter tensor, in the order of the model."""
    return tabulate("weights", "Parameters", _WEIGHT, run.weights)


def norms(run: Run) -> Table:
    """Return one row per norm: its scale and running statistics together."""
    return tabulate("norms", "Norms", _NORM, run.norms)


def buffers(run: Run) -> Table:
    """Return one row per buffer (running statistics, counters)."""
    return tabulate("buffers", "Buffers", _BUFFER, run.buffers)
