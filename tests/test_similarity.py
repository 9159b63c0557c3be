"""How alike two networks see the same images: debiased linear CKA by its definition, and refused where it is none."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import featreport
import sample_results as samples
from featreport.figures import canvas
from featreport.judge.similarity import MOST, similarity
from featreport.report import render
from featreport.results.grams import Grams
from featreport.results.schema import ImageFile, Images, Run, Similarity
from featreport.statistics.similarity import gram

Array = NDArray[np.float64]


def hsic(k: Array, other: Array) -> float:
    """The unbiased estimate as Song et al. write it (2012, equation 5)."""
    n = len(k)
    k, other = k - np.diag(np.diag(k)), other - np.diag(np.diag(other))
    one = np.ones(n)
    first = np.trace(k @ other)
    second = (one @ k @ one) * (one @ other @ one) / ((n - 1) * (n - 2))
    third = 2 / (n - 2) * (one @ k @ other @ one)
    return float(first + second - third) / (n * (n - 3))


def cka(x: Array, y: Array, blocks: list[tuple[int, int]]) -> float:
    """CKA by definition, each batch's HSIC weighted by its images. An offset changes nothing but the last digits."""
    x, y = x - x.mean(0), y - y.mean(0)

    def mean(a: Array, b: Array) -> float:
        return sum(n * hsic(a[s : s + n] @ a[s : s + n].T, b[s : s + n] @ b[s : s + n].T) for s, n in blocks)

    return mean(x, y) / np.sqrt(mean(x, x) * mean(y, y))


def run(name: str, images: int, salt: str = "") -> Run:
    files = [ImageFile(name=f"{i}.png", sha256=f"{salt}{i}", width=1, height=1) for i in range(images)]
    made = samples.run(name, {}, {}, layers=1, maps=[], kernels=None)
    return made.model_copy(update={"images": Images(count=images, files=files)})


def grams(features: dict[str, Array], blocks: list[tuple[int, int]]) -> Grams:
    matrices = [
        [gram(torch.from_numpy(x[s : s + n])[:, :, None]).numpy() for s, n in blocks]
        for x in features.values()
    ]
    return Grams.of(list(features), blocks, matrices)


def features(seed: int, count: int = 3, images: int = 24) -> dict[str, Array]:
    chance = np.random.default_rng(seed)
    common = chance.normal(size=(images, 5))
    return {
        f"layer{i}": common @ chance.normal(size=(5, 7)) + i * chance.normal(size=(images, 7)) + 30 * i
        for i in range(count)
    }


@pytest.mark.parametrize("blocks", [[(0, 24)], [(0, 8), (8, 8), (16, 8)], [(0, 16), (16, 8)]])
def test_it_is_the_debiased_estimate(blocks: list[tuple[int, int]]) -> None:
    one, other = features(1), features(2)
    found = similarity(run("a", 24), run("b", 24), (grams(one, blocks), grams(other, blocks)))
    assert (found.images, found.batches, found.reason) == (24, len(blocks), None)
    wanted = [[cka(x, y, blocks) for y in other.values()] for x in one.values()]
    np.testing.assert_allclose(found.values, wanted, rtol=1e-9, atol=1e-12)


def test_batches_of_other_sizes_share_what_lies_within_both() -> None:
    one, other = features(1), features(2)
    found = similarity(
        run("a", 24), run("b", 24), (grams(one, [(0, 16), (16, 8)]), grams(other, [(0, 6), (6, 6), (12, 12)]))
    )
    shared = [(0, 6), (6, 6), (12, 4), (16, 8)]
    assert (found.images, found.batches) == (24, 4)
    assert found.values[1][2] == pytest.approx(cka(one["layer1"], other["layer2"], shared), rel=1e-9)


def test_a_run_is_like_itself_and_the_mirror_is_the_mirror() -> None:
    kept = grams(features(3), [(0, 12), (12, 12)]), grams(features(4), [(0, 12), (12, 12)])
    a, b = run("a", 24), run("b", 24)
    np.testing.assert_allclose(np.diag(similarity(a, a, (kept[0], kept[0])).values), 1.0, rtol=1e-12)
    there, back = similarity(a, b, kept), similarity(b, a, kept[::-1])
    np.testing.assert_allclose(np.array(there.values).T, back.values, rtol=1e-12)


