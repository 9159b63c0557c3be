"""Results of every size and shape a lab may have: the page holds them all, whole, and never scrolls sideways."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from PIL import Image

import sample_results as samples
from featreport.report import render
from featreport.results import codec
from featreport.results.schema import (
    Activation,
    DeadFilter,
    FailedImage,
    FeatureMaps,
    Histogram,
    ImageFile,
    Images,
    Kernels,
    Results,
    Run,
)
from printing import PAPER, faults_in_print

LONG = ("a_module.with.a.name_of_parts." * 10)[:150] + "W" * 150
OPEN_ALL = "document.querySelectorAll('details').forEach((box) => { box.open = true; })"


def one(taps: list[Activation], run_id: str = "net/a", pictures: dict[str, str] | None = None, **more) -> Run:
    """Return a run of these taps alone, or with what `more` says."""
    fields = {"maps": [], "kernels": None, "weights": [], "buffers": [], **more}
    summary = samples.summary(taps, fields["weights"])
    return samples.run(
        run_id,
        {} if pictures is None else pictures,
        {},
        layers=1,
        activations=taps,
        summary=summary,
        **fields,
    )


def forty_runs() -> Results:
    runs = [samples.run(f"net/epoch-{i}", {}, {0: [0]}, layers=2, maps=[], kernels=None) for i in range(40)]
    return samples.results(runs)


def six_hundred_taps() -> Results:
    taps = [samples.activation(f"block.{i}.relu", 8, i % 9, dead=[i % 8]) for i in range(600)]
    return samples.results([one(taps)])


def four_thousand_channels() -> Results:
    odd = list(range(1, 4096, 2))
    pictures: dict[str, str] = {}
    key, source = samples.picture(np.arange(64 * 64, dtype=np.uint8).reshape(64, 64))
    tap = samples.activation("fc1", 4096, 1, dead=odd, shape=[4096])
    evidence = [DeadFilter(channel=channel, peak=1e-9, norm=1e-8) for channel in odd]
    tensor = samples.weight(
        "fc1.weight", [4096, 4], 2, dead=odd, dead_fraction=0.5, dead_filters=evidence, median_norm=1.0
    )
    shown = FeatureMaps(layer="fc1", call=0, kind="units", picture=key, images=[0], channels=list(range(4096)),
                        tile=[64, 64], gap=1, low=0.0, high=1.0)  # fmt: skip
    run = one([tap], pictures=pictures, weights=[tensor], maps=[shown])
    return samples.results([run], pictures | {key: source})


def long_names() -> Results:
    pictures: dict[str, str] = {}
    taps = [samples.activation(f"{i}{LONG}", 4, i, dead=[1], module=LONG, output=LONG) for i in range(3)]
    tensors = [samples.weight(f"{i}{LONG}", [4, 3], i, tied=[LONG], module=LONG) for i in range(3)]
    shown = samples.run("net/a", pictures, {}, layers=1).maps[0]
    maps = [shown.model_copy(update={"layer": taps[0].layer, "output": LONG})]
    images = Images(
        count=1, files=[ImageFile(name=LONG, sha256="0", width=9, height=9, note=LONG)],
        failed=[FailedImage(path=LONG, reason=LONG)],
    )  # fmt: skip
    more = {"weights": tensors, "maps": maps, "images": images, "transform": LONG, "source": LONG, "device": LONG,
            "notes": [LONG], "load": samples.load(path=LONG, key=LONG, prefix=LONG, missing=[LONG], facts={LONG: LONG}),
            "unmeasured": [samples.Unmeasured(layer=LONG, reason=LONG)]}  # fmt: skip
    runs = [one(taps, f"{LONG}/{i}", pictures, checkpoint=f"{i}{LONG}", **more) for i in range(2)]
    return samples.results([*runs, samples.failed(f"{LONG}/b", message=LONG)], pictures, title=LONG)


def nothing_but_nan() -> Results:
    nothing = dict.fromkeys(("mean", "std", "min", "max", "zero_fraction", "near_zero_fraction"))
    empty = Histogram(edges=[], counts=[])
    taps, tensors = [], []
    for index in range(4):
        tap = samples.activation(f"layer.{index}", 8, index, rectifier=index % 2 == 0, **nothing, histogram=empty,
                                 zeros=0, near_zeros=0)  # fmt: skip
        taps.append(tap.model_copy(update={"nonfinite": tap.count, "nan": tap.count}))
        tensor = samples.weight(f"layer.{index}.weight", [8, 4], index, **nothing, histogram=empty)
        tensors.append(
            tensor.model_copy(update={"nonfinite": 32, "nan": 32, "relative_near_zero_fraction": None})
        )
    return samples.results([one(taps, weights=tensors)])


def one_pixel() -> Results:
    pictures: dict[str, str] = {}
    base = samples.run("net/a", pictures, {}, layers=1)
    dot, source = samples.picture(np.zeros((1, 1), np.uint8))
    taps = [
        samples.activation("pool", 1, 1, shape=[1, 1, 1]),
        samples.activation("head", 1, 2, dead=[0], shape=[1]),
    ]
    maps = [
        FeatureMaps(layer=tap.layer, call=0, kind=kind, picture=dot, images=[0], channels=[0], tile=[1, 1], gap=1,
                    low=0.0, high=0.0)
        for tap, kind in zip(taps, ("maps", "units"), strict=True)
    ]  # fmt: skip
    kernels = Kernels(name="w", picture=dot, tile=[1, 1], gap=1, columns=1, shown=1, total=1, limit=0.0)
    images = Images(count=1, files=[ImageFile(name="dot.png", sha256="0", width=1, height=1, picture=dot)])
    run = base.model_copy(update={"activations": taps, "maps": maps, "kernels": kernels, "images": images})
    return samples.results([run], pictures | {dot: source})


def thousand_images() -> Results:
    taps = [samples.activation("relu", 8, 1, dead=[1], images=1000)]
    base = samples.run("net/a", pictures := {}, {}, layers=1)
    files = [ImageFile(name=f"photos/{i:04d}.jpg", sha256="0", width=640, height=480) for i in range(996)]
    failed = [FailedImage(path=f"photos/bad_{i:04d}.jpg", reason="cannot be decoded") for i in range(1000)]
    images = Images(count=1000, files=[*base.images.files, *files], failed=failed)
    return samples.results([one(taps, images=images)], pictures)


def ten_models_of_sixty_layers() -> Results:
    """Return ten runs whose sprites are as large as real ones."""
    y, x = np.mgrid[0:96, 0:288]
    pictures: dict[str, str] = {}
    runs = []
    for model in range(10):
        taps = [samples.activation(f"blocks.{i}.relu", 64, i % 7, dead=[1] * (i % 9 == 0)) for i in range(60)]
        tensors = [samples.weight(f"blocks.{i}.weight", [64, 16], i % 5) for i in range(60)]
        maps = []
        for place, tap in enumerate(taps):
            wave = (
                120
                + 60 * np.sin(x / (3 + place % 9) + model) * np.cos(y / (4 + place % 7))
                + (x * y * (place + 7)) % 5
            )
            key, source = samples.picture(wave.astype(np.uint8))
            pictures[key] = source
            maps.append(FeatureMaps(layer=tap.layer, call=0, kind="maps", picture=key, images=[0, 1, 2, 3],
                                    channels=list(range(12)), tile=[23, 23], gap=1, low=0.0, high=1.0))  # fmt: skip
        runs.append(one(taps, f"model{model}/a", pictures, weights=tensors, maps=maps))
    return samples.results(runs, pictures)


CASES: dict[str, Callable[[], Results]] = {
    "no runs": lambda: samples.results([]),
    "every run failed": lambda: samples.results([samples.failed(f"net/{i}") for i in range(12)]),
    "forty runs": forty_runs,
    "600 taps": six_hundred_taps,
    "4,096 channels": four_thousand_channels,
    "names of 300 letters": long_names,
    "nothing but NaN": nothing_but_nan,
    "maps of one pixel": one_pixel,
    "one image": lambda: samples.results(
        [one([samples.activation("relu", 8, 1, dead=[1])], images=Images(count=1))]
    ),
    "1,000 images": thousand_images,
    "10 models of 60 layers": ten_models_of_sixty_layers,
}


@pytest.fixture(scope="module")
def built() -> Callable[[str], tuple[Results, str]]:
    """Gives a case's results and its page, each made once."""

    @cache
    def make(name: str) -> tuple[Results, str]:
        results = CASES[name]()
        return results, render(results, "report.json")

    return make


