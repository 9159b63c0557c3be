"""The values behind a picture: those that it was made of, as far as its pixels tell, from the kit and from the page."""

from __future__ import annotations

import base64
import csv
import gzip
import html
import io
import re
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

import sample_results as samples
from featreport.figures import embedded
from featreport.images.pictures import encode
from featreport.images.sprites import kernel_sprite, matrix_picture, sprite_of_maps, strip_of_units
from featreport.paper import values
from featreport.report import render
from featreport.report.pixels import planes_of
from featreport.results.schema import FeatureMaps, KernelNorms, Kernels, Results, Run

GREY = 1 / 255


@pytest.fixture(scope="module")
def truth() -> dict[str, np.ndarray]:
    """What the pictures are of: maps one of which is faint, one constant, one negative; units; filters; norms."""
    noise = np.random.default_rng(0)
    maps = noise.normal(size=(2, 5, 9, 13)).clip(0) * np.array([1, 1e-3, 5, 1, 1])[:, None, None]
    maps[:, 3] = 0.75
    maps[:, 4] = -maps[:, 4] / 8
    return {
        "maps": maps.astype(np.float32),
        "units": noise.normal(size=(2, 70)).clip(0).astype(np.float32),
        "rgb": noise.normal(size=(7, 3, 5, 5)).astype(np.float32),
        "grey": noise.normal(size=(20, 1, 3, 3)).astype(np.float32),
        "norms": np.abs(noise.normal(size=(6, 4))),
    }


@pytest.fixture(scope="module")
def results(truth: dict[str, np.ndarray]) -> Results:
    pictures: dict[str, str] = {}

    def keep(pixels: np.ndarray) -> str:
        key, pictures[key] = encode(pixels)
        return key

    def filters(weight: np.ndarray) -> Kernels:
        made = kernel_sprite(weight)
        return Kernels(
            name="conv1.weight", picture=keep(made.sprite), tile=made.tile, gap=1, columns=made.columns,
            shown=made.shown, total=len(weight), limit=made.limit,
        )  # fmt: skip

    def figure(
        layer: str, kind: str, whole: np.ndarray, sprite: np.ndarray, tile: list[int], **more
    ) -> FeatureMaps:
        return FeatureMaps(
            layer=layer, call=0, kind=kind, picture=keep(sprite), images=[1, 0], tile=tile, gap=1,
            low=float(whole.min()), high=float(whole.max()), **more,
        )  # fmt: skip

    def of_run(name: str, weight: np.ndarray) -> Run:
        maps, units = truth["maps"], truth["units"]
        made = sprite_of_maps(maps, float(maps.min()), float(maps.max()))
        strip, tile = strip_of_units(units, float(units.min()), float(units.max()), 64)
        picture, size, high = matrix_picture(truth["norms"])
        return samples.run(name, pictures, {}, layers=1).model_copy(
            update={
                "maps": [
                    figure("a.0", "maps", maps, made.sprite, made.tile, channels=[4, 0, 9, 2, 7],
                           contrast=keep(made.veil)),
                    figure('head, "last"', "units", units, strip, tile, channels=list(range(70))),
                ],
                "kernels": filters(weight),
                "weights": [samples.weight("conv1.weight", list(weight.shape), 0)],
                "kernel_norms": [
                    KernelNorms(name="fc.weight", picture=keep(picture), outputs=6, inputs=4, kernel=[],
                                size=size, high=high)
                ],
            }
        )  # fmt: skip

    return samples.results([of_run("net/one", truth["rgb"]), of_run("net/two", truth["grey"])], pictures)


def rows(text: str) -> tuple[list[str], list[tuple[str, ...]], np.ndarray]:
    """Return the head, the places and the numbers of a file."""
    head, *lines = csv.reader(io.StringIO(text, newline=""))
    first = next(at for at, name in enumerate(head) if name in {"x0", "value"})
    return head, [tuple(line[:first]) for line in lines], np.array([line[first:] for line in lines], float)


def unpacked(found: values.Values | None) -> tuple[list[str], list[tuple[str, ...]], np.ndarray]:
    assert found is not None
    return rows(gzip.decompress(found.packed()).decode("utf-8"))


def test_maps_come_back_to_half_a_level_of_each_of_them(truth, results) -> None:
    run = results.runs[0]
    head, places, found = unpacked(values.of_maps(run, run.maps[0], results.pictures))
    assert head == ["image", "channel", "y", *(f"x{x}" for x in range(13))]
    assert places[0] == (run.images.files[1].name, "4", "0")
    assert places[5 * 9 + 9] == (run.images.files[0].name, "0", "0")
    maps = truth["maps"]
    found = found.reshape(maps.shape)
    whole = maps.max() - maps.min()
    span = maps.max((2, 3), keepdims=True) - maps.min((2, 3), keepdims=True)
    # a level of 16 up to which small values are raised, and the veil's own rounding; one value has but 16 levels
    room = np.where(span > 0, span / 15 + 1.5 * GREY * whole, whole / 30 + 1e-6)
    assert (np.abs(found - maps) <= room).all()
    assert np.median(np.abs(found - maps)[:, 2]) < span[:, 2].max() / 30


