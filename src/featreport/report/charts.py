"""Which charts the page has, and what each of them says in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from featreport.figures import canvas, depth
from featreport.judge.findings import rectifiers, tap_name
from featreport.report import formats
from featreport.report.page import ChartFigure
from featreport.results.schema import Results, Run, distinct, weights_alone

TAU = "0.025"
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
    dormant = [] if silent else _dormant(run)
    if len(dormant) >= _FEWEST and any(point.parts for point in dormant):
        chart = depth.depth(dormant, "layer", canvas.ORANGE, f"{anchor} dormant")
        text = f"{_words(dormant, 'channels', 'dormant channels')} Dormant: mean |a| at most {TAU} of the layer's."
        figures.append(
            ChartFigure(
                chart, "Dormant channels by depth", text, f"Bar chart. {text}", f"{anchor}-dormant.csv"
            )
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
            "the headline is left empty. The table below still counts channels that are zero or constant at each "
            "layer, and those that are dormant stand under its further measures."
        )
    return ""


def comparisons(results: Results) -> tuple[ChartFigure, ...]:
    """Return the charts of all runs together, where two runs have a profile; a run has one colour in both."""
    silent, near = _lines(results, _silent), _lines(results, _near_zero)
    hues = depth.colours_of(silent or near)
    what = "silent channels at each rectifier", "near-zero values in each conv or linear weight"
    figures = (
        _together(silent, hues, "rectifier", "Silent channels", what[0]),
        _together(near, hues, "weight", "Near-zero weights", what[1]),
    )
    return tuple(figure for figure in figures if figure is not None)


def _lines(results: Results, profile: Callable[[Run], list[depth.Point]]) -> list[depth.Line]:
    """Return the profile of every run that has one, none where it would be nothing to compare."""
    lines = [
        depth.Line(run.id, tuple(points)) for run in results.runs if len(points := profile(run)) >= _FEWEST
    ]
    some = any(point.parts for line in lines for point in line.points)
    return lines if len(lines) >= _FEWEST and some else []


def _together(
    lines: list[depth.Line], hues: Mapping[str, str], layer: str, title: str, what: str
) -> ChartFigure | None:
    if not lines:
        return None
    stem = title.lower().replace(" ", "-")
    chart = depth.compare(lines, f"comparison of {stem}", hues, layer)
    worst = max(lines, key=lambda line: max(point.share for point in line.points))
    top = max(worst.points, key=lambda point: point.share)
    text = (
        f"Share of {what}, from the first to the last. The highest is "
        f"{formats.percent(top.share)} at {formats.shorten(top.name)} of {formats.shorten(worst.name)}."
    )
    return ChartFigure(
        chart, f"{title} by relative depth", text, f"Line chart. {text}", f"{stem}-by-depth.csv"
    )


def _dormant(run: Run) -> list[depth.Point]:
    found = [(tap, (tap.dormant or {}).get(TAU)) for tap in distinct(run.activations)]
    return [
        depth.Point(tap_name(tap), len(channels) / tap.channels, len(channels), tap.channels)
        for tap, channels in found
        if channels is not None and tap.channels
    ]


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