@pytest.mark.parametrize("name", CASES)
def test_every_case_keeps_its_size_its_rows_and_its_numbers(built, name):
    results, text = built(name)
    assert len(text.encode("utf-8")) <= results.max_bytes
    assert text.count("<tr ") >= sum(len(run.activations) + len(run.weights) for run in results.runs)
    assert 'id="left-out"' not in text
    assert codec.decode(text, name).runs == results.runs


def test_a_page_that_must_leave_things_out_is_whole_at_every_size():
    results = samples.measured()
    many = [
        tap.model_copy(update={"layer": f"{tap.layer}.{i}"})
        for i in range(20)
        for tap in results.runs[0].activations
    ]
    results = results.model_copy(update={"runs": [results.runs[0].model_copy(update={"activations": many})]})
    size = len(render(results, "report.json").encode("utf-8"))
    for share in (0.9, 0.7, 0.5, 0.45, 0.4, 0.35, 0.3):
        limit = int(size * share)
        text = render(
            results.model_copy(update={"max_bytes": limit}), "report.json"
        )  # the audit reads every one
        assert len(text.encode("utf-8")) <= limit
        assert 'id="left-out"' in text


@pytest.mark.parametrize(("name", "opened"), [("forty runs", 3), ("10 models of 60 layers", 1)])
def test_of_many_runs_the_worst_start_open_and_of_long_ones_the_worst_alone(built, name, opened):
    _, text = built(name)
    sections = re.findall(
        r'<section class="run warn" id="[^"]+" [^>]+>\n<details class="fold"( open)?>', text
    )
    assert len(sections) == len(CASES[name]().runs)
    assert sections.count(" open") == opened


