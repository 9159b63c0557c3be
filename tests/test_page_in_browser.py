"""The built page in a real Chromium: offline, silent, readable at every width, with and without scripts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import sample_results as samples
from featreport.report import render

pytestmark = pytest.mark.browser
CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
CONTRAST = """() => {
  const parse = (text) => (text.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const channel = (v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const bad = [];
  for (const element of document.querySelectorAll("body *:not(svg *)")) {
    const words = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!words || !element.checkVisibility() || ["SCRIPT", "STYLE"].includes(element.tagName)) continue;
    const [a, b] = [light(parse(getComputedStyle(element).color)), light(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio >= 4.5) continue;
    bad.push(`${element.tagName}.${element.className} ${ratio.toFixed(2)} ${element.textContent.slice(0, 30)}`);
  }
  return [...new Set(bad)];
}"""


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM.exists():
        message = f"{CHROMIUM} is not installed (Debian: apt-get install chromium)"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render(samples.sample()), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def visit(browser, address):
    opened = []

    def go(**how):
        page = browser.new_page(**how)
        opened.append(page)
        page.requests, page.messages = [], []
        page.on("request", lambda request: page.requests.append(request.url))
        page.on("console", lambda message: page.messages.append(message.text))
        page.on("pageerror", lambda error: page.messages.append(str(error)))
        page.goto(address)
        return page

    yield go
    for page in opened:
        page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 768, 1440])
def test_no_request_no_message_no_sideways_scroll(visit, address, width, scheme):
    page = visit(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach((box) => { box.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert [url for url in page.requests if not url.startswith("data:")] == [address]
    assert page.messages == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_word_has_enough_contrast(visit, scheme):
    page = visit(viewport={"width": 1440, "height": 900}, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach((box) => { box.open = true; })")
    assert page.evaluate(CONTRAST) == []


def test_the_first_screen_answers_the_question(visit):
    page = visit(viewport={"width": 1440, "height": 900})
    top = "(selector) => document.querySelector(selector).getBoundingClientRect().top"
    assert page.evaluate(top, ".verdict") < 130
    assert page.evaluate(top, ".overview tbody tr") < 600


def test_every_picture_is_decoded(visit):
    page = visit()
    broken = page.evaluate(
        "[...document.images].filter((image) => !image.complete || !image.naturalWidth).length"
    )
    assert broken == 0


def test_it_reads_the_same_without_scripts(visit):
    page = visit(java_script_enabled=False)
    text = page.inner_text("main")
    assert "net/lr-10" in text
    assert "features.8" in text
    assert page.locator("tr[data-layer]").count() == 13 * 2 + 8
    assert page.locator(".tools").count() == 0


def test_columns_sort_and_return_to_the_order_of_the_model(visit):
    page = visit()
    table = page.locator("section[data-run='net/lr-10'] table.taps")
    layers = "(table) => [...table.tBodies[0].rows].map((row) => row.dataset.layer)"
    original = table.evaluate(layers)
    button = table.locator("th button", has_text="Dead")
    button.click()
    assert table.evaluate(layers)[0] == "features.8"
    assert table.locator("th[aria-sort=descending]").count() == 1
    button.click()
    assert table.evaluate(layers)[-1] == "features.8"
    button.click()
    assert table.evaluate(layers) == original


def test_rows_filter_by_text_and_by_flag(visit):
    page = visit()
    section = page.locator("section[data-run='net/lr-10']")
    rows = section.locator("table.taps tbody tr:visible")
    section.locator(".tools input[type=search]").first.fill("features.8")
    assert rows.count() == 1
    section.locator(".tools input[type=search]").first.fill("")
    section.locator(".tools input[type=checkbox]").first.check()
    assert rows.count() == 4
    assert "4 of 13 rows" in section.locator(".tools").first.inner_text()


def test_a_finding_leads_to_its_row_even_in_a_closed_run(visit):
    page = visit()
    page.evaluate(
        "document.querySelectorAll('section.run > details').forEach((box) => { box.open = false; })"
    )
    page.locator("#verdict .findings a", has_text="entirely silent").click()
    row = page.locator("tr[data-run='net/lr-10'][data-layer='features.8']")
    row.wait_for(state="visible", timeout=3000)
    assert row.is_visible()


def test_printing_shows_what_is_folded(visit):
    page = visit(java_script_enabled=False)
    page.emulate_media(media="print")
    assert page.locator("table.tensors tbody tr").first.is_visible()
    assert page.pdf(prefer_css_page_size=True)[:5] == b"%PDF-"


def test_a_printed_table_repeats_its_header_on_every_page(visit):
    page = visit()
    page.emulate_media(media="print")
    # Chromium repeats the text of a header cell but no control in it: a sort button must leave only its text.
    boxes = page.locator("th button").evaluate_all("all => all.map(b => getComputedStyle(b).display)")
    assert boxes
    assert set(boxes) == {"contents"}
