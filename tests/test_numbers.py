"""The demo's numbers, every tap and every tensor, against plain hooks and NumPy in float64."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from featreport.checkpoints import load_into
from featreport.collect.run import execute_run
from featreport.images.batches import ImageBatches
from featreport.pipeline import make_plan
from featreport.plan.types import RunPlan
from featreport.results.schema import Activation, Weight
from featreport.sources import build_model
from featreport.statistics.places import positions

ROOT = Path(__file__).parent.parent
PLAN = make_plan(ROOT / "config.yaml", device="cpu")
POOLS = {"F.adaptive_avg_pool2d"}  # called in forward(), where no hook sees it
Array = NDArray[np.float64]


def kept_by_plain_hooks(run: RunPlan, batch_size: int) -> dict[tuple[str, int], Array]:
    """Every output of a leaf or a residual sum over all images, `[N, …]`, copied in the hook. Slow and independent."""
    model = build_model(run.source, seed=run.checkpoint.seed or 0, weights=run.checkpoint.weights)
    load_into(model, run.checkpoint, run.source)
    model.eval()
    kept: dict[tuple[str, int], list[Array]] = {}
    calls: Counter[str] = Counter()

    def keep(name: str) -> Any:
        def hook(_module: Any, _args: Any, output: torch.Tensor) -> None:
            kept.setdefault((name, calls[name]), []).append(output.detach().double().numpy().copy())
            calls[name] += 1

        return hook

    for name, module in model.named_modules():
        if not list(module.children()):
            module.register_forward_hook(keep(name))
        elif getattr(module, "use_res_connect", False):
            module.register_forward_hook(keep(f"{name}.add"))  # the sum is what the block hands on
    name = run.source.name if run.source.kind == "torchvision" else None
    with torch.no_grad():
        for batch in ImageBatches(run.images, run.transform, name, batch_size=batch_size):
            calls.clear()
            model(batch.tensor)
    return {key: np.concatenate(parts) for key, parts in kept.items()}


def assert_tap(tap: Activation, output: Array) -> None:
    rows = output.reshape(*output.shape[:2], -1)  # the demo's layers all have their channels on axis 1
    where = f"{tap.layer} call {tap.call}"
    magnitude = np.abs(rows)
    assert tap.shape == list(output.shape[1:]), where
    assert (tap.channel_axis, tap.channels, tap.images) == (0, rows.shape[1], rows.shape[0]), where
    assert tap.mean == pytest.approx(rows.mean(), rel=1e-9, abs=1e-12 * magnitude.max()), where
    assert tap.std == pytest.approx(rows.std(), rel=1e-9), where
    assert (tap.min, tap.max) == (rows.min(), rows.max()), where
    assert tap.zero_fraction == (rows == 0).mean(), where
    assert tap.near_zero_fraction == (magnitude <= PLAN.near_zero).mean(), where
    assert tap.nonfinite == 0
    fired = (magnitude > PLAN.dead).any(axis=2).sum(axis=0)
    dead = np.flatnonzero(fired == 0)
    assert tap.dead == dead.tolist(), where
    assert tap.dead_fraction == dead.size / rows.shape[1], where
    assert tap.fired_images == fired.tolist(), where
    spread = rows.max(axis=(0, 2)) - rows.min(axis=(0, 2))
    assert tap.constant == [c for c in np.flatnonzero(spread == 0).tolist() if fired[c]], where
    few = rows.reshape(rows.shape[0], -1)[:, positions(rows[0].size).numpy()]
    assert np.histogram(few, np.array(tap.histogram.edges))[0].tolist() == tap.histogram.counts, where
    assert sum(tap.histogram.counts) == few.size, where


def assert_weight(weight: Weight, tensor: torch.Tensor) -> None:
    w = tensor.detach().double().numpy()
    assert (weight.shape, weight.count) == (list(w.shape), w.size)
    assert weight.mean == pytest.approx(w.mean(), rel=1e-12, abs=1e-15)
    assert weight.std == (None if w.size == 1 else pytest.approx(w.std(ddof=1), rel=1e-12))
    assert (weight.min, weight.max) == (w.min(), w.max())
    assert weight.zero_fraction == (w == 0).mean()
    assert weight.near_zero_fraction == (np.abs(w) <= PLAN.near_zero).mean()
    counts, edges = np.histogram(w, bins=50)
    assert (weight.histogram.counts, weight.histogram.edges) == (counts.tolist(), edges.tolist())
    if weight.kind == "weight":
        loudest = np.abs(w).reshape(w.shape[0], -1).max(axis=1)
        assert weight.dead == np.flatnonzero(loudest <= PLAN.near_zero).tolist()
    else:
        assert weight.dead == []


@pytest.mark.parametrize("run", PLAN.runs, ids=lambda run: run.id)
def test_every_tap_and_tensor_of_the_demo_agrees_with_numpy(run: RunPlan) -> None:
    run = replace(run, images=run.images[:6])
    batch = 4
    plan = replace(PLAN, batch_size=batch)
    result = execute_run(plan, run, torch.device("cpu"), 10**6, lambda _done, _of: None).run
    assert result.status == "ok", result.error
    want = kept_by_plain_hooks(run, batch)
    taps = {(tap.layer, tap.call): tap for tap in result.activations if tap.module not in POOLS}
    assert taps.keys() == want.keys()
    for key, output in want.items():
        assert_tap(taps[key], output)
    model = build_model(run.source, seed=run.checkpoint.seed or 0, weights=run.checkpoint.weights)
    load_into(model, run.checkpoint, run.source)
    parameters = dict(model.named_parameters())
    assert [weight.name for weight in result.weights] == list(parameters)
    for weight in result.weights:
        assert_weight(weight, parameters[weight.name])
    assert result.parameters == sum(p.numel() for p in parameters.values())
    assert [b.name for b in result.buffers] == [name for name, _ in model.named_buffers()]
    rectifiers = [tap for tap in result.activations if tap.rectifier]
    summary = result.summary
    assert summary is not None
    assert summary.channels == sum(tap.channels for tap in rectifiers) > 0
    assert summary.dead_channels == sum(len(tap.dead) for tap in rectifiers)
    assert summary.dead_fraction == summary.dead_channels / summary.channels