def test_units_and_norms_come_back_to_a_level(truth, results) -> None:
    run = results.runs[0]
    head, places, found = unpacked(values.of_maps(run, run.maps[1], results.pictures))
    assert head == ["image", "unit", "value"]
    assert places[69:71] == [(run.images.files[1].name, "69"), (run.images.files[0].name, "0")]
    assert np.abs(found.reshape(2, 70) - truth["units"]).max() <= truth["units"].max() / 31
    matrix = embedded.pixels(results.pictures[run.kernel_norms[0].picture], "L")
    _, _, found = unpacked(values.of_norms(run.kernel_norms[0], matrix))
    assert np.abs(found - truth["norms"]).max() <= truth["norms"].max() / 31


@pytest.mark.parametrize(
    ("number", "name", "planes"), [(0, "rgb", ["red", "green", "blue"]), (1, "grey", ["grey"])]
)
def test_filters_come_back_to_half_a_grey_level(truth, results, number, name, planes) -> None:
    shown = results.runs[number].kernels
    _, places, found = unpacked(
        values.of_kernels(shown, embedded.kernels(shown, results.pictures), len(planes))
    )
    side = shown.tile[0]
    assert [place[1] for place in places[::side]][: len(planes)] == planes
    assert places[-1] == (str(shown.shown - 1), planes[-1], str(side - 1))
    exact = truth[name]
    assert np.abs(found.reshape(exact.shape) - exact).max() <= np.abs(exact).max() / 253


def test_a_weight_that_is_no_number_is_an_empty_cell_and_equal_planes_stay_three(truth) -> None:
    weight = np.repeat(truth["grey"][:2], 3, axis=1)
    weight[0, 1, 2, 0] = np.nan
    made = kernel_sprite(weight)
    key, uri = encode(made.sprite)
    shown = Kernels(
        name="w", picture=key, tile=made.tile, gap=1, columns=made.columns, shown=2, total=2, limit=made.limit
    )
    found = values.of_kernels(shown, embedded.kernels(shown, {key: uri}), 3)
    text = gzip.decompress(found.packed()).decode()
    cells = list(csv.reader(io.StringIO(text)))
    assert [line[1] for line in cells[1::3]] == ["red", "green", "blue"] * 2
    assert cells[1 + 3 + 2][3] == ""
    assert sum(cell == "" for line in cells for cell in line) == 1


def test_a_picture_that_cannot_be_read_has_no_values(results) -> None:
    run = results.runs[0]
    assert values.of_maps(run, run.maps[0], {}) is None
    assert values.of_maps(run, run.maps[0], {run.maps[0].picture: "data:image/png;base64,AAAA"}) is None


@pytest.mark.browser
def test_the_page_gives_the_values_that_the_kit_gives(results, browser, saved, opens, tmp_path: Path) -> None:
    page = opens(browser, saved(render(results)), accept_downloads=True)
    page.evaluate("document.querySelectorAll('details').forEach((box) => { box.open = true; })")
    for run in results.runs:
        buttons = page.locator(f'section[data-run="{run.id}"] figcaption button')
        labels = buttons.evaluate_all("(all) => all.map((one) => one.getAttribute('aria-label'))")
        assert labels == [
            "Values (CSV) of first layer", "Values (CSV) of fc.weight", "Values (CSV) of a.0",
            'Values (CSV) of head, "last"',
        ]  # fmt: skip
        matrix = embedded.pixels(results.pictures[run.kernel_norms[0].picture], "L")
        shown = embedded.kernels(run.kernels, results.pictures)
        kit = [
            values.of_kernels(run.kernels, shown, planes_of(run)),
            values.of_norms(run.kernel_norms[0], matrix),
            *(values.of_maps(run, one, results.pictures) for one in run.maps),
        ]
        for place, expected in enumerate(kit):
            with page.expect_download() as started:
                buttons.nth(place).click()
            target = tmp_path / "values.csv"
            started.value.save_as(target)
            assert started.value.suggested_filename.endswith(".csv")
            head, places, found = rows(target.read_text(encoding="utf-8"))
            same_head, same_places, exact = unpacked(expected)
            assert (head, places) == (same_head, same_places)
            # a canvas rounds what a translucent pixel holds
            room = GREY * (run.maps[0].high - run.maps[0].low) if "channel" in head else 0.0
            np.testing.assert_allclose(found, exact, rtol=1e-4, atol=room)
    assert page.record.messages == []


LINK = re.compile(
    r'<figure class=maps.*?<a download="([^"]+)" href="data:([^"]+)">(CSV[^<]*)</a>.*?</figure>', re.DOTALL
)