def test_a_photo_beside_many_maps_is_painted_and_never_copied():
    text = render(samples.sample())
    photos = set(re.findall(r'<marker id="([^"]+)"', text))
    stamps = dict(re.findall(r'<line id="([^"]+)" marker-start="url\(#([^)"]+)\)"', text))
    shown = re.findall(r'<use [^>]*href="?#([^" >]+)', text)
    assert photos == set(stamps.values())
    assert stamps.keys() <= set(shown)
    assert len([anchor for anchor in shown if anchor in stamps]) > 2 * len(photos) > 0
    assert not photos & set(shown)


@pytest.mark.browser
@pytest.mark.parametrize("seen", [(0.0, 0.0, 1.0, 1.0), (0.25, 0.125, 0.5, 0.75)])
def test_a_painted_photo_looks_like_the_photo_where_it_stands_and_so_does_a_part_of_it(
    browser, opens, saved, seen
):
    results = with_seen(samples.sample(), seen)
    page = opens(browser, saved(render(results)), viewport={"width": 1440, "height": 900})
    page.evaluate(OPEN_ALL)
    shown = page.locator(".maps svg > use[href^='#f-']").first
    page.locator(".maps svg:has(> use[href^='#f-'])").first.scroll_into_view_if_needed()
    box = shown.evaluate("""(shown) => {
      const svg = shown.ownerSVGElement.getBoundingClientRect();
      const photo = document.querySelector(`${shown.getAttribute("href")} use`);
      const line = document.getElementById(photo.getAttribute("href").slice(1));
      const { a, d } = line.transform.baseVal[0].matrix;
      const { x, y } = photo;
      const anchor = line.getAttribute("marker-start").slice(5, -1);
      return { anchor, x: svg.x + x.baseVal.value, y: svg.y + y.baseVal.value, width: a, height: d };
    }""")
    anchor = box.pop("anchor")
    assert anchor.endswith("-seen") == (seen[2] < 1)
    source = next(uri for key, uri in results.pictures.items() if anchor.startswith(f"p-{key[:8]}"))
    with Image.open(io.BytesIO(page.screenshot(clip=box))) as image:
        shown = np.asarray(image.convert("RGB"), float)[2:-2, 2:-2]
    with Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) as image:
        left, top, width, height = (share * side for share, side in zip(seen, 2 * image.size, strict=True))
        box = left, top, left + width, top + height
        whole = image.convert("RGB").resize((shown.shape[1] + 4, shown.shape[0] + 4), box=box)
    photo = np.asarray(whole, float)[2:-2, 2:-2]
    assert photo.std() > 20
    assert np.abs(shown - photo).mean() < 12


