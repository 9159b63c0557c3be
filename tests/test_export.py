"""The paper kit: every figure at two widths in three formats, tables that LaTeX sets, numbers that are the results'."""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pylatexenc import latexwalker

import sample_results as samples
from featreport import paper, tables
from featreport.errors import OutputError, ResultsError
from featreport.figures import embedded
from featreport.paper import (
    backends,
    exhibit,
    gallery,
    latex,
    letters,
    methods,
    mosaic,
    press,
    profiles,
    sheet,
)
from featreport.paper.drawing import Drawing
from featreport.paper.names import Slugs
from featreport.paper.sentences import Formula, at_most
from featreport.report import formats, render
from featreport.results import codec
from featreport.results.schema import (
    Faithfulness,
    FeatureMaps,
    Histogram,
    History,
    KernelNorms,
    PastBuild,
    PastRun,
    Results,
    Similarity,
)

WIDTHS = (85, 175)
HOSTILE = (
    "\\input{/etc/passwd}", "{", "}}", "$x^2$", "a&b", "50% off", "#1", "__init__", "~/^", '<"a|b">', "«ü漢字🎉»",
    "\x00\x07\u202e", "-- --- ?` !` ,, [x] *", "\\end{longtable}", "x" * 300, "a\nb\tc", "\\", "=HYPERLINK(1)", "é.ø.ß",
)  # fmt: skip


def small() -> Results:
    pictures: dict[str, str] = {}
    first = samples.run("net/early", pictures, {0: [1, 2, 3, 9], 1: list(range(16))}, layers=2, seed=4)
    second = samples.run("net/late", pictures, {1: [0]}, layers=2, seed=5)
    return samples.results([first, second, samples.failed()], pictures)


def hostile() -> Results:
    """Return results in which every name is an attack on LaTeX, file systems or figures."""
    base = small()
    run = base.runs[0]
    taps = [samples.activation(name, 4, seed, dead=[1]) for seed, name in enumerate(HOSTILE)]
    tensors = [samples.weight(name, [4, 3, 3, 3], seed) for seed, name in enumerate(HOSTILE)]
    maps = [run.maps[0].model_copy(update={"layer": name}) for name in HOSTILE[:4]]
    runs = [
        run.model_copy(
            update={
                "id": f"../../{name}", "model": name, "checkpoint": name, "transform": name, "device": name,
                "activations": taps, "weights": tensors, "maps": maps if place == 0 else [], "kernels": None,
                "summary": samples.summary(taps, tensors),
            }
        )
        for place, name in enumerate(HOSTILE[:5])
    ]  # fmt: skip
    broken = samples.failed("broken/" + HOSTILE[0], message=" ".join(HOSTILE))
    return base.model_copy(update={"title": " ".join(HOSTILE), "runs": [*runs, broken]})


