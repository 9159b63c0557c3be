"""Tables of a run's taps: every number of every layer, and every channel's firing."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from featreport.results.schema import Activation, Death, Run
from featreport.tables.table import Field, Table, Value, indices, length, tabulate, within

Channel = tuple[Activation, int, bool, Death | None]  # its number, whether it is dead, and why


def _causes(tap: Activation) -> str | None:
    """Return "4 × filter is zero (conv1); 1 × …", the counts of each cause."""
    found = Counter((death.cause, death.at) for death in tap.deaths)
    return "; ".join(f"{n} × {cause}{f' ({at})' if at else ''}" for (cause, at), n in found.items()) or None


def _rare(tap: Activation) -> str | None:
    return None if tap.rare is None else indices([found.channel for found in tap.rare])


def _shape(tap: Activation) -> str:
    return "x".join(map(str, tap.shape))


def _dormant(tau: str) -> Field[Activation]:
    def read(tap: Activation) -> int | None:
        return None if tap.dormant is None else length(tap.dormant.get(tau))

    return Field(f"dormant_{tau}", f"Dormant, τ = {tau}", "integer", read)


_PLACE: tuple[Field[Activation], ...] = (
    Field("layer", "Layer", "text", lambda tap: tap.layer),
    Field("call", "Call", "integer", lambda tap: tap.call),
    Field("output", "Output", "text", lambda tap: tap.output),
)
_FIELDS: tuple[Field[Activation], ...] = (
    *_PLACE,
    Field("module", "Module", "text", lambda tap: tap.module),
    Field("rectifier", "Rectifier", "flag", lambda tap: tap.rectifier),
    Field("same_as", "Same tensor as", "text", lambda tap: tap.same_as),
    Field("shape", "Shape", "text", _shape),
    Field("shape_varies", "Shape varies", "flag", lambda tap: tap.shape_varies),
    Field("channel_axis", "Channel axis", "integer", lambda tap: tap.channel_axis if tap.shape else None),
    Field("images", "Images", "integer", lambda tap: tap.images),
    Field("count", "Values", "integer", lambda tap: tap.count),
    Field("mean", "Mean", "number", lambda tap: tap.mean),
    Field("std", "Std", "number", lambda tap: tap.std),
    Field("min", "Min", "number", lambda tap: tap.min),
    Field("max", "Max", "number", lambda tap: tap.max),
    Field("zeros", "Zeros", "integer", lambda tap: tap.zeros),
    Field("zero_fraction", "Zero", "share", lambda tap: tap.zero_fraction),
    Field("near_zeros", "Near zeros", "integer", lambda tap: tap.near_zeros),
    Field("near_zero_fraction", "Near zero", "share", lambda tap: tap.near_zero_fraction),
    Field("nonfinite", "Non-finite", "integer", lambda tap: tap.nonfinite),
    Field("nan", "NaN", "integer", lambda tap: tap.nan),
    Field("posinf", "+Inf", "integer", lambda tap: tap.posinf),
    Field("neginf", "−Inf", "integer", lambda tap: tap.neginf),
    Field("channels", "Channels", "integer", lambda tap: tap.channels),
    Field("dead", "Dead", "integer", lambda tap: len(tap.dead)),
    Field("dead_fraction", "Dead share", "share", lambda tap: tap.dead_fraction),
    Field("dead_channels", "Dead channels", "indices", lambda tap: indices(tap.dead)),
    Field("dead_causes", "Causes", "text", _causes),
    Field("firing_rate_bound", "Bound on firing", "share", lambda tap: tap.firing_rate_bound),
    Field("constant", "Constant", "integer", lambda tap: len(tap.constant)),
    Field("constant_channels", "Constant channels", "indices", lambda tap: indices(tap.constant)),
    Field("rare", "Rare", "integer", lambda tap: length(tap.rare)),
    Field("rare_channels", "Rare channels", "indices", _rare),
    *(_dormant(tau) for tau in ("0", "0.025", "0.1")),
    Field("dormant_fraction", "Dormant", "share", lambda tap: tap.dormant_fraction),
    Field("saturated", "Saturated", "integer", lambda tap: length(tap.saturated)),
    Field("saturated_channels", "Saturated channels", "indices", lambda tap: indices(tap.saturated)),
    Field("massive", "Massive", "integer", lambda tap: length(tap.massive)),
    Field("massive_channels", "Massive channels", "indices", lambda tap: indices(tap.massive)),
    Field("median_magnitude", "Median |a|", "number", lambda tap: tap.median_magnitude),
    Field("effective_rank", "Effective rank", "number", lambda tap: tap.effective_rank),
    Field("effective_rank_reason", "Why no rank", "text", lambda tap: tap.effective_rank_reason),
)


def layers(run: Run) -> Table:
    """Return one row per tap, in the order of the model; a statistic of another version adds its columns."""
    return tabulate("layers", "Layers", (*_FIELDS, *_added(run)), run.activations)


def firing(run: Run) -> Table:
    """Return one row per channel of each tap: on how many images it fires, whether it is dead, and why."""
    fields: list[Field[Channel]] = [
        *(within(field, _of_channel) for field in _PLACE),
        Field("channel", "Channel", "integer", lambda row: row[1]),
        Field("fired_images", "Fires on", "integer", lambda row: _fired(row[0], row[1])),
        Field("images", "Images", "integer", lambda row: row[0].images),
        Field("dead", "Dead", "flag", lambda row: row[2]),
        Field("cause", "Cause", "text", lambda row: row[3].cause if row[3] else None),
        Field("cause_at", "Shown by", "text", lambda row: row[3].at if row[3] else None),
        Field("proved", "For every input", "flag", lambda row: row[3].proved if row[3] else None),
    ]
    return tabulate("firing", "Channels", fields, [row for tap in run.activations for row in _channels(tap)])


def fired(run: Run) -> Table:
    """Return one row per tap with all its channels in it: on how many images each of them fires."""
    fields: list[Field[Activation]] = [
        *_PLACE,
        Field("images", "Images", "integer", lambda tap: tap.images),
        Field("fired_images", "Fires on", "indices", lambda tap: indices(tap.fired_images)),
    ]
    return tabulate("channels", "Channels", fields, [tap for tap in run.activations if tap.fired_images])


def _channels(tap: Activation) -> list[Channel]:
    dead, deaths = set(tap.dead), {death.channel: death for death in tap.deaths}
    return [(tap, channel, channel in dead, deaths.get(channel)) for channel in range(tap.channels)]


def _fired(tap: Activation, channel: int) -> int | None:
    fired = tap.fired_images
    return fired[channel] if fired is not None and channel < len(fired) else None


def _plain(value: Any) -> Value:
    return value if value is None or isinstance(value, str | int | float | bool) else json.dumps(value)


def _of_channel(row: Channel) -> Activation:
    return row[0]


def _added(run: Run) -> list[Field[Activation]]:
    """Return the columns of numbers that this version has no name for: a registered statistic may add its own."""
    keys = dict.fromkeys(key for tap in run.activations for key in (tap.model_extra or {}))
    return [_extra(key) for key in keys]


def _extra(key: str) -> Field[Activation]:
    return Field(key, key, "text", lambda tap: _plain((tap.model_extra or {}).get(key)))