def with_seen(results, seen):
    """The results, as if the networks had been given this part of every photo."""
    runs = []
    for run in results.runs:
        files = [file.model_copy(update={"seen": list(seen)}) for file in run.images.files]
        runs.append(run.model_copy(update={"images": run.images.model_copy(update={"files": files})}))
    return results.model_copy(update={"runs": runs})


@pytest.mark.browser
def test_the_words_of_a_histogram_are_laid_out_once_it_is_opened(browser, opens, saved):
    page = opens(browser, saved(render(samples.sample())))
    words = page.locator("table.taps .hist text").first
    assert words.bounding_box() is None
    page.locator("table.taps .hist summary").first.click()
    assert words.bounding_box()["width"] > 0


@pytest.mark.browser
@pytest.mark.parametrize("name", CASES)
def test_every_case_shows_every_name_and_never_scrolls_sideways(browser, opens, saved, built, name):
    results, text = built(name)
    address = saved(text)
    page = opens(browser, address, viewport={"width": 390, "height": 844})
    closed = page.evaluate("document.documentElement.scrollWidth")
    page.evaluate(OPEN_ALL)
    for width in (320, 390, 1440):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert closed <= 390
    words = page.inner_text("main")
    for run in results.runs:
        for shown in (
            run.id,
            *(tap.layer for tap in run.activations),
            *(tensor.name for tensor in run.weights),
        ):
            assert shown in words
    assert [url for url in page.record.requests if not url.startswith("data:")] == [address]
    assert page.record.messages == []


@pytest.mark.browser
def test_the_check_of_the_width_finds_a_word_that_does_not_break(browser, opens, saved, built):
    _, text = built("names of 300 letters")
    page = opens(browser, saved(text), viewport={"width": 390, "height": 844})
    page.evaluate("document.styleSheets[0].insertRule('main *{overflow-wrap:normal !important}', 0)")
    page.evaluate(OPEN_ALL)
    assert page.evaluate("document.documentElement.scrollWidth") > 390


@pytest.mark.browser
@pytest.mark.parametrize("name", ["4,096 channels", "names of 300 letters", "nothing but NaN"])
def test_no_row_of_a_large_case_is_taller_than_a_sheet(browser, opens, saved, built, name):
    page = opens(browser, saved(built(name)[1]), viewport=PAPER)
    assert [fault for fault in faults_in_print(page) if not fault.startswith("not printed: SPAN")] == []


def test_what_is_not_printed_of_a_long_list_is_on_the_page_and_the_sheet_says_so(built):
    _, text = built("4,096 channels")
    whole = text.replace('<span class="screen">', "").replace(
        '</span><span class="sheet">… the rest is in the page and in its CSV', ""
    )
    assert ", ".join(map(str, range(1, 4096, 2))) in whole
    assert text.count('<span class="screen">') == text.count('<span class="sheet">') > 0