def write(results: Results, folder: Path, **how) -> paper.Exported:
    source = folder.parent / f"{folder.name}-results.json"
    source.write_text(codec.encode(results), encoding="utf-8")
    return paper.export(source, folder, **how)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def kit(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kit") / "kit"
    write(small(), folder)
    return folder


@pytest.fixture(scope="module")
def wild(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wild") / "kit"
    write(hostile(), folder, max_figures=2)
    return folder


def test_every_figure_stands_in_three_formats_at_two_widths(kit):
    stems = {
        re.sub(r"-(85|175)mm\..*", "", name) for name in contents(kit) if re.search(r"-(85|175)mm\.", name)
    }
    assert len(stems) > 15
    for stem in stems:
        for width in WIDTHS:
            for suffix in ("pdf", "svg", "png"):
                assert (kit / f"{stem}-{width}mm.{suffix}").is_file()


def test_every_kind_of_figure_of_the_page_is_there(kit):
    names = {path.name.removesuffix("-85mm.pdf") for path in kit.rglob("*-85mm.pdf")}
    assert {
        "overview", "comparison", "near-zero-comparison", "net-checkpoints", "net-near-zero-checkpoints",
        "dead-by-depth", "near-zero-by-depth", "kernels", "histograms", "weight-histograms", "maps-features-2",
        "units-classifier-1",
    } <= names  # fmt: skip


@pytest.mark.parametrize("width", WIDTHS)
def test_a_png_has_300_dots_an_inch_and_the_width_it_says(kit, width):
    for path in kit.rglob(f"*-{width}mm.png"):
        with Image.open(path) as image:
            image.load()
            assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
            assert abs(image.width - round(width / 25.4 * 300)) <= 1
            assert image.height <= 230 / 25.4 * 300
            assert not set(image.info) - {"dpi"}


@pytest.mark.parametrize("width", WIDTHS)
def test_a_pdf_is_one_page_of_its_width_with_truetype_text(kit, width):
    for path in kit.rglob(f"*-{width}mm.pdf"):
        content = path.read_bytes()
        assert content.startswith(b"%PDF-")
        boxes = re.findall(rb"/MediaBox \[ *([\d. ]+) *\]", content)
        assert len(boxes) == 1
        left, bottom, right, top = map(float, boxes[0].split())
        assert (left, bottom) == (0, 0)
        assert right == pytest.approx(width / 25.4 * 72, abs=0.01)
        assert 0 < top <= 230 / 25.4 * 72
        assert b"/CreationDate" not in content


def test_every_word_is_of_one_family_and_size(kit):
    for path in kit.rglob("*-85mm.pdf"):
        text = path.read_bytes()
        text += b"".join(_streams(text))
        fonts = {name.split(b"+")[-1] for name in re.findall(rb"/BaseFont /([\w+-]+)", text)}
        assert fonts == {b"DejaVuSans"}
        assert b"/Type3" not in text
    for path in kit.rglob("*.svg"):
        sizes = {
            float(size)
            for style in re.findall(r'<text[^>]*style="([^"]*)"', path.read_text(encoding="utf-8"))
            for size in re.findall(r"([\d.]+)px", style)
        }
        assert sizes == {8.0}


def _streams(content: bytes) -> list[bytes]:
    found = []
    for raw in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", content, re.DOTALL):
        try:
            found.append(zlib.decompress(raw))
        except zlib.error:
            continue
    return found


def test_an_svg_is_well_formed_and_asks_for_nothing(kit, wild):
    for path in [*kit.rglob("*.svg"), *wild.rglob("*.svg")]:
        width = int(re.search(r"-(\d+)mm", path.name)[1])
        root = ET.parse(path).getroot()
        assert float(root.get("width").removesuffix("pt")) == pytest.approx(width / 25.4 * 72, abs=0.01)
        for element in root.iter():
            assert element.tag.split("}")[-1] not in {"script", "foreignObject"}
            for key, value in element.attrib.items():
                if key.split("}")[-1] == "href":
                    assert value.startswith(("#", "data:image/png;base64,"))
                assert not re.search(r"url\((?!#)", value)
        text = path.read_text(encoding="utf-8")
        assert "<dc:date>" not in text


def test_words_stay_words(kit):
    text = (kit / "figures/net-early/dead-by-depth-175mm.svg").read_text(encoding="utf-8")
    assert "features.5: 16 of 16" in text


def test_the_same_results_give_the_same_bytes_from_json_or_report_by_one_process_or_several(kit, tmp_path):
    page = tmp_path / "report.html"
    page.write_text(render(small()), encoding="utf-8")
    paper.export(page, tmp_path / "again", workers=2)
    one, two = contents(kit), contents(tmp_path / "again")
    assert list(one) == list(two)
    assert [name for name in one if one[name] != two[name]] == []


def test_every_citation_has_an_entry_and_every_entry_is_cited(kit, wild):
    for folder in (kit, wild):
        cited = set(re.findall(r"\\cite\{([^}]*)\}", (folder / "methods.tex").read_text(encoding="ascii")))
        entries = re.findall(
            r"^@\w+\{(\w+),", (folder / "references.bib").read_text(encoding="utf-8"), re.MULTILINE
        )
        assert len(entries) == len(set(entries))
        assert (
            cited
            == set(entries)
            == set(re.findall(r"\[@(\w+)\]", (folder / "methods.md").read_text("utf-8")))
        )


def test_only_the_literature_of_what_was_measured_is_cited(kit, tmp_path):
    text = (kit / "references.bib").read_text(encoding="utf-8")
    assert "hu2016network" in text
    assert "martin2021implicit" not in text
    results = small()
    tensors = [samples.weight("w", [64, 64], 1, alpha=2.5)]
    alone = results.runs[0].model_copy(
        update={"source": "none", "activations": [], "maps": [], "weights": tensors}
    )
    write(results.model_copy(update={"runs": [alone]}), tmp_path / "kit")
    text = (tmp_path / "kit/references.bib").read_text(encoding="utf-8")
    assert "martin2021implicit" in text
    assert "hu2016network" not in text


def test_the_methods_tell_the_true_settings_and_numbers(kit):
    results = small()
    text = (kit / "methods.md").read_text(encoding="utf-8")
    assert "featreport 0.1.0" in text
    assert "PyTorch 2.15.0" in text
    assert "3 checkpoints of 1 model" in text
    assert "16 images" in text
    assert "resize 256, crop 224" in text
    assert "|w| ≤ 0.001" in text
    assert "in batches of at most 16 images" in text
    for run in results.runs[:2]:
        assert f"{run.summary.dead_channels} of {run.summary.channels} rectifier channels dead" in text
        assert f"({formats.percent(run.summary.dead_fraction)})" in text
    assert "`net/broken` failed and has no numbers." in text


def sentences(results: Results) -> str:
    return methods.markdown(results)


def changed(run, **fields):
    return run.model_copy(update=fields)


def test_the_methods_say_one_where_there_is_one_and_several_where_there_are(tmp_path):
    base = small()
    one = changed(
        base.runs[0], images=changed(base.runs[0].images, count=1), batch_size=1, device="cuda (NVIDIA H100)"
    )
    text = sentences(base.model_copy(update={"runs": [one]}))
    assert "1 checkpoint of 1 model" in text
    assert "The network saw 1 image, prepared" in text
    assert "one image at a time" in text
    assert "on `NVIDIA H100`" in text
    assert "rectifier channels silent on its one image" in text
    two = [
        one,
        changed(base.runs[1], id="b/x", model="b", transform="none", images=changed(one.images, count=3)),
    ]
    text = sentences(base.model_copy(update={"runs": two}))
    assert "`net` saw 1 image, prepared" in text
    assert "`b` saw 3 images, prepared as follows: none." in text
    assert "in batches of at most 16 images on" not in text


def test_the_methods_name_what_keeps_the_numbers_from_being_plain():
    base = small()
    partial = samples.load(missing=["head.weight", "bn.num_batches_tracked"])
    shaky = Faithfulness(output_identical=False, state_unchanged=True, hooks_left=0, compared_images=8)
    runs = [
        changed(base.runs[0], load=partial, faithfulness=shaky),
        changed(base.runs[1], id="net/random-0", load=samples.load(format="random"), unmeasured=[]),
        changed(base.runs[1], id="file/a", model="file", source="none", activations=[]),
    ]
    text = sentences(base.model_copy(update={"runs": runs}))
    assert "`net/early` was loaded only in part; the rest kept its initial values." in text
    assert "`net/early` gave other outputs while being read." in text
    assert "`net/random-0` has random weights from a fixed seed." in text
    assert "The tensors of `file/a` were read as data, without a network." in text
    assert "bit for bit" not in text
    faithful = changed(shaky, output_identical=True)
    text = sentences(base.model_copy(update={"runs": [changed(base.runs[0], faithfulness=faithful)]}))
    assert "bit for bit" in text
    assert "in part" not in text


def test_the_bound_is_that_of_the_images_a_tap_saw():
    base = small()
    tap = samples.activation("relu", 4, 1, images=12, firing_rate_bound=0.22)
    text = sentences(base.model_copy(update={"runs": [changed(base.runs[0], activations=[tap])]}))
    assert f"(N = 12: {formats.rate_bound(12)})" in text
    assert "N = 16" not in text


@pytest.mark.parametrize(
    ("limit", "plain", "tex"),
    [(0.0, "a = 0", "a = 0"), (0.001, "|a| ≤ 0.001", r"|a| \leq 0.001"), (1e-6, "|a| ≤ 1e−6", r"|a| \leq 10^{-6}"),
     (2.5e-7, "|a| ≤ 2.5e−7", r"|a| \leq 2.5 \times 10^{-7}")],
)  # fmt: skip
def test_a_threshold_is_written_as_a_person_would(limit, plain, tex):
    assert at_most("a", limit) == Formula(plain, tex)


def test_every_number_of_a_latex_table_is_rounded_as_on_the_page(kit):
    run = small().runs[0]
    text = (kit / "tables/net-early/layers.tex").read_text(encoding="ascii")
    body = text.split(r"\endlastfoot")[1]
    lines = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert len(lines) == len(run.activations)
    for line, tap in zip(lines, run.activations, strict=True):
        cells = [cell.strip() for cell in line.removesuffix(r"\\").split(" & ")]
        assert cells[3] == formats.part(len(tap.dead), tap.channels)
        assert cells[4] == formats.percent(tap.zero_fraction).replace("%", r"\%").replace(
            formats.NBSP, "~"
        ).replace("<", r"\textless{}")
    overview = (kit / "tables/overview.tex").read_text(encoding="ascii")
    for summary in (run.summary for run in small().runs if run.summary):
        assert formats.part(summary.dead_channels, summary.channels) in overview
    assert "failed (checkpoint)" in overview


def test_the_csv_files_are_the_tables(kit):
    results = small()
    for of_all in tables.OVER_RUNS:
        table = of_all(results)
        assert (kit / f"tables/{table.slug}.csv").read_text(encoding="utf-8") == tables.csv_text(table)
    for run, slug in zip(results.runs, ("net-early", "net-late"), strict=False):
        for of_run in tables.PER_RUN:
            table, path = of_run(run), kit / f"tables/{slug}/{of_run(run).slug}.csv"
            assert not table.rows or path.read_text(encoding="utf-8") == tables.csv_text(table)


def test_the_grey_levels_of_a_map_are_its_sprite(kit):
    results = small()
    shown = next(maps for maps in results.runs[0].maps if maps.layer == "features.2")
    with Image.open(kit / "figures/net-early/maps-features-2-values.png") as image:
        found = np.asarray(image)
    sprite = embedded.pixels(results.pictures[shown.picture], "L")
    side, gap = shown.tile[0], shown.gap
    assert found.shape == (4 * side, 12 * side)
    assert (found[:side, :side] == sprite[:side, :side]).all()
    assert (
        found[side : 2 * side, side : 2 * side]
        == sprite[side + gap : 2 * side + gap, side + gap : 2 * side + gap]
    ).all()


def test_tiles_in_their_own_contrast_come_back_on_the_common_scale():
    noise = np.random.default_rng(0)
    own = noise.integers(0, 256, (2, 3, 5, 5), np.uint8)
    veil = noise.integers(0, 256, (2, 3, 2), np.uint8)
    tiled = np.full((2 * 6 - 1, 3 * 6 - 1), 132, np.uint8)
    for row in range(2):
        for column in range(3):
            tiled[row * 6 : row * 6 + 5, column * 6 : column * 6 + 5] = own[row, column]
    (key, sprite), (over, overlay) = samples.picture(tiled), samples.picture(veil)
    shown = FeatureMaps(
        layer="relu", call=0, picture=key, contrast=over, images=[0, 1], channels=[0, 1, 2], kind="maps", tile=[5, 5],
        gap=1, low=0.0, high=1.0,
    )  # fmt: skip
    found = embedded.tiles(shown, {key: sprite, over: overlay})
    grey, alpha = veil[..., :1, None] / 1.0, veil[..., 1:, None] / 255
    assert np.abs(found - (own * (1 - alpha) + grey * alpha)).max() <= 0.5
    assert embedded.tiles(shown, {key: sprite}) is None  # without its veil there is no common scale
    plain = changed(shown, contrast=None)
    assert (embedded.tiles(plain, {key: sprite}) == own).all()
    assert embedded.tiles(changed(plain, tile=[4, 5]), {key: sprite}) is None  # not as large as it says
    assert embedded.tiles(plain, {key: "data:image/png;base64,AAAA"}) is None
    assert embedded.tiles(plain, {}) is None


# --- LaTeX ---

SPECIALS = set("&#%$_^~")


def parsed(text: str) -> None:
    """Fail where LaTeX would stop: braces, environments, and special characters that are not escaped."""
    assert text.isascii()
    walker = latexwalker.LatexWalker(text, tolerant_parsing=False)
    nodes, _, length = walker.get_latex_nodes()
    assert length == len(text)
    checked(nodes, table=False)
    assert text.count(r"\begin{") == text.count(r"\end{")


def checked(nodes, *, table: bool) -> None:
    for node in nodes or ():
        if node.isNodeType(latexwalker.LatexCharsNode):
            # "&" parts columns, "~" is a space, "#1" stands in the one macro of paper.tex
            assert not set(node.chars.replace("#1", "").replace("#2", "")) & (
                SPECIALS - {"~"} - ({"&"} if table else set())
            )
        elif node.isNodeType(latexwalker.LatexSpecialsNode):
            assert node.specials_chars in {"~", "--", "---", "``", "''", "\n\n"} or (
                table and node.specials_chars == "&"
            )
        elif node.isNodeType(latexwalker.LatexEnvironmentNode):
            assert node.environmentname in {"document", "longtable", "minipage"}
            checked(node.nodelist, table=node.environmentname == "longtable")
        elif node.isNodeType(latexwalker.LatexGroupNode):
            checked(node.nodelist, table=table)
        elif node.isNodeType(latexwalker.LatexMacroNode):
            assert node.macroname not in {"def", "write", "catcode", "openout", "csname"}
            checked(
                getattr(node.nodeargd, "argnlist", None) and [n for n in node.nodeargd.argnlist if n],
                table=table,
            )


def test_latex_of_any_names_parses(kit, wild):
    found = [*kit.rglob("*.tex"), *wild.rglob("*.tex")]
    assert len(found) > 12
    for path in found:
        text = path.read_text(encoding="ascii")
        if path.name == "paper.tex":  # its head defines a macro
            text = text.split(r"\begin{document}")[1].removesuffix("\\end{document}\n")
        parsed(text)


@given(st.text())
@settings(max_examples=300, deadline=None)
def test_any_text_is_escaped(text):
    for made in (latex.escape(text), latex.prose(text), latex.name(text)):
        parsed(made)
        assert r"\input" not in made
        assert r"\begin" not in made


def test_what_pdflatex_cannot_set_stays_visible():
    assert latex.escape("漢") == r"\texttt{U+6F22}\allowbreak{}"
    assert latex.escape("ü") == r"\"{u}"
    assert latex.escape("\x07") == r"\texttt{U+0007}\allowbreak{}"
    assert latex.escape("−1") == "$-$1"


@pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="pdflatex is not installed (texlive-latex-recommended)"
)
@pytest.mark.parametrize("which", ["kit", "wild"])
def test_the_kit_compiles(which, request, tmp_path):
    folder = tmp_path / "kit"
    shutil.copytree(request.getfixturevalue(which), folder)
    typeset = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper"]
    for command in (typeset, ["bibtex", "paper"], typeset, typeset):
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout.decode("utf-8", "replace")[-3000:]
    log = (folder / "paper.log").read_text(encoding="utf-8", errors="replace")
    assert "undefined references" not in log
    assert "Citation" not in log
    assert "multiply defined" not in log
    assert "Missing character" not in log


def test_paper_tex_shows_every_figure_and_every_table(kit):
    text = (kit / "paper.tex").read_text(encoding="ascii")
    shown = set(re.findall(r"\\kitfigure\{([^}]*)\}", text))
    assert shown == {str(path.relative_to(kit)).removesuffix("-85mm.pdf") for path in kit.rglob("*-85mm.pdf")}
    entered = set(re.findall(r"\\input\{([^}]*)\}", text))
    assert entered == {"methods"} | {
        str(path.relative_to(kit)).removesuffix(".tex") for path in kit.rglob("tables/**/*.tex")
    }


# --- names, odd results, limits ---


def test_hostile_names_stay_in_the_folder(wild):
    assert {path.name for path in wild.parent.iterdir()} == {"kit", "kit-results.json"}
    for name in contents(wild):
        assert re.fullmatch(r"[A-Za-z0-9./-]+", name)
        assert ".." not in name
        assert all(len(part) < 80 for part in name.split("/"))


def test_maps_and_histograms_of_any_names_are_drawn():
    results = hostile()
    drawings, _ = gallery.of_run(results.runs[0], results.pictures)
    kinds = [
        drawing for drawing in drawings if drawing.words[0] in {"maps", "histograms", "weight-histograms"}
    ]
    assert len(kinds) == 4 + 2 + 2
    for drawing in kinds:
        with sheet.style("x"):
            ET.fromstring(backends.svg(drawing.draw(sheet.COLUMN)))
        parsed(latex.prose(drawing.caption))


def test_a_figure_names_what_its_font_lacks():
    assert letters.drawable("漢.conv\x00\n1") == "U+6F22.conv\ufffd 1"
    long = letters.fit("x" * 300, 30)
    assert letters.width(long) <= 30
    assert "…" in long


@given(st.lists(st.text(), max_size=12))
def test_file_names_are_short_unique_and_plain(names):
    slugs = Slugs()
    found = [slugs.take(name) for name in names]
    assert len(set(found)) == len(found)
    for slug in found:
        assert re.fullmatch(r"[a-z0-9]+(-+[a-z0-9]+)*", slug)
        assert len(slug) <= 70
        assert slug not in {"con", "nul", "aux", "prn"}


@pytest.fixture
def quick(monkeypatch):
    """Leave out the drawing itself, which takes most of the time."""
    monkeypatch.setattr(backends, "pdf", lambda _figure, _title: b"%PDF")
    monkeypatch.setattr(backends, "svg", lambda _figure: b"<svg/>")
    monkeypatch.setattr(backends, "png", lambda _figure: b"PNG")


@pytest.mark.usefixtures("quick")
def test_odd_results_give_a_kit(tmp_path):
    base = small()
    run = base.runs[0]
    nan = samples.activation(
        "nan", 4, 1, mean=None, std=None, min=None, max=None, nonfinite=1600, nan=1600, zeros=0, near_zeros=0,
        zero_fraction=0.0, near_zero_fraction=0.0, histogram=Histogram(edges=[], counts=[]),
    )  # fmt: skip
    plain = [samples.activation("gelu", 4, 1, rectifier=False)]
    odd = {
        "no-runs": [],
        "failed": [samples.failed()],
        "nan": [run.model_copy(update={"activations": [nan], "maps": []})],
        "no-rectifier": [
            run.model_copy(update={"activations": plain, "summary": samples.summary(plain, [])})
        ],
        "weights-alone": [
            run.model_copy(update={"source": "none", "activations": [], "maps": [], "kernels": None})
        ],
        "empty": samples.empty().runs,
        "many": [
            run.model_copy(
                update={"id": f"net/{n}", "checkpoint": f"epoch-{n}" * (1 + n % 3), "maps": [], "weights": []}
            )
            for n in range(41)
        ],
    }
    for name, runs in odd.items():
        done = write(base.model_copy(update={"runs": runs}), tmp_path / name, max_figures=1)
        assert done.files == len(contents(tmp_path / name))
        for path in (tmp_path / name).rglob("tables/**/*.tex"):
            parsed(path.read_text(encoding="ascii"))
        assert (tmp_path / name / "README.md").is_file()
    assert (tmp_path / "many/figures/overview-2-85mm.pdf").is_file()


@pytest.mark.usefixtures("quick")
def test_what_is_left_out_is_said_with_the_way_to_get_it(tmp_path):
    done = write(small(), tmp_path / "kit", max_figures=3)
    assert len(list((tmp_path / "kit/figures/net-early").glob("*-85mm.pdf"))) == 3
    assert "--max-figures 0 writes all" in done.left_out
    assert done.left_out in done.verdict
    assert done.left_out in (tmp_path / "kit/README.md").read_text(encoding="utf-8")


@pytest.mark.usefixtures("quick")
def test_a_report_without_its_pictures_says_so(tmp_path):
    results = small()
    lacking = sum(len(run.maps) + 1 for run in results.runs[:2])  # and the filters of the first layer
    done = write(results.model_copy(update={"pictures": {}}), tmp_path / "kit", max_figures=2)
    assert f"{lacking} figures of maps or filters could not be drawn" in done.left_out


def test_a_map_without_its_veil_is_not_drawn_on_a_scale_it_does_not_have():
    run, pictures = small().runs[0], small().pictures
    veiled = changed(run.maps[0], contrast="gone")
    drawings, lacking = gallery.of_run(changed(run, maps=[veiled]), pictures)
    assert lacking == 1
    assert not [drawing for drawing in drawings if drawing.words[0] == "maps"]


def test_flagged_layers_come_first(kit):
    text = (kit / "paper.tex").read_text(encoding="ascii")
    order = re.findall(r"\\kitfigure\{figures/net-late/((?:maps|units)[^}]*)\}", text)
    assert order == ["maps-features-5", "units-classifier-1", "maps-features-2"]


# --- the disk, the command line ---


def test_the_rule_that_chose_the_channels_is_in_the_caption():
    run = small().runs[0]
    tap = next(tap for tap in run.activations if tap.layer == "features.5")

    def caption(**fields) -> str:
        shown = changed(next(shown for shown in run.maps if shown.layer == "features.5"), **fields)
        pixels = exhibit.of_tap(run, shown, tap, small().pictures)
        return mosaic.of_tap(run, shown, tap, pixels).caption

    assert "the first 12 of 16 channels, for 4 of 16 images" in caption()
    assert "12 of 16 channels, those that fire on the fewest images first" in caption(chosen="rarest")
    assert "12 of 16 channels, those of the greatest mean |a| first" in caption(chosen="strongest")
    assert "12 of 16 channels, dead ones first" in caption(chosen="dead")
    assert "every value shown is 4.10" in caption(low=4.1)
    assert "averaged" not in caption()
    assert (
        f"maps of {formats.shape([20, 20])} averaged to {formats.shape([10, 10])}"
        in mosaic.of_tap(
            run,
            changed(run.maps[1], tile=[10, 10]),
            tap,
            exhibit.of_tap(run, run.maps[1], tap, small().pictures),
        ).caption
    )


def test_under_a_rectifier_s_channels_stand_the_images_that_fire_them_most():
    run, pictures = small().runs[0], small().pictures
    shown = changed(run.maps[0], loudest=[0, None, 3, *[1] * 9])
    tap = next(tap for tap in run.activations if tap.layer == shown.layer)
    pixels = exhibit.of_tap(run, shown, tap, pictures)
    assert [thumb is not None for thumb in pixels.loudest] == [True, False, *[True] * 10]
    drawing = mosaic.of_tap(run, shown, tap, pixels)
    assert "of all 16 images, the one that fires it most" in drawing.caption
    (row, *_) = [
        row for row in tables.maps(changed(run, maps=[shown])).rows if row[4] == run.images.files[0].name
    ]
    assert row[-1] == "images/photo_0.jpg"
    with sheet.style("x"):
        lower = drawing.draw(sheet.FULL).get_figheight()
        plain = mosaic.of_tap(run, run.maps[0], tap, exhibit.of_tap(run, run.maps[0], tap, pictures))
        assert lower > plain.draw(sheet.FULL).get_figheight()


def test_maps_over_the_input_and_norms_of_kernels_are_figures_where_they_were_asked_for():
    run, pictures = small().runs[0], dict(small().pictures)
    grey, norms = np.full((32, 32, 3), 100, np.uint8), np.arange(12, dtype=np.uint8).reshape(3, 4)
    (given, pictures[given]), (matrix, pictures[matrix]) = [
        (key, uri) for key, uri in map(samples.picture, (grey, norms))
    ]
    files = [changed(file, input=given) for file in run.images.files]
    asked = KernelNorms(
        name="conv.weight", picture=matrix, outputs=3, inputs=4, kernel=[3, 3], size=[3, 4], high=2.5
    )
    run = changed(run, images=changed(run.images, files=files), maps=run.maps[:1], kernel_norms=[asked])
    drawings, lacking = gallery.of_run(run, pictures)
    found = {drawing.words[0]: drawing for drawing in drawings}
    assert lacking == 0
    assert (found["kernel-norms"].values == norms).all()
    assert "3 outputs down, 4 inputs across, from 0 (black) to 2.50 (white)" in found["kernel-norms"].caption
    assert "over images/photo_0.jpg as the network was given it" in found["over-input"].caption
    with sheet.style("x"):
        for name in ("kernel-norms", "over-input"):
            assert found[name].draw(sheet.COLUMN).get_figwidth() == pytest.approx(85 / 25.4)


def test_layers_that_differ_at_their_ends_keep_different_names():
    names = [f"encoder.layers.encoder_layer_{n}.self_attention.in_proj_weight" for n in range(12)]
    for room in (30, 40, 60):
        shown = [letters.lines(name, room, 2) for name in names]
        assert len(set(shown)) == len(names)
        assert all(len(lines) <= 2 and all(letters.width(line) <= room for line in lines) for lines in shown)
    assert letters.lines("conv1", 40, 2) == ("conv1",)
    assert letters.tail("x" * 99, 20).startswith("…")


@pytest.mark.usefixtures("quick")
def test_no_two_runs_share_a_file(tmp_path):
    run = changed(small().runs[0], maps=[], kernels=None)
    runs = [changed(run, id=name) for name in ("net/a", "net/a-weight", "net/A", "net-a")]
    done = write(small().model_copy(update={"runs": runs}), tmp_path / "kit", max_figures=1)
    assert done.files == len(contents(tmp_path / "kit"))


def test_a_pdf_s_font_holds_what_a_pdf_needs_and_its_words_can_be_read(kit):
    content = (kit / "figures/net-early/dead-by-depth-85mm.pdf").read_bytes()
    fonts = [stream for stream in _streams(content) if stream[:4] == b"\x00\x01\x00\x00"]
    assert fonts
    for font in fonts:
        count = int.from_bytes(font[4:6], "big")
        assert {font[12 + 16 * n : 16 + 16 * n] for n in range(count)} <= {
            b"cvt ", b"fpgm", b"glyf", b"head", b"hhea", b"hmtx", b"loca", b"maxp", b"prep",
        }  # fmt: skip
    if shutil.which("pdftotext"):
        done = subprocess.run(
            ["pdftotext", kit / "figures/net-early/dead-by-depth-85mm.pdf", "-"],
            capture_output=True,
            check=True,
        )
        assert "features.5: 16 of 16" in done.stdout.decode()


# --- by several processes ---


def killed(_width: float):
    os.kill(os.getpid(), signal.SIGKILL)


def broken(_width: float):
    raise ValueError("no such figure")


def test_a_process_that_is_ended_from_outside_is_an_error_that_says_so(tmp_path):
    orders = [press.Order(f"{n}", Drawing((), "", "", killed)) for n in range(20)]
    with pytest.raises(OutputError, match="--workers 1"), press.printing(orders, 2) as printed:
        list(printed)


def test_what_goes_wrong_in_a_process_is_told_with_its_traceback():
    orders = [press.Order(f"{n}", Drawing((), "", "", broken)) for n in range(20)]
    with pytest.raises(ValueError, match="no such figure") as caught, press.printing(orders, 2) as printed:
        list(printed)
    assert "press.py" in str(caught.value.__cause__)


def test_an_interrupted_kit_leaves_nothing_behind(tmp_path):
    run = changed(small().runs[0], maps=[], kernels=None)
    runs = [changed(run, id=f"{n}/a", model=str(n)) for n in range(20)]
    source = tmp_path / "results.json"
    source.write_text(codec.encode(small().model_copy(update={"runs": runs})), encoding="utf-8")
    words = [sys.executable, "-m", "featreport", "export", source, tmp_path / "kit"]
    words += ["--workers", "2", "--max-figures", "1"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, start_new_session=True) as run:
        run.stderr.readline()  # a run is done, another is being drawn
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does: every process gets it
        _, said = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "Traceback" not in said
    assert {path.name for path in tmp_path.iterdir()} == {"results.json"}


def test_other_files_in_the_folder_stay_and_nothing_is_left_beside_it(tmp_path):
    folder = tmp_path / "kit"
    (folder / "figures").mkdir(parents=True)
    (folder / "notes.txt").write_text("mine")
    (folder / "paper.tex").write_text("old")
    write(samples.results([]), folder)
    assert (folder / "notes.txt").read_text() == "mine"
    assert (folder / "paper.tex").read_text() != "old"
    assert {path.name for path in tmp_path.iterdir()} == {"kit", "kit-results.json"}


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    for target in (blocked, blocked / "kit"):
        with pytest.raises(OutputError, match="file"):
            paper.export(_saved(tmp_path), target)
    (tmp_path / "busy/figures").mkdir(parents=True)
    (tmp_path / "busy/tables").write_text(
        "mine"
    )  # a file where a folder must go: known before anything is drawn
    with pytest.raises(OutputError, match="tables: cannot write the paper kit: it is a file"):
        paper.export(_saved(tmp_path), tmp_path / "busy", progress=pytest.fail)
    (tmp_path / "kit/methods.tex").mkdir(parents=True)  # a folder where a file must go
    with pytest.raises(OutputError, match="cannot be written"):
        paper.export(_saved(tmp_path), tmp_path / "kit")
    assert {path.name for path in tmp_path.iterdir()} == {"file", "busy", "kit", "none.json"}
    assert [path.name for path in (tmp_path / "kit").iterdir()] == ["methods.tex"]


def test_a_folder_without_the_right_to_write_is_refused_before_anything_is_drawn(tmp_path, monkeypatch):
    def refuse(**_how):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "kit/tables").mkdir(parents=True)
    monkeypatch.setattr("featreport.paper.folder.tempfile.TemporaryFile", refuse)
    monkeypatch.setattr("featreport.paper.kit.press.printing", lambda *_: pytest.fail("drawn"))
    with pytest.raises(OutputError, match="cannot be written: Permission denied; name another place"):
        paper.export(_saved(tmp_path), tmp_path / "kit")


