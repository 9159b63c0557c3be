"""Which feature maps are shown: of which layers, channels and images; and what stands beside them."""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError

import featreport
from featreport.collect.again import choose
from featreport.collect.maps import Channelwise
from featreport.images.region import region_of
from featreport.images.transform import make_transform
from featreport.paper import exhibit, sprites
from featreport.plan.types import TransformSpec
from featreport.results import codec
from featreport.results.schema import FeatureMaps, ImageFile, Results, Run

NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.conv = nn.Conv2d(3, 20, 3)
        self.norm = nn.BatchNorm2d(20)
        self.relu = nn.ReLU()
        self.head = nn.Linear(20, 7)
        with torch.no_grad():
            self.conv.bias[[4, 9]] = -100.0
            self.conv.bias[5] = 8.0
            self.conv.weight[6] *= 30  # fires on few images: its bias is far below nearly every sum
            self.conv.bias[6] = -9.0
    def forward(self, x):
        y = self.relu(self.norm(self.conv(x)))
        return self.head((y + y).mean((2, 3)))
"""


def build(folder: Path, report: str, net: str = NET) -> Results:
    (folder / "net.py").write_text(net)
    noise = np.random.default_rng(1)
    for index in range(6):
        pixels = noise.integers(0, 256, (12, 12, 3)) * np.linspace(0.3, 1, 6)[index]
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"photo{index}.png")
    manifest = folder / "config.yaml"
    manifest.write_text(
        "version: 1\noutput: out/page.html\nimages: ['photo*.png']\ntransform: none\nbatch_size: 4\n"
        'models: [{name: net, source: "python:net.py:Net", checkpoints: [random:0]}]\n'
        f"report: {report}\n"
    )
    return featreport.build(manifest)


def shown(run: Run, layer: str = "relu") -> FeatureMaps:
    return next(maps for maps in run.maps if maps.layer == layer)


def values(results: Results, maps: FeatureMaps) -> NDArray[np.float64]:
    """What the page shows of a tap, back in its own numbers: `[images, channels, h, w]`."""

    def pixels(key: str | None) -> NDArray[np.float64]:
        assert key is not None
        content = base64.b64decode(results.pictures[key].partition("base64,")[2])
        return np.asarray(Image.open(io.BytesIO(content)).convert("LA"), np.float64) / 255

    sheet, veil = pixels(maps.picture)[:, :, 0], pixels(maps.contrast)
    height, width = maps.tile
    step = (height + maps.gap, width + maps.gap)
    tiles = np.stack([
        np.stack([
            sheet[r * step[0] : r * step[0] + height, c * step[1] : c * step[1] + width]
            for c in range(len(maps.channels))
        ])
        for r in range(len(maps.images))
    ])  # fmt: skip
    grey, opacity = veil[:, :, 0, None, None], veil[:, :, 1, None, None]
    unit = tiles * (1 - opacity) + grey * opacity
    return maps.low + unit * (maps.high - maps.low)


def truth(folder: Path) -> NDArray[np.float64]:
    """Every channel's map of every image by plain torch."""
    scope: dict[str, Any] = {}
    exec((folder / "net.py").read_text(), scope)  # the test's own file
    torch.manual_seed(0)
    net = scope["Net"]().eval()
    batch = np.stack([np.asarray(Image.open(folder / f"photo{i}.png"), np.float32) / 255 for i in range(6)])
    with torch.no_grad():
        found = net.relu(net.norm(net.conv(torch.from_numpy(batch).permute(0, 3, 1, 2))))
    exact: NDArray[np.float64] = found.double().numpy()
    return exact


def close(results: Results, maps: FeatureMaps, exact: NDArray[np.float64]) -> None:
    wanted = exact[np.ix_(maps.images, maps.channels)]
    allowed = (maps.high - maps.low) * (1 / 15 + 3 / 255)
    assert np.abs(values(results, maps) - wanted).max() <= allowed
    assert (maps.low, maps.high) == pytest.approx((wanted.min(), wanted.max()), rel=1e-5)


FIRED = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def ranked(exact: NDArray[np.float64], how: str) -> list[int]:
    fired = (exact > 0).any((2, 3)).sum(0)
    size = np.abs(exact).mean((0, 2, 3))
    order: dict[str, Callable[[int], Any]] = {
        "strongest": lambda c: -size[c],
        "rarest": lambda c: (fired[c] == 0, fired[c], size[c]),
        "dead": lambda c: (fired[c] > 0, fired[c], size[c]),
    }
    return list(range(20)) if how == "first" else sorted(range(20), key=order[how])