def test_it_is_unbiased_where_layers_have_nothing_in_common() -> None:
    found = []
    for seed in range(300):
        chance = np.random.default_rng(seed)
        x, y = chance.normal(size=(8, 500)), chance.normal(size=(8, 500))
        found.append(hsic(x @ x.T, y @ y.T))
        kept = [grams({"x": one}, [(0, 8)]) for one in (x, y)]
        value = similarity(run("a", 8), run("b", 8), (kept[0], kept[1])).values[0][0]
        assert value == pytest.approx(cka(x, y, [(0, 8)]), rel=1e-6, abs=1e-9)
    assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(len(found))


@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_gram_matrix_loses_no_digits_to_an_offset_and_reads_any_strides(
    dtype: Any, offset: float
) -> None:
    values = (torch.randn(6, 70, 31, generator=torch.Generator().manual_seed(0)) + offset).to(dtype)
    exact = values.double().reshape(6, -1)
    exact = exact - exact.mean(0)
    for rows in (values, values.movedim(1, 2).contiguous().movedim(2, 1), values.expand(6, 70, 31)):
        torch.testing.assert_close(
            gram(rows), exact @ exact.T, rtol=1e-9, atol=1e-9 * float(exact.square().sum())
        )
    assert gram(values[:, :0]).abs().sum() == 0


def test_a_large_layer_is_read_in_pieces_and_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    values = torch.randn(5, 6, 700, generator=torch.Generator().manual_seed(0))
    whole = gram(values)
    for room in (5 * 3, 5 * 700, 5 * 1500):
        monkeypatch.setattr("featreport.statistics.similarity.ROOM", room)
        torch.testing.assert_close(gram(values), whole, rtol=1e-12, atol=1e-12)


def test_a_layer_that_tells_no_images_apart_or_is_not_finite_has_none() -> None:
    kept = grams({"flat": np.ones((8, 3)), "nan": np.full((8, 3), np.nan), **features(5, 1, 8)}, [(0, 8)])
    found = similarity(run("a", 8), run("b", 8), (kept, kept))
    assert [row[2] for row in found.values][:2] == [None, None]
    assert found.values[2][:2] == [None, None]
    assert found.values[2][2] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("one", "other", "blocks", "says"),
    [
        (run("a", 24), run("b", 23), [(0, 8)], "24 and 23 images"),
        (run("a", 24), run("b", 24, "other"), [(0, 8)], "other images"),
        (run("a", 24), run("b", 24), [(0, 3), (3, 3)], "no batch of 4 images in common (batches of 3 and 3)"),
        (run("a", 24), run("b", 24), [], "no batch of 4"),
    ],
)
def test_where_it_does_not_hold_the_reason_is_said(one: Run, other: Run, blocks: Any, says: str) -> None:
    kept = grams(features(1), blocks)
    found = similarity(one, other, (kept, kept))
    assert says in (found.reason or "")
    assert found.values == []


def test_of_many_layers_some_are_shown_evenly() -> None:
    kept = grams(features(1, 101, 8), [(0, 8)])
    found = similarity(run("a", 8), run("b", 8), (kept, kept))
    assert len(found.layers) == len(found.values) == MOST
    assert (found.layers[0], found.layers[-1]) == ("layer0", "layer100")


NET = """
import torch
from torch import nn
from torch.nn import functional as F
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3)
        self.last = nn.Linear(5, 4)
    def forward(self, x):
        x = F.relu(self.conv(x))
        return self.last(x.mean((2, 3)))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A job over two checkpoints and a broken one, 11 pictures in batches of 6 (and so 5)."""
    (tmp_path / "net.py").write_text(NET)
    chance = np.random.default_rng(0)
    for index in range(11):
        Image.fromarray(chance.integers(0, 256, (9, 9, 3), np.uint8)).save(tmp_path / f"p{index:02}.png")
    for index in range(2):
        torch.manual_seed(index)
        torch.save(net().state_dict(), tmp_path / f"e{index}.pt")
    (tmp_path / "e2.pt").write_bytes(b"broken")
    (tmp_path / "config.yaml").write_text(
        "version: 1\noutput: out/report.html\nimages: ['p*.png']\ntransform: none\nbatch_size: 6\ndevice: cpu\n"
        'models: [{name: net, source: "python:net.py:Net", checkpoints: ["e*.pt"]}]\ncompare: {cka: true}\n'
    )
    return tmp_path


def net() -> torch.nn.Module:
    scope: dict[str, Any] = {}
    exec(NET, scope)
    made: torch.nn.Module = scope["Net"]()
    return made