def coarse(run: Run, results: Results) -> list[tuple[list[tuple[str, ...]], np.ndarray]]:
    """Return places and numbers of what a run's pictures show, in the order of the page, out of the kit's values."""
    grey = embedded.pixels(results.pictures[run.kernel_norms[0].picture], "L")
    filters = values.of_kernels(run.kernels, embedded.kernels(run.kernels, results.pictures), planes_of(run))
    whole = [filters, values.of_norms(run.kernel_norms[0], grey)]
    whole += [values.of_maps(run, one, results.pictures) for one in run.maps]
    found = []
    for every in whole:
        _, places, numbers = unpacked(every)
        if every.keys == ("image", "unit"):
            found.append((places, numbers))
            continue
        keys = [place[:-1] or place for place in places]  # without the line; a row of norms is a line
        groups = {key: numbers[[at for at, one in enumerate(keys) if one == key]] for key in keys}
        told = [[group.min(), group.mean(), group.max()] for group in groups.values()]
        found.append((list(groups), np.array(told)))
    return found


def test_every_picture_has_its_numbers_in_a_link_that_needs_no_script(results) -> None:
    page = render(results)
    assert page.count("<figure class=maps") == 8
    links = LINK.findall(page)
    assert len(links) == 8
    labels = ["CSV per filter", "CSV per row", "CSV per map", "CSV"] * 2
    assert [label.removesuffix(" (gzip)") for _, _, label in links] == labels
    wanted = [one for run in results.runs for one in coarse(run, results)]
    for (name, link, label), (places, numbers) in zip(links, wanted, strict=True):
        kind, _, told = html.unescape(link).partition(",")
        packed = kind == "application/gzip;base64"
        assert packed == name.endswith(".csv.gz") == label.endswith("(gzip)")
        text = gzip.decompress(base64.b64decode(told)).decode() if packed else unquote(told)
        head, *lines = csv.reader(io.StringIO(text, newline=""))
        least = head.index("value" if "value" in head else "least")
        assert head[least:] in (["value"], ["least", "mean", "greatest"])
        keys = [place for place, key in enumerate(head[:least]) if key not in {"dead", "fires_most_on"}]
        assert [tuple(line[place] for place in keys) for line in lines] == places
        found = np.array([line[least:] for line in lines], float)
        np.testing.assert_allclose(found, numbers, rtol=0.006, atol=1e-6)  # three digits


def test_what_a_map_is_of_stands_beside_its_numbers() -> None:
    results = samples.sample()
    run = next(run for run in results.runs if any(tap.dead for tap in run.activations))
    dead = {tap.layer: set(tap.dead) for tap in run.activations}
    page = render(results).split(f'data-run="{run.id}" data-status')[1].split("</section>")[0]
    links = [link for name, link, _ in LINK.findall(page) if "-maps." in name]
    maps = sorted(
        (one for one in run.maps if one.kind == "maps"),
        key=lambda one: page.index(f'Feature maps of {one.layer}"'),
    )
    for shown, link in zip(maps, links, strict=True):
        kind, _, told = html.unescape(link).partition(",")
        text = gzip.decompress(base64.b64decode(told)).decode() if "base64" in kind else unquote(told)
        lines = list(csv.DictReader(io.StringIO(text, newline="")))
        assert [line["image"] for line in lines[:: len(shown.channels)]] == [
            run.images.files[at].name for at in shown.images
        ]
        assert [line["dead"] == "true" for line in lines] == [
            channel in dead[shown.layer] for channel in shown.channels
        ] * len(shown.images)


@pytest.mark.browser
def test_the_numbers_of_a_picture_are_saved_with_scripts_off(
    results, browser, saved, opens, tmp_path
) -> None:
    page = opens(browser, saved(render(results)), java_script_enabled=False)
    run = page.locator("section[data-run]").first
    link = run.locator("figure.maps figcaption a[download]").first
    assert run.locator("figcaption button").count() == 0
    with page.expect_download() as started:
        link.click()
    target = tmp_path / started.value.suggested_filename
    started.value.save_as(target)
    text = gzip.decompress(target.read_bytes()).decode() if target.suffix == ".gz" else target.read_text()
    assert text.startswith("filter,input,least,mean,greatest\n0,red,")
    assert len(text.splitlines()) == 1 + 7 * 3


@pytest.mark.browser
def test_pixels_that_a_browser_changes_are_refused(results, browser, saved, opens) -> None:
    page = opens(browser, saved(render(results)))
    page.evaluate(
        """() => {
          const read = CanvasRenderingContext2D.prototype.getImageData;
          CanvasRenderingContext2D.prototype.getImageData = function (...where) {
            const found = read.apply(this, where);
            for (let at = 0; at < found.data.length; at += 40) found.data[at] ^= 1;
            return found;
          };
          document.querySelectorAll('details').forEach((box) => { box.open = true; });
        }"""
    )
    run = page.locator("section[data-run]").first
    for number in range(4):
        run.locator("figcaption button").first.click()
        run.get_by_text("featreport export writes the values").nth(number).wait_for(timeout=5000)
    assert run.locator("figcaption button").count() == 0
    assert page.record.messages == []


@pytest.mark.browser
def test_without_scripts_the_page_says_where_the_values_are(results, browser, saved, opens) -> None:
    page = opens(browser, saved(render(results)), java_script_enabled=False)
    assert page.locator("figcaption button").count() == 0
    assert "featreport export" in page.inner_text(f'section[data-run="{results.runs[0].id}"]')
