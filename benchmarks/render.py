"""Rendering a report from its results against one matplotlib figure for each layer and tensor, saved as PNG.

    python benchmarks/render.py reports/demo.json [--repeats 5]

Both happen in this process, in turn, after one warm-up each: `render` is the whole way from typed results to the
audited text; a figure is the usual one, its histogram as bars with the four numbers in its title. Printed are medians
in seconds and per row (a layer or a tensor), and their ratio. Then what the page is: bytes, elements, elements for ten
layers; and where there is a Chromium, its first paint and load, the median of as many visits, each with a fresh
profile. The same of a page of ten models of sixty layers each: the largest run of the results, ten times over, with
pictures of its own each time.
"""

from __future__ import annotations

import argparse
import io
import re
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import featreport
from featreport.report import render
from featreport.results.schema import Activation, FeatureMaps, Results, Weight

AT_MOST = 0.05  # of the time of the figures
MODELS, LAYERS, MAX_BYTES = 10, 60, 15_000_000
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
TIMES = """() => {
  const paint = performance.getEntriesByName("first-contentful-paint")[0];
  return [paint ? paint.startTime : NaN, performance.getEntriesByType("navigation")[0].loadEventEnd];
}"""


def rows(results: Results) -> list[Activation | Weight]:
    return [row for run in results.runs for row in (*run.activations, *run.weights)]


def figure(row: Activation | Weight) -> bytes:
    """Draw one row as people draw it by hand."""
    drawn = Figure(figsize=(4, 3), dpi=100)
    FigureCanvasAgg(drawn)
    axes = drawn.subplots()
    edges, counts = row.histogram.edges, row.histogram.counts
    if counts:
        axes.stairs(counts, edges, fill=True)
    name = row.layer if isinstance(row, Activation) else row.name
    numbers = ", ".join(
        f"{what} {value:.3g}"
        for what in ("mean", "std", "min", "max")
        if (value := getattr(row, what)) is not None
    )
    axes.set_title(f"{name}\n{numbers}", fontsize=8, parse_math=False)
    saved = io.BytesIO()
    drawn.savefig(saved, format="png")
    return saved.getvalue()


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def ten_of_sixty(results: Results) -> Results:
    """Return ten copies of the largest run, cut to sixty layers and sixty tensors, each with its own pictures."""
    base = max(results.runs, key=lambda run: len(run.activations))
    taps = base.activations[:LAYERS]
    layers = {tap.layer for tap in taps}
    maps = [shown for shown in base.maps if shown.layer in layers]
    runs, pictures = [], {}
    for number in range(MODELS):
        keys = {key: f"{number}-{key}" for key in results.pictures}
        own = [
            shown.model_copy(
                update={
                    "picture": keys[shown.picture],
                    "contrast": keys.get(getattr(shown, "contrast", None) or ""),
                }
            )
            for shown in maps
        ]
        pictures |= {keys[key]: results.pictures[key] for shown in maps for key in keys_of(shown)}
        runs.append(base.model_copy(update={
            "id": f"model-{number}/{base.checkpoint}", "model": f"model-{number}", "activations": taps,
            "weights": base.weights[:LAYERS], "maps": own,
        }))  # fmt: skip
    rest = {
        key: source
        for key, source in results.pictures.items()
        if key not in {k for m in maps for k in keys_of(m)}
    }
    return results.model_copy(update={"runs": runs, "pictures": pictures | rest, "max_bytes": MAX_BYTES})


def keys_of(shown: FeatureMaps) -> list[str]:
    return [key for key in (shown.picture, getattr(shown, "contrast", None)) if key]


def describe(text: str, layers: int, repeats: int) -> None:
    """Print what a page is, and how fast it is there."""
    elements = len(re.findall(r"<[a-z]", re.sub(r"<(script|style).*?</\1>", "", text, flags=re.DOTALL)))
    size = len(text.encode()) / 1e6
    print(f"page    {size:8.2f} MB   {elements:,} elements, {10 * elements / layers:.0f} for 10 layers")
    if 'id="left-out"' in text:
        print("        something was left out of it to keep report.max_bytes")
    times = visits(text, repeats)
    for name, values in zip(("paint", "load"), zip(*times, strict=True), strict=bool(times)):
        print(f"{name:8}{statistics.median(values):8.0f} ms   ({min(values):.0f} … {max(values):.0f})")
    if not times:
        print("        no Chromium: first paint and load were not measured")


def visits(text: str, repeats: int) -> list[tuple[float, float]]:
    """Open the page in Chromium so many times; return first paint and load in milliseconds, nothing without one."""
    path = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if path is None:
        return []
    from playwright.sync_api import sync_playwright

    times = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        page = Path(folder) / "report.html"
        page.write_text(text, encoding="utf-8")
        for _ in range(repeats + 1):
            browser = driver.chromium.launch(executable_path=path, args=FLAGS)
            opened = browser.new_page(viewport={"width": 1440, "height": 900})
            opened.goto(page.as_uri())
            opened.wait_for_function("performance.getEntriesByType('navigation')[0].loadEventEnd > 0")
            times.append(tuple(opened.evaluate(TIMES)))
            browser.close()
    return times[1:]  # the first fills the system's caches


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", help="results JSON, or a report's HTML")
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    results = featreport.load(asked.results)
    shown = rows(results)
    layers = sum(len(run.activations) for run in results.runs)
    text = render(results, "report.json")
    figure(shown[0])
    pairs = [
        (seconds(lambda: render(results, "report.json")), seconds(lambda: [figure(row) for row in shown]))
        for _ in range(asked.repeats)
    ]
    print(f"{asked.results}: {len(results.runs)} runs, {layers} layers and {len(shown) - layers} tensors")
    for name, values in zip(("render", "figures"), zip(*pairs, strict=True), strict=True):
        median = statistics.median(values)
        low, high = min(values), max(values)
        print(f"{name:8}{median:8.2f} s   ({low:.2f} … {high:.2f})   {1e3 * median / len(shown):7.2f} ms per row"
              f"   {1e3 * median / layers:7.2f} ms per layer")  # fmt: skip
    ratio = statistics.median(page / figures for page, figures in pairs)
    print(
        f"ratio   {ratio:8.3f}     at most {AT_MOST} is promised: {'kept' if ratio <= AT_MOST else 'not kept'}"
    )
    describe(text, layers, asked.repeats)
    large = ten_of_sixty(results)
    began = time.perf_counter()
    text = render(large, "report.json")
    print(f"{MODELS} models of {LAYERS} layers: rendered in {time.perf_counter() - began:.1f} s")
    describe(text, sum(len(run.activations) for run in large.runs), asked.repeats)


if __name__ == "__main__":
    main()