def _saved(folder: Path) -> Path:
    path = folder / "none.json"
    path.write_text(codec.encode(samples.results([])), encoding="utf-8")
    return path


def test_what_is_no_report_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ResultsError, match="no such file"):
        paper.export(tmp_path / "missing.html", tmp_path / "kit")
    assert list(tmp_path.iterdir()) == []


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "featreport", "export", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_the_command_says_where_and_what_and_has_the_contracts_exit_codes(tmp_path):
    done = command(_saved(tmp_path), tmp_path / "kit")
    assert (done.returncode, done.stderr) == (0, "")
    path, verdict = done.stdout.splitlines()
    assert path == str(tmp_path / "kit")
    assert re.match(r"\d+ files: 0 figures", verdict)
    assert command(tmp_path / "missing.json", tmp_path / "kit").returncode == 2
    assert command(_saved(tmp_path), tmp_path / "none.json").returncode == 5
    assert command(_saved(tmp_path), tmp_path / "kit", "--max-figures", "-1").returncode == 2


def test_no_torch_is_imported(tmp_path):
    code = (
        "import sys; from featreport import paper; assert 'matplotlib' not in sys.modules;"
        f"paper.export({str(_saved(tmp_path))!r}, {str(tmp_path / 'kit')!r});"
        "print([n for n in ('torch', 'torchvision', 'matplotlib.pyplot') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_reader_s_own_settings_change_nothing():
    import matplotlib as mpl

    drawing = profiles.of_run(small().runs[0])[0]

    def drawn() -> bytes:
        with sheet.style("x"):
            return backends.svg(drawing.draw(sheet.FULL))

    before = drawn()
    with mpl.rc_context({"font.size": 20, "axes.facecolor": "red", "text.usetex": True}):
        assert drawn() == before


def test_a_kernel_figure_and_a_map_open(kit):
    for name in ("kernels", "maps-features-2", "units-classifier-1"):
        with Image.open(kit / f"figures/net-early/{name}-175mm.png") as image:
            assert np.asarray(image.convert("L")).std() > 5
    assert io.BytesIO((kit / "figures/net-early/kernels-values.png").read_bytes()).read(4) == b"\x89PNG"


def test_figures_over_builds_and_of_similar_layers_are_in_the_kit(tmp_path):
    base = small()
    ids = [run.id for run in base.runs if run.status == "ok"]
    told = PastRun(id=ids[0], status="ok", dead_fraction=0.5, near_zero_fraction=0.1)
    past = [PastBuild(number=number, runs=[told]) for number in (1, 2)]
    values = [[1.0, None], [-0.01, 0.5]]
    alike = Similarity(
        run="a_very.long_name" * 12, other=ids[0], images=8, batches=1, layers=["a", "b"],
        other_layers=["a", "$_{"], values=values,
    )  # fmt: skip
    pairs = [alike, alike.model_copy(update={"run": "net/b"})]
    refused = Similarity(run=ids[0], other="net/z", reason="they saw other images")
    results = base.model_copy(
        update={"history": History(count=2, builds=past), "similarities": [pairs[0], refused, pairs[1]]}
    )
    write(results, tmp_path / "kit", max_figures=1)
    for name in ("dead-by-build", "near-zero-by-build", "cka-1", "cka-2"):
        for width in (85, 175):
            for kind in ("pdf", "svg", "png"):
                assert (tmp_path / f"kit/figures/{name}-{width}mm.{kind}").stat().st_size > 500
    assert not list((tmp_path / "kit/figures").glob("cka-3*"))
    text = (tmp_path / "kit/paper.tex").read_text(encoding="ascii")
    parsed(text)
    assert text.count("Debiased linear CKA") == 2
    rows = (tmp_path / "kit/tables/builds.csv").read_text(encoding="utf-8").splitlines()
    assert [row.split(",")[0] for row in rows] == ["build", "1", "2", *["this build"] * len(base.runs)]
    rows = (tmp_path / "kit/tables/similarities.csv").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 1 + 2 * 4
    assert rows[2].endswith(",")  # a layer that tells no images apart has no number
