"""The paper kit: every figure at two widths in three formats, tables that LaTeX sets, numbers that are the results'."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pylatexenc import latexwalker

import sample_results as samples
from featreport import paper, tables
from featreport.errors import OutputError, ResultsError
from featreport.paper import latex, letters, profiles, sheet, sprites
from featreport.paper.names import Slugs
from featreport.report import formats, render
from featreport.results import codec
from featreport.results.schema import Histogram, Results

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
    write(hostile(), folder, max_figures=6)
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
        "overview", "comparison", "net-checkpoints", "dead-by-depth", "near-zero-by-depth", "kernels", "histograms",
        "weight-histograms", "maps-features-2", "units-classifier-1",
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
        assert sizes
        assert sizes <= {8.0, 8.5}


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


def test_the_same_results_give_the_same_bytes_from_json_and_from_the_report(tmp_path):
    results = small()
    write(results, tmp_path / "one", max_figures=5)
    page = tmp_path / "report.html"
    page.write_text(render(results), encoding="utf-8")
    paper.export(page, tmp_path / "two", max_figures=5)
    one, two = contents(tmp_path / "one"), contents(tmp_path / "two")
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
    assert f"N = 16: {formats.rate_bound(16)}" in text
    for run in results.runs[:2]:
        assert f"{run.summary.dead_channels} of {run.summary.channels} rectifier channels dead" in text
        assert f"({formats.percent(run.summary.dead_fraction)})" in text
    assert "1 run of them failed" in text


def test_every_number_of_a_latex_table_is_rounded_as_on_the_page(kit):
    run = small().runs[0]
    text = (kit / "tables/net-early-layers.tex").read_text(encoding="ascii")
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
            table, path = of_run(run), kit / f"tables/{slug}-{of_run(run).slug}.csv"
            assert not table.rows or path.read_text(encoding="utf-8") == tables.csv_text(table)


def test_the_grey_levels_of_a_map_are_its_sprite(kit):
    results = small()
    shown = next(maps for maps in results.runs[0].maps if maps.layer == "features.2")
    with Image.open(kit / "figures/net-early/maps-features-2-values.png") as image:
        found = np.asarray(image)
    sprite = sprites.pixels(results.pictures[shown.picture], "L")
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
    shown = SimpleNamespace(
        picture=key, contrast=over, images=[0, 1], channels=[0, 1, 2], kind="maps", tile=[5, 5], gap=1
    )
    found = sprites.tiles(shown, {key: sprite, over: overlay})
    grey, alpha = veil[..., :1, None] / 1.0, veil[..., 1:, None] / 255
    assert np.abs(found - (own * (1 - alpha) + grey * alpha)).max() <= 0.5
    shown.contrast = None
    assert (sprites.tiles(shown, {key: sprite}) == own).all()
    shown.tile = [4, 5]
    assert sprites.tiles(shown, {key: sprite}) is None  # not as large as it says
    assert sprites.tiles(shown, {key: "data:image/png;base64,AAAA"}) is None
    assert sprites.tiles(shown, {}) is None


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
        str(path.relative_to(kit)).removesuffix(".tex") for path in kit.glob("tables/*.tex")
    }


# --- names, odd results, limits ---


def test_hostile_names_stay_in_the_folder(wild):
    assert {path.name for path in wild.parent.iterdir()} == {"kit", "kit-results.json"}
    for name in contents(wild):
        assert re.fullmatch(r"[A-Za-z0-9./-]+", name)
        assert ".." not in name
        assert all(len(part) < 80 for part in name.split("/"))


def test_a_figure_names_what_its_font_lacks():
    assert letters.drawable("漢.conv\x00\n1") == "U+6F22.conv\ufffd 1"
    long = letters.fit("x" * 300, 30, 8)
    assert letters.width(long, 8) <= 30
    assert "…" in long


@given(st.lists(st.text(), max_size=12))
def test_file_names_are_short_unique_and_plain(names):
    slugs = Slugs()
    found = [slugs.take(name) for name in names]
    assert len(set(found)) == len(found)
    for slug in found:
        assert re.fullmatch(r"[a-z0-9]+(-+[a-z0-9]+)*", slug)
        assert len(slug) <= 50
        assert slug not in {"con", "nul", "aux", "prn"}


def test_odd_results_give_a_kit(tmp_path, monkeypatch):
    monkeypatch.setattr(sheet, "pdf", lambda _figure, _title: b"%PDF")  # most of the time goes into fonts
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
        for path in (tmp_path / name).rglob("tables/*.tex"):
            parsed(path.read_text(encoding="ascii"))
        assert (tmp_path / name / "README.md").is_file()
    assert (tmp_path / "many/figures/overview-2-85mm.pdf").is_file()


def test_what_is_left_out_is_said_with_the_way_to_get_it(tmp_path):
    done = write(small(), tmp_path / "kit", max_figures=3)
    assert len(list((tmp_path / "kit/figures/net-early").glob("*-85mm.pdf"))) == 3
    assert "--max-figures 0 writes all" in done.left_out
    assert done.left_out in done.verdict
    assert done.left_out in (tmp_path / "kit/README.md").read_text(encoding="utf-8")


def test_a_report_without_its_pictures_says_so(tmp_path):
    results = small().model_copy(update={"pictures": {}})
    done = write(results, tmp_path / "kit", max_figures=2)
    assert "could not be drawn" in done.left_out


def test_flagged_layers_come_first(kit):
    text = (kit / "paper.tex").read_text(encoding="ascii")
    order = re.findall(r"\\kitfigure\{figures/net-late/((?:maps|units)[^}]*)\}", text)
    assert order == ["maps-features-5", "units-classifier-1", "maps-features-2"]


# --- the disk, the command line ---


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
    (tmp_path / "kit/methods.tex").mkdir(parents=True)  # a folder where a file must go
    with pytest.raises(OutputError, match="cannot be written"):
        paper.export(_saved(tmp_path), tmp_path / "kit")
    assert {path.name for path in tmp_path.iterdir()} == {"file", "kit", "none.json"}


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
            return sheet.svg(drawing.draw(sheet.FULL))

    before = drawn()
    with mpl.rc_context({"font.size": 20, "axes.facecolor": "red", "text.usetex": True}):
        assert drawn() == before


def test_a_kernel_figure_and_a_map_open(kit):
    for name in ("kernels", "maps-features-2", "units-classifier-1"):
        with Image.open(kit / f"figures/net-early/{name}-175mm.png") as image:
            assert np.asarray(image.convert("L")).std() > 5
    assert io.BytesIO((kit / "figures/net-early/kernels-values.png").read_bytes()).read(4) == b"\x89PNG"
