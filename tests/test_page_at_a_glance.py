"""What a reader's eye needs and no rule of HTML asks for: marks beside their words, numbers in line."""

from __future__ import annotations

import subprocess

import pytest

import sample_results as samples
from featreport.report import render
from printing import need_pdftotext

pytestmark = pytest.mark.browser
WIDE, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 900}
SHOWN = """(element) => {
  const { x, y, width, height } = element.getBoundingClientRect();
  return { x, y, width, height };
}"""
PAINT = """(sign) => {
  const ink = getComputedStyle(sign).stroke;
  let at = sign;
  while (at && /^rgba.*, 0\\)$/.test(getComputedStyle(at).backgroundColor)) at = at.parentElement;
  return [ink, at ? getComputedStyle(at).backgroundColor : "rgb(255, 255, 255)"];
}"""


@pytest.fixture(scope="module")
def text() -> str:
    return render(samples.sample())


@pytest.fixture
def visit(browser, text, saved, opens):
    return lambda **how: opens(browser, saved(text), **how)


def test_the_contents_name_every_section_and_runs_under_theirs(visit):
    page = visit(viewport=WIDE)
    heads = page.locator("main > section > h2, main > h2").all_inner_texts()
    for contents in (".rail", ".toc"):
        links = page.locator(f"{contents} li")
        found = [(link.get_attribute("class"), link.inner_text().strip()) for link in links.all()]
        if contents == ".rail":
            assert {head for head in heads if head != "Checks"} <= {words for _, words in found}
        deep = [place for place, (name, _) in enumerate(found) if name == "deep"]
        above = page.locator(f"{contents} li a").nth(deep[0] - 1)
        assert above.get_attribute("href") == "#details"
        assert deep == list(range(deep[0], deep[0] + len(deep)))


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_the_mark_of_a_fold_stands_on_the_first_line_of_its_heading(visit, viewport):
    page = visit(viewport=viewport)
    heads = page.locator(".fold > summary:has(h3, h4)")
    assert heads.count() > 5
    seen = 0
    for head in heads.all():
        if not head.is_visible():
            continue
        seen += 1
        words = head.locator("h3, h4").first.evaluate(SHOWN)
        assert words["y"] - head.evaluate(SHOWN)["y"] < 12
    assert seen > 3


def test_side_by_side_the_shares_of_a_column_stand_in_line(visit):
    page = visit(viewport=WIDE)
    cells = page.locator("section[aria-labelledby=comparison] td.n:has(.share)")
    assert cells.count() > 2
    for cell in cells.all():
        assert cell.text_content().endswith("%")


def test_a_legend_is_a_list_to_who_hears_it_and_coloured_whatever_the_colours(visit):
    plain = visit(viewport=WIDE)
    for legend in plain.locator(".legend").all():
        assert legend.evaluate("(list) => getComputedStyle(list).listStyleType") == "none"
        assert legend.get_attribute("role") == "list"  # which a list without marks is to no Safari
        assert legend.get_attribute("aria-label")
    forced = visit(viewport=WIDE, forced_colors="active")
    colour = "(line) => getComputedStyle(line).backgroundColor"
    for page in (plain, forced):
        lines = [line.evaluate(colour) for line in page.locator(".legend").first.locator("i").all()]
        assert len(set(lines)) == len(lines) > 1
        assert [line.evaluate(colour) for line in plain.locator(".legend").first.locator("i").all()] == lines


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("forced", ["none", "active"])
def test_the_sign_of_a_badge_is_seen_in_every_scheme_and_where_colours_are_forced(visit, scheme, forced):
    page = visit(viewport=WIDE, color_scheme=scheme, forced_colors=forced)
    signs = page.locator(".badge.fail .sign")
    assert signs.count()
    for sign in signs.all():
        ink, paper = sign.evaluate(PAINT)
        assert ink != paper


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_a_badge_stands_before_its_words_or_above_them(visit, viewport):
    page = visit(viewport=viewport)
    lines = page.locator("#verdict .findings > li")
    assert lines.count() > 2
    starts = set()
    for line in lines.all():
        if not line.is_visible():
            continue
        badge, words = (line.locator(part).first.evaluate(SHOWN) for part in (".badge", "a"))
        assert badge["x"] == line.evaluate(SHOWN)["x"]
        if viewport is WIDE:
            assert words["x"] >= badge["x"] + badge["width"]
            assert abs(words["y"] - badge["y"]) < 4
        else:
            assert words["y"] >= badge["y"] + badge["height"]
        starts.add(round(words["x"]))
    assert len(starts) == 1


def test_on_paper_no_heading_is_parted_from_its_charts(visit, tmp_path):
    need_pdftotext()
    page = visit(bypass_csp=True)
    for room in range(40, 640, 60):  # whatever stands before it
        page.evaluate(
            "(room) => { document.querySelector('#verdict').style.minHeight = `${room}px`;"
            "  for (const part of document.querySelectorAll('#verdict ~ *:not(section:has(#comparison))'))"
            "    part.remove(); }",
            room,
        )
        (tmp_path / "report.pdf").write_bytes(page.pdf(prefer_css_page_size=True))
        command = ["pdftotext", "-layout", str(tmp_path / "report.pdf"), "-"]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\f")
        (sheet,) = (
            words for words in printed if "Comparison" in words.split("\n")[0] or "\nComparison" in words
        )
        assert "by relative depth" in sheet, room
