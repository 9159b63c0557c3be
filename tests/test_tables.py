"""Tables hold the numbers of the results, all of them, in full precision, and come back from CSV unchanged."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sample_results as samples
from featreport import tables
from featreport.results.schema import Activation, CheckItem, CheckOutcome, Histogram
from featreport.tables import Column, Table


@pytest.fixture(scope="module")
def results():
    return samples.sample()


def rows(table: Table) -> list[dict[str, tables.Value]]:
    keys = [column.key for column in table.columns]
    assert len(set(keys)) == len(keys)
    return [dict(zip(keys, row, strict=True)) for row in table.rows]


def read(table: Table) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(tables.csv_text(table), newline="")))


def test_every_tap_is_a_row_with_the_numbers_of_the_results(results):
    for run in results.runs:
        found = rows(tables.layers(run))
        assert [(row["layer"], row["call"], row["output"]) for row in found] == [
            (tap.layer, tap.call, tap.output) for tap in run.activations
        ]
        for row, tap in zip(found, run.activations, strict=True):
            for key in (
                "mean", "std", "min", "max", "zeros", "zero_fraction", "near_zeros", "near_zero_fraction",
                "nonfinite", "nan", "posinf", "neginf", "channels", "images", "count", "dead_fraction", "rectifier",
                "module", "effective_rank", "firing_rate_bound",
            ):  # fmt: skip
                assert row[key] == getattr(tap, key)
            assert row["dead"] == len(tap.dead)
            assert row["dead_channels"] == " ".join(map(str, tap.dead))
            assert row["constant_channels"] == " ".join(map(str, tap.constant))


def test_every_tensor_is_a_row_with_the_numbers_of_the_results(results):
    for run in results.runs:
        for table, items in ((tables.weights(run), run.weights), (tables.buffers(run), run.buffers)):
            found = rows(table)
            assert [row["name"] for row in found] == [item.name for item in items]
            for row, item in zip(found, items, strict=True):
                for key in set(row) & set(type(item).model_fields) - {"shape", "dead", "tied", "reasons"}:
                    assert row[key] == getattr(item, key)


def test_the_overview_has_every_run_with_its_headline(results):
    found = rows(tables.overview(results))
    assert [row["run"] for row in found] == [run.id for run in results.runs]
    for row, run in zip(found, results.runs, strict=True):
        assert row["status"] == run.status
        for key in (
            "dead_channels",
            "channels",
            "dead_fraction",
            "near_zero_weights",
            "zero_fraction",
            "nonfinite",
        ):
            assert row[key] == (None if run.summary is None else getattr(run.summary, key))


def test_the_audit_counts_what_did_not_fit(results):
    partial = next(row for row in rows(tables.loads(results)) if row["run"] == "other/partial")
    assert (partial["load_missing"], partial["load_unexpected"], partial["load_mismatched"]) == (2, 1, 1)
    assert partial["load_missing_names"] == "head.weight; head.bias"


def test_depth_tables_are_the_rectifiers_in_order(results):
    run = results.runs[1]
    found = rows(tables.dead_by_depth(run))
    taps = [tap for tap in run.activations if tap.rectifier]
    assert [(row["layer"], row["dead"], row["channels"]) for row in found] == [
        (tap.layer, len(tap.dead), tap.channels) for tap in taps
    ]
    assert [row["position"] for row in found] == list(range(1, len(taps) + 1))
    together = [row for row in rows(tables.comparison(results)) if row["run"] == run.id]
    assert [row["share"] for row in together] == [row["share"] for row in found]


def test_checkpoints_stand_side_by_side(results):
    dead, near = tables.checkpoints(results)
    for compared, count in (
        (dead, sum(tap.rectifier for tap in results.runs[0].activations)),
        (near, sum(tensor.kind == "weight" for tensor in results.runs[0].weights)),
    ):
        assert compared.model == "net"
        assert [column.label for column in compared.table.columns] == ["Layer", "epoch-10", "lr-10"]
        assert len(compared.table.rows) == count
    assert [row[1] for row in near.table.rows] == [
        tensor.near_zero_fraction for tensor in results.runs[0].weights if tensor.kind == "weight"
    ]


def test_a_network_without_rectifiers_has_its_dormant_channels_by_depth(results):
    taps = [samples.activation("gelu", 4, 1, rectifier=False, dormant={"0": [], "0.025": [2], "0.1": [1, 2]})]
    (row,) = rows(tables.dormant_by_depth(results.runs[0].model_copy(update={"activations": taps})))
    assert (row["layer"], row["dormant"], row["channels"], row["share"]) == ("gelu", 1, 4, 0.25)
    assert rows(tables.dormant_by_depth(results.runs[0])) == []


def test_a_check_is_a_row_for_each_number_that_breaks_it(results):
    broken = CheckItem(
        layer="relu", verdict="failed", observed=0.25, bound="at most", limit=0.05, channels=[1, 3]
    )
    told = {"place": "checks[0]", "run": "net/a", "metric": "activations.dead_fraction", "scope": "layer",
            "level": "error", "limits": {"max": 0.05}}  # fmt: skip
    failed = CheckOutcome(**told, verdict="failed", severity="error", items=[broken])
    passed = CheckOutcome(**told, verdict="passed", severity="ok", examined=7)
    one, other = rows(tables.checks(results.model_copy(update={"checks": [failed, passed]})))
    assert (one["layer"], one["observed"], one["limit"], one["channels"]) == ("relu", 0.25, 0.05, "1 3")
    assert (other["verdict"], other["layer"], other["examined"], other["limits"]) == (
        "passed",
        None,
        7,
        "max 0.05",
    )


def test_every_statistic_s_definition_is_a_row(results):
    found = rows(tables.definitions(results))
    assert [row["definition"] for row in found] == [entry.sentence for entry in results.definitions]


def test_histograms_in_long_form_add_up_to_the_counts(results):
    run = results.runs[0]
    found = rows(tables.activation_histograms(run))
    for tap in run.activations:
        bins = [row for row in found if row["layer"] == tap.layer]
        assert [row["count"] for row in bins] == tap.histogram.counts
        assert [row["bin_low"] for row in bins] == tap.histogram.edges[:-1]
        assert [row["bin_high"] for row in bins] == tap.histogram.edges[1:]
    assert len(rows(tables.weight_histograms(run))) == sum(len(w.histogram.counts) for w in run.weights)


def test_every_channel_says_on_how_many_images_it_fires(results):
    run = results.runs[1]
    found = rows(tables.firing(run))
    assert len(found) == sum(tap.channels for tap in run.activations)
    for tap in run.activations:
        own = [row for row in found if row["layer"] == tap.layer]
        assert [row["channel"] for row in own if row["dead"]] == tap.dead
        if tap.fired_images is not None:
            assert [row["fired_images"] for row in own] == tap.fired_images


def test_a_statistic_unknown_to_this_version_gets_its_column(results):
    tap = samples.activation("relu", 4, 1, novel=2.5, listed=[1, 2])
    run = results.runs[0].model_copy(update={"activations": [tap]})
    (row,) = rows(tables.layers(run))
    assert (row["novel"], row["listed"]) == (2.5, "[1, 2]")


def test_what_has_no_value_is_an_empty_cell():
    nothing = samples.activation(
        "all-nan", 2, 1, mean=None, std=None, min=None, max=None, zero_fraction=None,
        histogram=Histogram(edges=[], counts=[]), rare=None,
    )  # fmt: skip
    run = samples.empty().runs[0].model_copy(update={"activations": [nothing]})
    (row,) = read(tables.layers(run))
    assert row["mean"] == row["zero_fraction"] == row["rare"] == ""
    assert read(tables.activation_histograms(run)) == []


def test_tables_of_nothing_have_their_head():
    nothing = samples.results([], definitions=[])
    for of_all in tables.OVER_RUNS:
        table = of_all(nothing)
        assert table.rows == ()
        assert tables.csv_text(table).count("\n") == 1
    for of_run in tables.PER_RUN:
        assert of_run(samples.failed()).rows == ()


NAMES = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), NAMES
)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=5))
def test_csv_gives_every_cell_back(cells):
    columns = (Column("name", "Name", "text"), Column("value", "Value", "number"))
    text = tables.csv_text(Table("t", "T", columns, tuple(cells)))
    head, *found = csv.reader(io.StringIO(text, newline=""))
    assert head == ["name", "value"]
    assert [tuple(row) for row in found] == [(name, tables.cell_text(value)) for name, value in cells]
    for (_, text_of), (_, value) in zip(found, cells, strict=True):
        if isinstance(value, float):
            assert float(text_of) == value


def test_a_name_that_looks_like_a_formula_is_not_altered():
    table = Table("t", "T", (Column("name", "Name", "text"),), (("=1+1",), ("@SUM(A1)",), ("\ud800",)))
    assert tables.csv_text(table) == "name\n=1+1\n@SUM(A1)\n\ufffd\n"


def test_rows_are_the_types_they_claim(results):
    kinds = {"text": str, "indices": str, "integer": int, "number": float, "share": float, "flag": bool}
    per_run = [of(run) for of in tables.PER_RUN for run in results.runs]
    for table in (*per_run, *(of(results) for of in tables.OVER_RUNS)):
        for column, values in zip(table.columns, zip(*table.rows, strict=True), strict=False):
            kind = kinds[column.kind]
            for value in values:
                right = isinstance(value, kind) or (kind is float and type(value) is int)
                assert value is None or right, (table.slug, column.key, value)


def test_activation_fields_are_not_forgotten():
    """A new field of a tap must find its column, or be named here."""
    left_out = {"deaths", "histogram", "shape", "fired_images", "dormant"}
    known = {column.key for column in tables.layers(samples.sample().runs[0]).columns}
    assert set(Activation.model_fields) - known - left_out == set()


def test_histograms_in_one_row_each_hold_every_bin(results):
    for run in results.runs:
        rows = read(tables.histograms(run))
        things = [thing for thing in (*run.activations, *run.weights) if thing.histogram.counts]
        assert len(rows) == len(things)
        for row, thing in zip(rows, things, strict=True):
            histogram = thing.histogram
            assert [int(count) for count in row["counts"].split()] == histogram.counts
            bins = len(histogram.counts)
            low, high = float(row["low"]), float(row["high"])
            edges = [low + (high - low) * place / bins for place in range(bins + 1)]
            if row["edges"]:
                edges = [float(edge) for edge in row["edges"].split()]
            np.testing.assert_allclose(
                edges, histogram.edges, rtol=1e-6, atol=1e-9 * max(abs(low), abs(high))
            )


def test_channels_in_one_row_each_hold_every_count(results):
    for run in results.runs:
        rows = read(tables.fired(run))
        taps = [tap for tap in run.activations if tap.fired_images]
        assert [[int(count) for count in row["fired_images"].split()] for row in rows] == [
            tap.fired_images for tap in taps
        ]