def by_hand(folder: Path, checkpoint: str) -> list[Array]:
    """What each layer gives for the pictures, `[images, features]`, without any of our code."""
    model = net().eval()
    model.load_state_dict(torch.load(folder / checkpoint, weights_only=True))
    pixels = [np.asarray(Image.open(path), np.float32) / 255 for path in sorted(folder.glob("p*.png"))]
    x = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)
    with torch.inference_mode():
        first = model.conv(x)
        second = torch.relu(first)
        third = second.mean((2, 3))
        fourth = model.last(third)
    return [one.double().reshape(len(x), -1).numpy() for one in (first, second, third, fourth)]


def test_a_build_gives_what_the_networks_own_outputs_give_by_hand(project: Path) -> None:
    results = featreport.build(project / "config.yaml")
    (found,) = results.similarities  # the broken run has no pair
    assert (found.run, found.other, found.images, found.batches) == ("net/e0", "net/e1", 11, 2)
    one, other = by_hand(project, "e0.pt"), by_hand(project, "e1.pt")
    blocks = [(0, 6), (6, 5)]
    known = [layer for layer in found.layers if layer in {"conv", "last"}]
    assert known == ["conv", "last"]
    at = {"conv": 0, "last": 3}
    for a in known:
        for b in known:
            value = found.values[found.layers.index(a)][found.other_layers.index(b)]
            assert value == pytest.approx(cka(one[at[a]], other[at[b]], blocks), rel=1e-5, abs=1e-6)
    rectified = next(place for place, layer in enumerate(found.layers) if "relu" in layer)
    assert found.values[rectified][rectified] == pytest.approx(
        cka(one[1], other[1], blocks), rel=1e-5, abs=1e-6
    )
    page = (project / "out/report.html").read_text()
    assert "How alike the layers see the images: net/e0 and net/e1" in page
    assert "Few images: these are rough estimates." in page


def test_kept_runs_give_the_same_bytes_and_asking_for_it_measures_again(project: Path) -> None:
    config = project / "config.yaml"
    text = config.read_text()
    config.write_text(text.replace("compare: {cka: true}", ""))
    assert featreport.build(config).similarities == []
    config.write_text(text)
    featreport.build(config)
    page = (project / "out/report.html").read_bytes()
    (project / "out/report.html").unlink()
    featreport.build(config)  # from the store
    assert (project / "out/report.html").read_bytes() == page
    featreport.build(config, fresh=True)
    assert (project / "out/report.html").read_bytes() == page


def test_the_baseline_is_what_the_others_are_held_against(project: Path) -> None:
    config = project / "config.yaml"
    config.write_text(config.read_text().replace("{cka: true}", "{baseline: net/e1, cka: true}"))
    results = featreport.build(config)
    assert [(one.run, one.other) for one in results.similarities] == [("net/e1", "net/e0")]


def test_a_pair_that_cannot_be_compared_is_said_on_the_page() -> None:
    results = samples.sample()
    pair = Similarity(run="net/a", other="net/b", reason="they saw 24 and 23 images")
    page = render(results.model_copy(update={"similarities": [pair]}), "r.json")
    assert "Not compared: they saw 24 and 23 images." in page


def test_the_table_gives_each_layer_the_number_it_has_on_the_map() -> None:
    layers, others = ["conv1", "relu1", "fc"], ["stem", "head"]
    pair = Similarity(
        run="net/a", other="net/b", images=100, batches=2, layers=layers, other_layers=others,
        values=[[0.9, 0.1], [0.2, 0.8], [None, None]],
    )  # fmt: skip
    page = render(samples.results([], similarities=[pair]), "r.json")
    table = page.partition("Similarity of the layers of")[2].partition("</table>")[0]
    rows = [
        re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)
        for row in table.partition("<tbody>")[2].split("<tr>")[1:]
    ]
    assert rows == [
        ["conv1", "1", "–", "stem", "1", "0.900"],
        ["relu1", "2", "–", "head", "2", "0.800"],
        ["fc", "3", "–", "–", "–", "–"],
    ]
    across = page.partition("The layers across, by their numbers")[2].partition("</ol>")[0]
    assert re.findall(r"<li>(.*?)</li>", across) == others
    same = pair.model_copy(update={"other_layers": layers, "values": [[1.0, 0.0, 0.5]] * 3})
    assert "The layers across" not in render(samples.results([], similarities=[same]), "r.json")


@pytest.mark.parametrize(
    ("count", "marks"), [(1, [1]), (12, list(range(1, 13))), (40, [1, *range(5, 41, 5)]), (0, [])]
)
def test_an_axis_of_the_map_is_numbered_so_that_a_layer_is_found(count: int, marks: list[int]) -> None:
    assert canvas.marks_of(count) == marks
