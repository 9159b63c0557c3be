"""A manifest's own templates, logo, order of sections and plug-ins: they change the page, never what it promises."""

from __future__ import annotations

import base64
import dataclasses
import io
import re
import sys
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import featreport
import sample_results as samples
from featreport import pipeline
from featreport.errors import ManifestError, OutputError
from featreport.plan.look import SECTIONS
from featreport.report import render
from featreport.report.plugins import make
from featreport.results import codec
from featreport.results.schema import PageOptions, Results

NET = "import torch\nfrom torch import nn\ndef make(): return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())\n"
MANIFEST = """
version: 1
output: out/page.html
images: [photo.png]
transform: {{size: [8, 8]}}
models: [{{name: net, source: "python:net.py:make", checkpoints: [random:0]}}]
report: {report}
"""


def project(folder: Path, report: str, **files: str) -> Path:
    (folder / "net.py").write_text(NET)
    Image.new("RGB", (16, 16), "teal").save(folder / "photo.png")
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_jinja", ".jinja").replace("_css", ".css")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    manifest = folder / "config.yaml"
    manifest.write_text(MANIFEST.format(report=report))
    return manifest


def page_of(folder: Path) -> str:
    return (folder / "out/page.html").read_text(encoding="utf-8")


OWN = {
    "own__verdict_jinja": '{% extends "featreport/verdict.jinja" %}\n'
    "{% block heading %}<h1>Our lab: {{ page.title }}</h1>{% endblock %}\n",
    "own__extra_css": "h1 { color: rebeccapurple }\n",
}


def test_one_block_is_overridden_and_the_rest_stays(tmp_path: Path) -> None:
    results = featreport.build(project(tmp_path, "{templates: own}", **OWN))
    page, plain = page_of(tmp_path), render(results, "page.json")
    assert "<h1>Our lab: config</h1>" in page
    assert "rebeccapurple" in page
    assert "<h1>config</h1>" in plain
    assert '<p class="verdict">' not in page  # it was in the block
    tables = re.compile(r"<table.*?</table>", re.DOTALL)
    assert tables.findall(page) == tables.findall(plain)


def test_render_makes_the_same_bytes_with_the_same_templates(tmp_path: Path) -> None:
    featreport.build(project(tmp_path, "{templates: own}", **OWN))
    pipeline.render(tmp_path / "out/page.json", tmp_path / "again.html", templates=tmp_path / "own")
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == page_of(tmp_path)


def test_a_slip_in_a_template_is_found_before_anything_is_run(tmp_path: Path) -> None:
    manifest = project(tmp_path, "{templates: own}", own__verdict_jinja="\n{% if page.title %}")
    with pytest.raises(ManifestError, match=r"verdict\.jinja:2: .*\n.*nothing was run"):
        featreport.build(manifest)
    assert not (tmp_path / "out/page.json").exists()


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{{ page.nothing }}", "has no attribute 'nothing'"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ range(10**9) }}", "OverflowError"),
        ("{% include 'method.jinja' %}", "RecursionError"),
        ("{{ page.__class__.__mro__ }}", "unsafe"),
        ("{{ ''.__class__.__base__.__subclasses__() }}", "unsafe"),
        ('<p><img src="https://example.org/logo.png" alt="x"></p>', "refers outside the page"),
        ('<p id="main">twice</p>', "stands twice"),
        ('<p><a href="#nowhere">x</a></p>', "is nowhere on the page"),
        ('<p style="color:red">x</p>', "not allowed"),
        ("<p><b>x</p>", ""),
    ],
)
def test_own_templates_keep_the_page_s_promises_or_the_results_alone_are_written(
    tmp_path: Path, template: str, says: str
) -> None:
    own = '{% extends "featreport/method.jinja" %}{% block paper %}' + template + "{% endblock %}"
    with pytest.raises(OutputError, match=r"featreport render \S+page\.json") as caught:
        featreport.build(project(tmp_path, "{templates: own}", own__method_jinja=own))
    assert says in str(caught.value)
    assert codec.load(tmp_path / "out/page.json").runs[0].status == "ok"
    assert not (tmp_path / "out/page.html").exists()


def test_a_style_that_is_no_text_is_found_before_anything_is_run(tmp_path: Path) -> None:
    manifest = project(tmp_path, "{templates: own}", **OWN)
    (tmp_path / "own/extra.css").write_bytes(b"\xff\xfe")
    with pytest.raises(ManifestError, match=r"extra\.css: cannot be read"):
        featreport.build(manifest)


def test_a_page_of_ones_own_must_carry_the_results(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="leaves out the results"):
        featreport.build(
            project(tmp_path, "{templates: own}", **{"own__report.html_jinja": "<!doctype html><p>hello"})
        )


def test_an_edit_of_a_template_shows_in_the_same_process(tmp_path: Path) -> None:
    project(tmp_path, "{templates: own}", **OWN)
    assert "Our lab" in render(samples.sample(), templates=tmp_path / "own")
    path = tmp_path / "own/verdict.jinja"
    path.write_text(path.read_text().replace("Our lab", "Their lab"))
    assert "Their lab" in render(samples.sample(), templates=tmp_path / "own")


