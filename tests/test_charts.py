"""Charts by depth: their bytes follow from what they show alone."""

from __future__ import annotations

import random
import re
from threading import Thread
from urllib.parse import unquote

import pytest

from featreport.figures import canvas
from featreport.figures.depth import Chart, Line, Point, compare, depth, legend
from featreport.figures.trend import Track, trend

SIZES = (1, 2, 13, 49, 60, 61, 300, 0, 7)  # layers; beyond 60 the bars touch


def chart(number: int) -> Chart:
    draw = random.Random(number)
    count = SIZES[number]
    silent = number % 4 == 3  # nothing to name
    points = [
        Point(f"layer{i}", 0.0 if silent or not i % 3 else draw.random() ** (1 + number), 3, 64)
        for i in range(count)
    ]
    axis = "rectifiers" if number % 2 else "parameter tensors"
    return depth(points, axis, canvas.HUES[number % 4], f"salt {number}")


def alone(number: int) -> Chart:
    """Return a chart from a thread that has drawn nothing else."""
    found: list[Chart] = []
    thread = Thread(target=lambda: found.append(chart(number)))
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.parametrize("order", [range(9), reversed(range(9)), [5, 0, 5, 8, 3, 6, 1, 7, 2, 4, 6]])
def test_a_chart_is_the_same_whatever_was_drawn_before_it(order: list[int]) -> None:
    expected = {number: alone(number) for number in range(len(SIZES))}
    assert len({one.source for one in expected.values()}) == len(SIZES)
    for number in order:
        assert chart(number) == expected[number], f"{SIZES[number]} layers"


def test_only_lines_that_must_be_told_apart_have_a_legend() -> None:
    one = [("net/a", canvas.HUES[0])]
    assert legend(one, 0) == legend([], 1) == ()
    assert legend(one, 1) == (("net/a", "hue0"), ("1 other run", ""))


def test_of_lines_that_coincide_each_is_seen() -> None:
    hues = {"a": canvas.HUES[0], "b": canvas.HUES[1], "c": canvas.HUES[2], "d": canvas.HUES[3]}
    shares = {"a": (0.1, 0.5), "b": (0.0, 0.2), "c": (0.0, 0.2), "d": (0.0, 0.2), "e": (0.0, 0.2)}
    lines = [Line(name, tuple(Point("relu", s, 1, 9) for s in found)) for name, found in shares.items()]
    tracks = [Track(name, found) for name, found in shares.items()]
    for made in (
        compare(lines, "salt", hues, "rectifier"),
        trend(tracks, ["build 1", "this build"], "salt", hues),
    ):
        drawing = unquote(made.source.partition(",")[2])
        dashes = {
            hue: re.findall(
                rf"stroke-dasharray: ([\d.,]+); stroke-dashoffset: (-?[\d.]+); stroke: {hue}", drawing
            )
            for hue in canvas.HUES
        }
        assert dashes.pop(canvas.HUES[0]) == []
        turns = sorted(abs(float(offset)) for ((_, offset),) in dashes.values())
        (pattern,) = {pattern for ((pattern, _),) in dashes.values()}
        on, off = map(float, pattern.split(","))
        assert off == pytest.approx(2 * on)
        assert turns == pytest.approx([0, on, 2 * on])