@pytest.mark.parametrize("how", ["first", "strongest", "rarest", "dead"])
def test_the_channels_shown_are_the_ones_the_manifest_asks_for(tmp_path: Path, how: str) -> None:
    results = build(tmp_path, f"{{select: {how}, channels: 8, images: 3}}")
    maps, exact = shown(results.runs[0]), truth(tmp_path)
    assert maps.channels == ranked(exact, how)[:8]
    assert (maps.images, maps.chosen) == ([0, 1, 2], how)
    close(results, maps, exact)
    if how == "dead":
        assert maps.channels[:2] == [4, 9]
        assert maps.loudest[:2] == [None, None]


def test_the_image_that_fires_a_channel_most_is_named(tmp_path: Path) -> None:
    results = build(tmp_path, "{channels: 20, images: 1}")
    exact = truth(tmp_path)
    peaks = exact.max((2, 3))
    want = [int(peaks[:, c].argmax()) if peaks[:, c].max() > 0 else None for c in range(20)]
    assert shown(results.runs[0]).loudest == want
    page = (tmp_path / "out/page.html").read_text(encoding="utf-8")
    assert "Under each channel stands the image, of all images of the run, that fires it most" in page


@pytest.mark.parametrize(
    ("show", "want"),
    [("[photo4.png, photo1.png]", [1, 4]), ("['photo[35].png']", [3, 5]), ("['*']", [0, 1, 2, 3, 4, 5])],
)
def test_the_images_shown_are_the_ones_the_manifest_names(tmp_path: Path, show: str, want: list[int]) -> None:
    results = build(tmp_path, f"{{show: {show}, channels: 5}}")
    maps = shown(results.runs[0])
    assert maps.images == want
    close(results, maps, truth(tmp_path))
    assert all(results.runs[0].images.files[index].picture for index in want)