def test_a_style_that_would_end_its_element_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="may not hold </style"):
        featreport.build(project(tmp_path, "{templates: own}", own__extra_css="</STYLE><script>1</script>"))


WRONG = {
    "{templates: gone}": "report.templates: expected a folder of templates, got 'gone'",
    "{templates: net.py}": "report.templates: expected a folder",
    "{templates: out}": "report.templates: 'out' holds no template",
    "{logo: photo.tif}": "report.logo: expected a picture",
    "{logo: gone.png}": "report.logo: no such file",
    "{logo: big.svg}": "report.logo: 'big.svg' has 500,001 bytes",
    "{sections: [method, verdit]}": "report.sections[1]: expected verdict, runs, .* (did you mean 'verdict'?)",
    "{sections: [runs, runs]}": "report.sections[1]: 'runs' stands twice",
    "{select: best}": "report.select: expected first, strongest, rarest or dead, got 'best'",
    "{show: [foto.png]}": "report.show[0]: no image of any run is named 'foto.png' (did you mean 'photo.png'?)",
}


@pytest.mark.parametrize("report", WRONG)
def test_what_is_wrong_with_the_look_is_said_with_its_place(tmp_path: Path, report: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "big.svg").write_text("x" * 500_001)
    with pytest.raises(ManifestError) as caught:
        pipeline.make_plan(project(tmp_path, report))
    wanted = re.escape(WRONG[report]).replace(r"\.\*", ".*")
    assert re.search(rf"config\.yaml:\d+:\d+ {wanted}", str(caught.value)), caught.value


def test_a_logo_stands_once_without_its_metadata(tmp_path: Path) -> None:
    note = PngInfo()
    note.add_text("Author", "a secret name")
    Image.new("RGBA", (400, 300), (0, 90, 200, 128)).save(tmp_path / "logo.png", pnginfo=note)
    results = featreport.build(project(tmp_path, "{logo: logo.png}"))
    page = page_of(tmp_path)
    assert results.page.logo is not None
    assert page.count(results.pictures[results.page.logo]) == 1
    uri = re.search(r'<img class="logo" data-picture="\w+" src="data:image/(\w+);base64,([^"]+)"', page)
    assert uri
    content = base64.b64decode(uri[2])
    assert b"secret" not in content
    assert Image.open(io.BytesIO(content)).size == (128, 96)
    pipeline.render(tmp_path / "out/page.html", tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == page


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.png", b"no picture"),
        ("a.svg", b"<html/>"),
        ("a.svg", b"<svg"),
        ("a.svg", b'<!DOCTYPE svg [<!ENTITY a "b">]><svg>&a;</svg>'),
    ],
)
def test_a_logo_that_is_no_picture_is_refused_before_anything_is_run(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ManifestError, match=r"report\.logo: a\.\w+: not a picture"):
        featreport.build(project(tmp_path, f"{{logo: {name}}}"))
    assert not (tmp_path / "out/page.json").exists()


def test_a_drawn_logo_is_embedded_as_it_is(tmp_path: Path) -> None:
    drawing = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><path d="M0 0h9v9z"/></svg>'
    featreport.build(project(tmp_path, "{logo: a.svg}", **{"a.svg": drawing}))
    assert 'class="logo"' in page_of(tmp_path)


def headings(page: str) -> list[str]:
    return re.findall(
        r'<(?:h2|header|section)[^>]* id="(verdict|runs|comparison|details|method|section-\S+)"', page
    )


def with_sections(*names: str) -> Results:
    results = samples.sample().model_copy(update={"page": PageOptions(sections=list(names))})
    extras, pictures = [], dict(results.pictures)
    for name in names:
        if name not in SECTIONS:
            extra, more = make(name, results)
            extras.append(extra)
            pictures |= more
    return results.model_copy(update={"extras": extras, "pictures": pictures})


@pytest.mark.parametrize(
    ("asked", "want"),
    [
        ((), ["verdict", "runs", "comparison", "details", "method"]),
        (("method", "verdict"), ["method", "verdict", "runs", "comparison", "details"]),
        (("details", "runs"), ["details", "runs", "verdict", "comparison", "method"]),
    ],
)
def test_sections_stand_in_the_order_asked_for_and_none_is_lost(
    asked: tuple[str, ...], want: list[str]
) -> None:
    page = render(with_sections(*asked))
    assert headings(page) == want
    contents = page.split('<nav class="rail"')[1].split("</nav>")[0]
    linked = [name for name in re.findall(r'href="#([a-z]+)"', contents) if name in want]
    assert linked == want


