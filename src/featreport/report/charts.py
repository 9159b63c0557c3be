"""Which charts the page has, and what each of them says in words."""

from __future__ import annotations

from collections.abc import Sequence

from featreport.figures import canvas, depth
from featreport.judge.findings import rectifiers, tap_name
from featreport.report import formats
from featreport.report.page import ChartFigure
from featreport.results.schema import Results, Run, weights_alone

_FEWEST = 2  # layers that make a profile


def of_run(run: Run, anchor: str) -> tuple[ChartFigure, ...]:
    """Return a run's depth profiles: silent channels at rectifiers, near-zero weights."""
    figures = []
    silent = _silent(run)
    if len(silent) >= _FEWEST:
        chart = depth.depth(silent, "rectifier layer", canvas.ORANGE, f"{anchor} dead")
        text = _words(silent, "channels", "silent channels")
        figures.append(
            ChartFigure(chart, "Silent channels by depth", text, f"Bar chart. {text}", f"{anchor}-dead.csv")
        )
    near = _near_zero(run)
    if len(near) >= _FEWEST:
        chart = depth.depth(near, "conv or linear weight", canvas.BLUE, f"{anchor} near-zero")
        text = _words(near, "weights", "weights near zero")
        figures.append(
            ChartFigure(
                chart, "Near-zero weights by depth", text, f"Bar chart. {text}", f"{anchor}-near-zero.csv"
            )
        )
    return tuple(figures)


def remark(run: Run) -> str:
    """Return the sentence that stands where there is no profile of silent channels."""
    if run.status == "ok" and weights_alone(run):
        return f"Activations were not measured: {run.unmeasured[0].reason}."
    if run.status == "ok" and not run.activations:
        return "No activation was measured: no layer matched, or none gave a tensor."
    if run.status == "ok" and not rectifiers(run):
        return (
            "No tap of this network is a rectifier (ReLU and its kin), so there is no strict zero to fall silent at: "
            "the headline is left empty. The table below still counts channels that are zero or constant at each layer."
        )
    return ""


def comparison(results: Results) -> ChartFigure | None:
    """Return the chart of all runs together, where at least two have a profile."""
    lines = [
        depth.Line(run.id, tuple(points)) for run in results.runs if len(points := _silent(run)) >= _FEWEST
    ]
    if len(lines) < _FEWEST or not any(point.parts for line in lines for point in line.points):
        return None
    chart = depth.compare(lines, "comparison")
    worst = max(lines, key=lambda line: max(point.share for point in line.points))
    top = max(worst.points, key=lambda point: point.share)
    text = (
        f"Share of silent channels at each rectifier, from the first to the last. The highest is "
        f"{formats.percent(top.share)} at {formats.shorten(top.name)} of {formats.shorten(worst.name)}."
    )
    return ChartFigure(
        chart, "Silent channels by relative depth", text, f"Line chart. {text}", "silent-by-depth.csv"
    )


def _silent(run: Run) -> list[depth.Point]:
    return [
        depth.Point(tap_name(tap), len(tap.dead) / tap.channels, len(tap.dead), tap.channels)
        for tap in rectifiers(run)
        if tap.channels
    ]


def _near_zero(run: Run) -> list[depth.Point]:
    return [
        depth.Point(tensor.name, tensor.near_zero_fraction, tensor.near_zeros, tensor.count)
        for tensor in run.weights
        if tensor.kind == "weight" and tensor.near_zero_fraction is not None
    ]


def _words(points: Sequence[depth.Point], noun: str, what: str) -> str:
    touched = sum(1 for point in points if point.parts)
    if not touched:
        return f"None of {formats.plural(len(points), 'layer')} has {what}."
    top = max(points, key=lambda point: point.share)
    parts = formats.part(top.parts, top.whole)
    layers = formats.plural(len(points), "layer")
    who = f"All {layers} have" if touched == len(points) else f"{formats.integer(touched)} of {layers} have"
    return (
        f"{who} {what}; the highest share is {formats.percent(top.share)} ({parts} {noun}) "
        f"at {formats.shorten(top.name)}."
    )
