"""Every measure over the checkpoints of a model: the numbers of the results, in the order of the checkpoints."""

from __future__ import annotations

import re

import sample_results as samples
from featreport.report import formats, render
from featreport.report.trajectories import view
from featreport.tables import trajectories, trajectory_table


def test_each_cell_is_the_number_of_its_layer_at_its_checkpoint() -> None:
    results = samples.sample()
    layers, weights = trajectories(results)
    assert (layers.model, layers.what, weights.what) == ("net", "layers", "weights")
    runs = [run for run in results.runs if run.model == "net" and run.status == "ok"]
    assert layers.checkpoints == tuple(run.checkpoint for run in runs)
    for one, items, key in ((layers, "activations", "layer"), (weights, "weights", "name")):
        for label, field in (("Zero", "zero_fraction"), ("Near zero", "near_zero_fraction")):
            column = one.measures.index(label)
            for name, shares in one.rows:
                for run, share in zip(runs, shares[column], strict=True):
                    found = next(item for item in getattr(run, items) if getattr(item, key) == name)
                    assert share == getattr(found, field)
    silent = dict(layers.rows)["features.8"][layers.measures.index("Silent")]
    assert silent == tuple(
        next(t for t in run.activations if t.layer == "features.8").dead_fraction for run in runs
    )


def test_a_layer_that_a_checkpoint_lacks_has_no_number_there() -> None:
    results = samples.sample()
    runs = list(results.runs)
    runs[1] = runs[1].model_copy(update={"activations": runs[1].activations[2:]})
    layers = trajectories(results.model_copy(update={"runs": runs}))[0]
    assert [line[-1] for line in dict(layers.rows)["features.0"]] == [None] * len(layers.measures)


def test_the_table_has_a_row_for_each_number() -> None:
    results = samples.sample()
    numbers = sum(
        share is not None
        for one in trajectories(results)
        for _, lines in one.rows
        for line in lines
        for share in line
    )
    table = trajectory_table(results)
    assert len(table.rows) == numbers > 100
    assert all(0 <= share <= 1 for share in table.column("share"))


def test_one_checkpoint_is_no_trajectory() -> None:
    results = samples.sample()
    alone = results.model_copy(update={"runs": [results.runs[0], results.runs[2]]})
    assert trajectories(alone) == ()
    assert "checkpoints in order" not in render(alone)


def test_a_strip_says_its_ends_and_shades_each_checkpoint() -> None:
    results = samples.sample()
    table = view(results)[0]
    silent = {row[0].text: row[1] for row in table.rows}["features.8"][table.measures.index("Silent")]
    one, other = (
        next(t for t in run.activations if t.layer == "features.8").dead_fraction for run in results.runs[:2]
    )
    assert silent.text == f"{formats.percent(one)} → {formats.percent(other)}"
    assert [band.heat for band in silent.bands] == [formats.heat(one), formats.heat(other)]
    assert silent.bands[0].x + silent.bands[0].width == silent.bands[1].x


def test_forty_checkpoints_of_a_large_network_stay_small_and_narrow() -> None:
    pictures: dict[str, str] = {}
    base = samples.run("net/e0", pictures, {1: [3]}, seed=1)
    runs = [base.model_copy(update={"id": f"net/e{i}", "checkpoint": f"e{i}"}) for i in range(40)]
    table = view(samples.results(runs, pictures))[0]
    assert table.width <= 84
    assert all(len(strip.bands) <= 1 for _, strips in table.rows for strip in strips)
    assert all(re.fullmatch(r"[^→]*", strip.text) for _, strips in table.rows for strip in strips)