PLUGIN = """
from featreport.report.plugins import Column, Figure, Section, Table

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"><rect width="30" height="9"/></svg>'

def lengths(results):
    columns = (Column("run", "Run", "text"), Column("n", "Layers", "integer"), Column("s", "Share", "share"))
    rows = tuple((run.id, len(run.activations), run.summary and run.summary.dead_fraction) for run in results.runs)
    figure = Figure("Lengths", "What to see.", "A bar of 30.", SVG, "image/svg+xml", 40, 20, "x\\n1\\n")
    table = Table("lengths", "Lengths", columns, rows)
    return Section("How long <they> are", ("Words with <b>no</b> markup.",), (figure,), (table,))

def broken(results):
    raise ValueError("it cannot be <done>")

def strange(results):
    return "<h2>markup</h2>"

def leaving(results):
    raise SystemExit(3)

def spoiling(results):
    print("to standard output")
    results.runs.clear()
    results.pictures.clear()
    return Section("Fine")

def words(results):
    return Section("Words", "hello")

def nameless(results):
    return Section("")

def framed(results):
    return Section("F", figures=(Figure("a", "b", "c", b"<html>", "text/html", 4, 4),))

def thin(results):
    return Section("F", figures=(Figure("a", "b", "c", SVG, "image/svg+xml", "10px; x", -3),))

def uneven(results):
    columns = (Column("a", "A", "text"), Column("b", "B", "number"))
    return Section("T", tables=(Table("t", "T", columns, (("x",),)),))
"""


PLUGINS = (
    "lengths", "broken", "strange", "gone", "leaving", "spoiling", "words", "nameless", "framed", "thin", "uneven",
)  # fmt: skip


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "site"
    info = folder / "featreport_lengths-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: featreport-lengths\nVersion: 1.0\n")
    entries = [f"{name} = lengths_plugin:{name}" for name in PLUGINS]
    (info / "entry_points.txt").write_text("\n".join(["[featreport.sections]", *entries]) + "\n")
    (folder / "lengths_plugin.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "lengths_plugin", raising=False)


@pytest.mark.usefixtures("plugin")
def test_a_plug_in_adds_a_section_of_words_figures_and_tables_and_no_markup() -> None:
    page = render(with_sections("verdict", "lengths"))
    assert headings(page)[:2] == ["verdict", "section-lengths"]
    section = page.split('aria-labelledby="section-lengths"')[1].split("</section>")[0]
    assert "How long &lt;they&gt; are" in section
    assert "Words with &lt;b&gt;no&lt;/b&gt; markup." in section
    assert 'alt="A bar of 30."' in section
    assert "data:text/csv" in section
    dead = samples.sample().runs[1].summary
    assert dead is not None
    assert f"{100 * (dead.dead_fraction or 0):.1f}\u00a0%" in section
    assert f'data-value="{dead.dead_fraction!r}"' in section  # by which it is sorted


@pytest.mark.usefixtures("plugin")
def test_a_page_is_rendered_again_without_the_plug_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    featreport.build(project(tmp_path, "{sections: [spoiling, lengths]}"))
    assert "to standard output" not in capsys.readouterr().out
    page = page_of(tmp_path)
    assert "featreport-lengths 1.0 (lengths)" in page  # its provenance
    monkeypatch.setattr(
        "featreport.report.plugins.entry_points", lambda **_: pytest.fail("a plug-in was looked for")
    )
    for source in ("page.html", "page.json"):
        pipeline.render(tmp_path / "out" / source, tmp_path / "again.html")
        assert (tmp_path / "again.html").read_text(encoding="utf-8") == page


@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("broken", "The plug-in failed: ValueError: it cannot be &lt;done&gt;"),
        ("strange", "it returned str, expected"),
        ("gone", "The plug-in failed: AttributeError"),
        ("absent", "is not installed"),
        ("leaving", "The plug-in failed: SystemExit: 3"),
        ("words", "expected a tuple of texts, got one text"),
        ("nameless", "The plug-in failed: title: "),
        ("framed", "expected image/svg+xml, image/png, image/webp, got &#39;text/html&#39;"),
        ("thin", "The plug-in failed: width: "),
        ("uneven", "rows of another length than its 2 columns"),
    ],
)
def test_a_plug_in_that_fails_says_so_and_the_report_is_written(name: str, says: str) -> None:
    page = render(with_sections(name))
    assert says in page.split(f'aria-labelledby="section-{name}"')[1].split("</section>")[0]
    assert headings(page)[1:] == ["verdict", "runs", "comparison", "details", "method"]


@pytest.mark.usefixtures("plugin")
def test_a_manifest_names_plug_ins_beside_the_page_s_own_sections(tmp_path: Path) -> None:
    manifest = project(tmp_path, "{sections: [verdict, lengths]}")
    assert pipeline.make_plan(manifest).look.sections == ("verdict", "lengths")
    with pytest.raises(ManifestError, match=r"report\.sections\[1\]: --no-code: 'lengths' would run"):
        pipeline.make_plan(manifest, code=False)


def test_the_readme_tells_every_field_of_the_page_model() -> None:
    from featreport.report.page import Page, RunPage
    from featreport.report.where import templates_folder

    told = set(re.findall(r"`([a-z_]+)`", (templates_folder() / "README.md").read_text()))
    for kind in (Page, RunPage):
        assert {field.name for field in dataclasses.fields(kind)} <= told, kind