def test_choosing_changes_no_number(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    plain = build(tmp_path / "a", "{}").runs[0]
    chosen = build(tmp_path / "b", "{select: strongest, show: [photo5.png]}").runs[0]
    same = {"maps": [], "images": plain.images}
    assert plain.model_copy(update=same) == chosen.model_copy(update=same)


def test_whose_maps_are_shown(tmp_path: Path) -> None:
    by = {}
    for maps in ("auto", "all", "none"):
        (tmp_path / maps).mkdir()
        run = build(tmp_path / maps, f"{{maps: {maps}, images: 2}}").runs[0]
        by[maps] = {one.layer: len(one.images) for one in run.maps}
    assert by["auto"] == {"conv": 1, "relu": 2, "head": 1}  # no norm, no sum
    assert by["all"] == {"conv": 2, "norm": 2, "relu": 2, "add": 2, "head": 2}
    assert by["none"] == {}


def test_channels_are_chosen_by_rank_and_ties_by_number() -> None:
    channels = Channelwise(
        size=np.array([0.0, 2.0, 2.0, 0.5, 0.0]),
        fired=np.array([0, 3, 3, 1, 0]),
        loudest=np.array([-1, 0, 1, 2, -1]),
        dead=np.array([True, False, False, False, True]),
    )
    assert choose(channels, "first", 3) == [0, 1, 2]
    assert choose(channels, "strongest", 4) == [1, 2, 3, 0]
    assert choose(channels, "rarest", 9) == [3, 1, 2, 0, 4]
    assert choose(channels, "dead", 3) == [0, 4, 3]


def test_norms_of_kernels_are_shown_on_request_outputs_by_inputs(tmp_path: Path) -> None:
    net = NET.replace("self.head =", "self.up = nn.ConvTranspose2d(20, 6, 3)\n        self.head =")
    results = build(tmp_path, "{kernels: ['con*', up, head.weight]}", net)
    by = {one.name: one for one in results.runs[0].kernel_norms}
    assert list(by) == ["conv.weight", "up.weight", "head.weight"]
    scope: dict[str, Any] = {}
    exec(net, scope)  # the test's own code
    torch.manual_seed(0)
    module = scope["Net"]()
    exact = {
        "conv.weight": module.conv.weight.detach().double().flatten(2).norm(dim=2),
        "up.weight": module.up.weight.detach().double().flatten(2).norm(dim=2).T,
        "head.weight": module.head.weight.detach().double().abs(),
    }
    for name, one in by.items():
        want = exact[name].numpy()
        assert ([one.outputs, one.inputs], one.size) == (list(want.shape), list(want.shape))
        content = base64.b64decode(results.pictures[one.picture].partition("base64,")[2])
        seen = np.asarray(Image.open(io.BytesIO(content)).convert("L"), np.float64) / 255 * one.high
        assert one.high == pytest.approx(want.max(), rel=1e-6)
        assert np.abs(seen - want).max() <= one.high / 31
    page = (tmp_path / "out/page.html").read_text(encoding="utf-8")
    assert "20 outputs down, 3 inputs across" in page
    assert "L2 norm of each 3 × 3 kernel" in page


def test_maps_are_laid_over_what_the_network_was_given_on_request(tmp_path: Path) -> None:
    results = build(tmp_path, "{overlay: true, images: 2, channels: 5}")
    files = results.runs[0].images.files
    assert [file.input is not None for file in files] == [True, True, False, False, False, False]
    key = files[1].input
    assert key is not None
    content = base64.b64decode(results.pictures[key].partition("base64,")[2])
    seen = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), np.float64)
    given = np.asarray(Image.open(tmp_path / "photo1.png"), np.float64)
    stretched = 255 * (given - given.min()) / (given.max() - given.min())
    assert (
        np.corrcoef(seen.ravel(), stretched.ravel())[0, 1] > 0.5
    )  # noise, in a lossy picture of half its colours
    page = (tmp_path / "out/page.html").read_text(encoding="utf-8")
    assert page.count("Over the input") == 2  # the convolution's maps and the rectifier's
    assert page.count(results.pictures[shown(results.runs[0]).picture]) == 1
    plain = build(tmp_path, "{images: 2, channels: 5}").runs[0]
    assert plain.activations == results.runs[0].activations
    assert "Over the input" not in (tmp_path / "out/page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(("width", "height"), [(300, 200), (200, 300), (90, 90)])
@pytest.mark.parametrize(
    ("spec", "model"),
    [
        (TransformSpec(resize=64, crop=56), None),
        (TransformSpec(crop=80), None),
        (TransformSpec(size=(40, 60)), None),
        (TransformSpec(size=(40, 60), crop=32), None),
        (TransformSpec(kind="none"), None),
        (TransformSpec(kind="weights", weights="DEFAULT"), "mobilenet_v2"),
    ],
)
def test_the_part_that_the_network_sees_is_where_its_transform_takes_it(
    spec, model, width: int, height: int
) -> None:
    ramp = np.zeros((height, width, 3), np.uint8)
    ramp[..., 0], ramp[..., 1] = np.linspace(0, 255, width)[None], np.linspace(0, 255, height)[:, None]
    given = make_transform(spec, model)(Image.fromarray(ramp))
    if model is not None:
        given = given * torch.tensor([0.229, 0.224, 0.225])[:, None, None]
        given += torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    left, top, across, down = region_of(spec, model)(width, height)
    edges = [given[0][:, 0].mean(), given[0][:, -1].mean(), given[1][0].mean(), given[1][-1].mean()]
    assert edges == pytest.approx([left, left + across, top, top + down], abs=0.025)


def frames_of(page: str) -> list[str]:
    """Return what stands around the maps of the figures of a page: photos and the lines between maps."""
    frames = dict(re.findall(r'<g id="([^"]+)">(.*?)</g>', page))
    return [frames[anchor] for anchor in re.findall(r'<use href="#(f-[^"]+)"/>', page)]


def stamps_of(page: str) -> dict[str, tuple[str, float, float]]:
    """Return marker, width and height of each photo that is shown by reference."""
    found = re.findall(
        r'<line id="([^"]+)" marker-start="url\(#([^"]+)\)" transform="scale\((\S+) (\S+)\)"/>', page
    )
    return {anchor: (marker, float(width), float(height)) for anchor, marker, width, height in found}


def test_beside_the_maps_stands_the_part_of_a_photo_that_the_network_saw(tmp_path: Path) -> None:
    build(tmp_path, "{images: 2, channels: 5}")
    page = (tmp_path / "out/page.html").read_text(encoding="utf-8")
    assert "-seen" not in page
    manifest = tmp_path / "config.yaml"
    manifest.write_text(manifest.read_text().replace("transform: none", "transform: {crop: 8}"))
    results = featreport.build(manifest)
    assert results.runs[0].images.files[0].seen == pytest.approx([1 / 6, 1 / 6, 2 / 3, 2 / 3])
    page = (tmp_path / "out/page.html").read_text(encoding="utf-8")
    views = dict(re.findall(r'<marker id="([^"]+-seen)" viewBox="([^"]+)"', page))
    assert set(views.values()) == {"2 2 8 8"}
    beside = [re.findall(r"<use href=#(\S+)", frame) for frame in frames_of(page)]
    assert beside
    assert {stamps_of(page)[stamp][0] for stamps in beside for stamp in stamps} <= set(views)
    assert "Photos beside the maps are cut to the part that the network was given." in page


def test_a_photo_that_was_stretched_stands_in_the_proportions_of_the_input(tmp_path: Path) -> None:
    build(tmp_path, "{images: 2, channels: 5}")
    manifest = tmp_path / "config.yaml"
    for transform, shape in (("{size: [8, 16], crop: 8}", 1.0), ("{size: [8, 16]}", 2.0)):
        text = re.sub("transform: .*", f"transform: {transform}", manifest.read_text())
        manifest.write_text(text)
        results = featreport.build(manifest)
        page = (tmp_path / "out/page.html").read_text(encoding="utf-8")
        anchors = {f"p-{file.picture[:8]}" for file in results.runs[0].images.files if file.picture}
        beside = [stamp for frame in frames_of(page) for stamp in re.findall(r"<use href=#(\S+)", frame)]
        stamps = [stamps_of(page)[stamp] for stamp in beside]
        sizes = [size for marker, *size in stamps if marker.removesuffix("-seen") in anchors]
        assert sizes
        assert [width / height for width, height in sizes] == pytest.approx([shape] * len(sizes), abs=0.1)
        picture = exhibit.thumbnail(results.runs[0], 0, results.pictures)
        assert picture is not None
        assert picture.shape[1] / picture.shape[0] == shape


def test_of_a_transform_that_is_code_the_page_says_what_it_does_not_know(tmp_path: Path) -> None:
    build(tmp_path, "{images: 2, channels: 5}")
    (tmp_path / "prep.py").write_text(
        "import torchvision.transforms.functional as F\n"
        "def prepare(image):\n    return F.to_tensor(image.convert('RGB').resize((8, 8)))\n"
    )
    manifest = tmp_path / "config.yaml"
    manifest.write_text(re.sub("transform: .*", "transform: python:prep.py:prepare", manifest.read_text()))
    results = featreport.build(manifest)
    assert results.runs[0].images.files[0].seen is None
    page = (tmp_path / "out/page.html").read_text(encoding="utf-8")
    assert "which part of them the network was given, and in what proportions, is not known" in page


def test_exported_figures_show_the_part_of_a_photo_that_the_network_saw() -> None:
    photo = np.zeros((10, 20, 3), np.uint8)
    photo[2:8, 5:15] = 255
    assert sprites.part(photo, [0.25, 0.2, 0.5, 0.6], None).shape == (6, 10, 3)
    assert sprites.part(photo, [0.25, 0.2, 0.5, 0.6], None).min() == 255
    assert sprites.part(photo, [1 - 1e-9, 0, 1e-9, 1], None).shape == (10, 1, 3)
    assert sprites.part(photo, None, None) is photo


def test_of_photos_that_nobody_is_shown_the_results_keep_no_part(tmp_path: Path) -> None:
    results = build(tmp_path, "{images: 1, channels: 1}")
    file = results.runs[0].images.files[0]
    seen = file.model_copy(update={"picture": "k", "seen": [0.0, 0.0, 1.0, 1.0]})
    hidden = seen.model_copy(update={"picture": None})
    images = results.runs[0].images.model_copy(update={"files": [seen, hidden]})
    kept = codec.decode(
        codec.encode(
            results.model_copy(update={"runs": [results.runs[0].model_copy(update={"images": images})]})
        ),
        "r.json",
    )
    assert [file.seen for file in kept.runs[0].images.files] == [seen.seen, None]


@pytest.mark.parametrize("size", [(1, 30_000), (30_000, 1)])
def test_a_crop_of_the_longest_strip_is_more_than_nothing(tmp_path: Path, size: tuple[int, int]) -> None:
    build(tmp_path, "{images: 2, channels: 5}")
    manifest = tmp_path / "config.yaml"
    manifest.write_text(manifest.read_text().replace("transform: none", "transform: {resize: 8, crop: 8}"))
    Image.new("RGB", size, "red").save(tmp_path / "photo0.png")
    seen = featreport.build(manifest).runs[0].images.files[0].seen
    assert seen is not None
    assert min(seen[2:]) == pytest.approx(1 / 30_000, abs=1e-9)
    assert 'class="absent"' not in (tmp_path / "out/page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "part", [[], [0, 0, 1], [0, 0, 0, 1], [0, 0, 1, 1.5], [-0.1, 0, 1, 1], [0, math.nan, 1, 1]]
)
def test_results_with_a_damaged_part_of_a_photo_are_refused(part: list[float]) -> None:
    with pytest.raises(ValidationError, match="seen"):
        ImageFile(name="a.png", sha256="", width=8, height=8, seen=part)


def test_of_many_images_the_ones_that_fire_most_have_a_thumbnail_or_a_number(tmp_path: Path) -> None:
    noise = np.random.default_rng(5)
    for index in range(90):
        Image.fromarray(noise.integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(
            tmp_path / f"photo_{index:02d}.png"
        )
    wide = NET.replace("nn.Conv2d(3, 20, 3)", "nn.Conv2d(3, 120, 3)").replace(
        "BatchNorm2d(20)", "BatchNorm2d(120)"
    )
    results = build(tmp_path, "{channels: 120, images: 1}", wide.replace("nn.Linear(20", "nn.Linear(120"))
    run = results.runs[0]
    wanted = [number for number in shown(run).loudest if number is not None]
    without = {number for number in wanted if run.images.files[number].picture is None}
    assert max(wanted) > 24
    assert sum(file.picture is not None for file in run.images.files) <= 24 + 40
    page = (tmp_path / "out/page.html").read_text(encoding="utf-8")
    assert all(f">no. {number}</text>" in page for number in without)


def test_a_network_that_wants_its_own_batch_is_shown_by_what_the_first_pass_kept(tmp_path: Path) -> None:
    fixed = NET.replace("return self.head(", "y.view(1, 20, 10, 10)\n        return self.head(")
    (tmp_path / "net.py").write_text(fixed)
    results = build(tmp_path, "{select: strongest, show: [photo2.png]}", fixed)
    assert results.runs[0].status == "failed"  # the manifest's batch of 4 is the network's fault
    manifest = (tmp_path / "config.yaml").read_text().replace("batch_size: 4", "batch_size: 1")
    (tmp_path / "config.yaml").write_text(manifest)
    run = featreport.build(tmp_path / "config.yaml").runs[0]
    assert (run.status, shown(run).images, shown(run).chosen) == ("ok", [2], "strongest")


def test_when_no_image_named_can_be_used_the_first_are_shown_and_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "photo_bad.png").write_bytes(b"no picture")
    run = build(tmp_path, "{show: [photo_bad.png], select: rarest, images: 2}").runs[0]
    assert shown(run).images == [0, 1]
    assert shown(run).chosen == "rarest"
    assert any("None of the images named by report.show could be used" in note for note in run.notes)


@pytest.mark.parametrize(
    ("glob", "want"),
    [
        ("photo [1].png", ["photo [1].png"]),
        ("m*.png", ["mix/me.png"]),
        ("mix/*", ["mix/me.png", "mix/photo3.png"]),
    ],
)
def test_a_name_is_taken_as_written_and_a_glob_stays_in_its_folder(
    tmp_path: Path, glob: str, want: list[str]
) -> None:
    for name in ("photo [1].png", "mix/me.png", "mix/photo3.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(path)
    (tmp_path / "net.py").write_text(NET)
    manifest = tmp_path / "config.yaml"
    manifest.write_text(
        "version: 1\nimages: ['photo*.png', mix/]\ntransform: none\n"
        'models: [{name: net, source: "python:net.py:Net", checkpoints: [random:0]}]\n'
        f'report: {{show: ["{glob}"]}}\n'
    )
    run = featreport.pipeline.make_plan(manifest).runs[0]
    assert [run.images[place].name for place in run.shown] == want


@pytest.mark.parametrize("size", [(4, 200), (200, 4)])
def test_maps_of_narrow_images_stay_wide_enough_to_see(tmp_path: Path, size: tuple[int, int]) -> None:
    (tmp_path / "net.py").write_text(NET)
    Image.effect_noise(size, 60).convert("RGB").save(tmp_path / "photo0.png")
    manifest = tmp_path / "config.yaml"
    manifest.write_text(
        "version: 1\noutput: out/page.html\nimages: ['photo*.png']\ntransform: none\n"
        'models: [{name: net, source: "python:net.py:Net", checkpoints: [random:0]}]\n'
    )
    featreport.build(manifest)
    page = (tmp_path / "out/page.html").read_text(encoding="utf-8")
    widths = [
        float(width)
        for width in re.findall(r'<svg role=img aria-label="Channels [^"]*" width=([\d.]+)', page)
    ]
    assert widths
    assert all(12 * 16 <= width <= 12 * 130 + 110 for width in widths)
