"""The built page in a real Chromium: offline, silent, readable at every width, with and without scripts or pictures."""

from __future__ import annotations

import re
import subprocess
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest

import sample_results as samples
from featreport.report import formats, render
from featreport.results.schema import Results, Unmeasured
from printing import PAPER, faults_in_print, need_pdftotext

pytestmark = pytest.mark.browser
OPEN_ALL = "document.querySelectorAll('details').forEach((box) => { box.open = true; })"
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


class Words(HTMLParser):
    """Every word of a page's text outside scripts, styles, tooltips and attributes, as it was written."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self._muted = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self._muted = tag in {"script", "style", "title"}

    def handle_endtag(self, tag):
        self._muted = False

    def handle_data(self, data):
        if not self._muted:
            self.found += data.split()


@pytest.fixture(scope="module")
def text() -> str:
    return render(samples.sample())


@pytest.fixture(scope="module")
def address(text, saved):
    return saved(text)


@pytest.fixture
def visit(browser, address, opens):
    return lambda **how: opens(browser, address, **how)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 768, 1440])
def test_no_request_no_message_no_sideways_scroll(visit, address, width, scheme):
    page = visit(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.evaluate(OPEN_ALL)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert [url for url in page.record.requests if not url.startswith("data:")] == [address]
    assert page.record.messages == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_word_has_enough_contrast(visit, scheme):
    page = visit(viewport={"width": 1440, "height": 900}, color_scheme=scheme)
    page.evaluate(OPEN_ALL)
    assert page.evaluate(CONTRAST) == []


def test_the_first_screen_answers_the_question(visit):
    page = visit(viewport={"width": 1440, "height": 900})
    top = "(selector) => document.querySelector(selector).getBoundingClientRect().top"
    assert page.evaluate(top, ".verdict") < 130
    assert page.evaluate(top, ".overview tbody tr") < 410


@pytest.mark.parametrize("width", [390, 1440])
def test_beside_a_logo_the_first_screen_keeps_its_width(browser, opens, saved, width):
    source = "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg'/>"
    logo = f'<img class="logo" width="320" height="48" alt="" src="{source}">'
    page = opens(
        browser,
        saved(render(samples.sample()).replace('<header id="verdict">', f'{logo}<header id="verdict">')),
        viewport={"width": width, "height": 900},
    )
    wide = "(selector) => document.querySelector(selector).getBoundingClientRect().width"
    assert page.evaluate(wide, "#verdict") == page.evaluate(wide, "main")
    assert page.evaluate(wide, ".findings") == page.evaluate(wide, "main")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_on_a_phone_what_the_lines_of_a_chart_are_called_is_in_view(visit):
    page = visit(viewport={"width": 390, "height": 900})
    assert page.locator(".charts:has(.legend) > .chart").count() == 2
    named = page.locator(".legend li")
    assert set(named.all_inner_texts()) == {"net/epoch-10", "net/lr-10", "other/partial"}
    for name in named.all():
        box = name.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
        assert name.locator("xpath=ancestor::*[contains(@class, 'scroll')]").count() == 0


@pytest.mark.parametrize(("width", "columns"), [(390, 1), (1440, 2)])
def test_charts_of_all_runs_are_whole_and_legible_at_every_width(visit, width, columns):
    page = visit(viewport={"width": width, "height": 900})
    charts = page.locator("section[aria-labelledby=comparison] .charts > .chart")
    assert len({round(chart.bounding_box()["x"]) for chart in charts.all()}) == columns
    for chart in charts.all():
        box = chart.locator(".scroll")
        assert box.evaluate("(box) => box.scrollWidth <= box.clientWidth")
        picture = chart.locator("img").bounding_box()
        drawing = unquote(chart.locator("img").get_attribute("src").partition(",")[2])
        assert letters(drawing, picture["width"]) >= 9.5


def letters(drawing: str, shown: float) -> float:
    """Return the size of the smallest letters of an SVG shown `shown` CSS pixels wide."""
    units = float(re.search(r'viewBox="0 0 ([\d.]+)', drawing)[1])
    sizes = [float(size) for size in re.findall(r'style="font-size: ([\d.]+)px', drawing) or [9]]
    rules = re.findall(r"@media\(max-width:(\d+)px\){text{font-size:([\d.]+)px!important}}", drawing)
    narrow = [float(size) for limit, size in rules if shown <= float(limit)]
    return (narrow[-1] if narrow else min(sizes)) * shown / units


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


LAYERS = (
    "features.1.conv.1",
    "features.12.conv.1.2",
    "encoder.layers.encoder_layer_3.mlp.0",
    "a/b-c:attention.qkv",
)
BROKEN_WORDS = r"""() => {
  const lines = new Map();
  const walk = document.createTreeWalker(document.querySelector("main"), 5); // elements and text
  for (let node; (node = walk.nextNode()); ) {
    const text = node.nodeType === 3, parent = node.parentElement;
    if ((!text && node.tagName !== "BR") || !parent.checkVisibility()) continue;
    if (parent.closest("svg, pre, code, .hidden")) continue;
    let box = parent;
    while (["inline", "contents"].includes(getComputedStyle(box).display)) box = box.parentElement;
    if (!lines.has(box)) lines.set(box, []);
    for (let at = 0; at < (text ? node.length : 1); at++) lines.get(box).push(text ? [node, at] : null);
  }
  const range = document.createRange(), found = [];
  const bottom = (place) => {
    range.setStart(...place);
    range.setEnd(place[0], place[1] + 1);
    return [...range.getClientRects()].at(-1)?.bottom;
  };
  for (const [box, places] of lines) {
    const text = places.map((place) => (place ? place[0].data[place[1]] : " ")).join("");
    for (const { 0: word, index } of text.matchAll(/[\p{L}\p{N}]{2,}/gu)) {
      if (word.length > 36) continue; // wider than a column
      const [first, last] = [index, index + word.length - 1].map((at) => bottom(places[at]));
      if (last - first > 4) found.push(`${word} in ${box.tagName}.${box.className}: ${text.trim().slice(0, 60)}`);
    }
  }
  return found;
}"""
COPIED = """(cell) => {
  getSelection().selectAllChildren(cell);
  return getSelection().toString();
}"""


def with_real_names() -> Results:
    """A finished run and a failed one, their layers and tensors called as those of real networks are."""
    first, _, failed = samples.few().runs
    taps = [
        tap.model_copy(update={"layer": LAYERS[place % 4], "call": place // 4})
        for place, tap in enumerate(first.activations)
    ]
    weights = [
        tensor.model_copy(update={"name": f"{LAYERS[place % 4]}.{place}.weight"})
        for place, tensor in enumerate(first.weights)
    ]
    run = first.model_copy(
        update={
            "id": "mobilenet_v2/imagenet-1k", "activations": taps, "weights": weights, "maps": [],
            "notes": [f"The baseline also has {', '.join(LAYERS)}."],
            "unmeasured": [Unmeasured(layer=f"{layer}.dropout", reason=f"inside {layer}") for layer in LAYERS],
        }
    )  # fmt: skip
    return samples.results([run, failed])


@pytest.mark.parametrize("width", [320, 390, 768])
def test_names_break_between_their_parts_and_no_word_breaks(browser, opens, saved, width):
    page = opens(browser, saved(render(with_real_names())), viewport={"width": width, "height": 900})
    page.evaluate(OPEN_ALL)
    assert page.evaluate(BROKEN_WORDS) == []


def test_a_copied_name_is_the_name(browser, opens, saved):
    page = opens(browser, saved(render(with_real_names())), viewport={"width": 390, "height": 900})
    page.evaluate(OPEN_ALL)
    cells = page.locator("tr[data-weight] th").all()
    assert cells
    for cell in cells:
        assert cell.evaluate(COPIED).strip() == cell.locator("xpath=..").get_attribute("data-weight")


def without_spaces(text: str) -> str:
    return re.sub(r"\s", "", text)


def shown(page) -> str:
    """What `main` shows with everything open, without spaces and without the tools that the script adds."""
    page.evaluate(OPEN_ALL)
    page.evaluate("document.querySelectorAll('.tools, .tool').forEach((bar) => bar.remove())")
    return without_spaces(page.inner_text("main"))


@pytest.fixture(scope="module")
def written(text) -> str:
    """Every word of `main`, as the file has it."""
    return "".join(Words(re.search(r"<main.*</main>", text, re.DOTALL).group()).found)


def test_with_scripts_off_every_word_is_there_and_the_script_adds_none(visit, written):
    assert len(written) > 10_000
    assert shown(visit(java_script_enabled=False)) == written
    assert shown(visit()) == written


def test_with_pictures_off_every_word_and_every_number_is_there(blind_browser, address, opens, written):
    page = opens(blind_browser, address)
    assert page.evaluate("[...document.images].every((image) => !image.naturalWidth)")
    assert shown(page) == written
    cells = page.locator("td[data-value]:not([data-value=''])").all_inner_texts()
    assert len(cells) > 500
    assert all(re.search(r"\d|untouched|no|yes|true|–", cell) for cell in cells)


def test_where_a_viewer_forbids_styles_scripts_and_pictures_every_word_is_there(
    browser, opens, text, written
):
    # What an artifact store may send along with a report; the answer comes from here, nothing is asked of a network.
    policy = {"Content-Security-Policy": "sandbox; default-src 'none'", "Content-Type": "text/html"}
    page = opens(browser, "about:blank")
    page.route("**/*", lambda route: route.fulfill(body=text, headers=policy))
    page.goto("http://report.invalid/")
    assert page.evaluate("document.styleSheets.length") == 0
    assert shown(page) == written


def test_a_click_on_every_control_asks_for_nothing_and_says_nothing(visit, address):
    page = visit(viewport={"width": 1440, "height": 900})
    page.evaluate("document.querySelectorAll('summary, button, input').forEach((control) => control.click())")
    page.evaluate("document.querySelectorAll('a[href^=\"#\"]').forEach((link) => link.click())")
    page.wait_for_timeout(50)
    assert [url for url in page.record.requests if not url.startswith("data:")] == [address]
    assert page.record.messages == []
    assert page.record.dialogs == []


CONTROLS = (
    "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex]:not([tabindex='-1'])"
)
FOCUS = """() => {
  window.reached ??= new Set();
  const element = document.activeElement;
  if (!element || element === document.body) return null;
  if (window.reached.has(element)) return "again";
  window.reached.add(element);
  const name = `${element.tagName} ${element.className} ${element.textContent.trim().slice(0, 30)}`;
  const labelled = element.labels?.[0];
  const outlined = [element, labelled, element.nextElementSibling].some((part) => {
    if (!part) return false;
    const style = getComputedStyle(part);
    return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
  });
  if (!outlined) return `no outline: ${name}`;
  const box = element.getClientRects()[0] ?? element.getBoundingClientRect();
  const [left, right] = [Math.max(box.left, 0), Math.min(box.right, innerWidth)];
  const [top, bottom] = [Math.max(box.top, 0), Math.min(box.bottom, innerHeight)];
  const whole = box.height <= innerHeight ? bottom - top >= box.height - 3 : bottom > top;
  if (!whole || right - left < Math.min(8, box.width)) return `outside the window: ${name}`;
  const hit = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
  const seen = hit && (element.contains(hit) || hit.contains(element) || labelled?.contains(hit));
  return seen ? "" : `covered by ${hit?.tagName} ${hit?.className}: ${name}`;
}"""
MISSED = f"""() => [...document.querySelectorAll("{CONTROLS}")]
  .filter((element) => element.checkVisibility() && element.getClientRects().length && !window.reached.has(element))
  .map((element) => `not reached: ${{element.tagName}} ${{element.className}} ${{element.textContent.slice(0, 30)}}`)
"""


def faults_of_keyboard(page) -> list[str]:
    """Tab through the whole page; return every control that is not reached, not outlined, or not in view."""
    faults = []
    for _ in range(3000):
        page.keyboard.press("Tab")
        said = page.evaluate(FOCUS)
        if said is None or said == "again":
            break
        faults += [said] if said else []
    return faults + page.evaluate(MISSED)


@pytest.fixture(scope="module")
def small() -> Results:
    """Two runs of few layers, with all kinds of controls, and a failed one."""
    return samples.few()


@pytest.fixture(scope="module")
def small_address(small, saved):
    return saved(render(small))


@pytest.mark.parametrize("width", [390, 1440])
def test_the_keyboard_reaches_and_shows_every_control(browser, opens, small_address, width):
    page = opens(browser, small_address, viewport={"width": width, "height": 900})
    page.evaluate(OPEN_ALL)
    assert faults_of_keyboard(page) == []
    assert page.evaluate("window.reached.size") > 60


@pytest.mark.parametrize(
    ("planted", "fault"),
    [
        ("document.styleSheets[0].insertRule(':focus-visible{outline:none !important}', 0)", "no outline"),
        ("document.querySelector('main summary').tabIndex = -1", "not reached"),
        (
            "document.styleSheets[0].insertRule('.findings a{position:fixed;top:-99px}', 0)",
            "outside the window",
        ),
        (
            "document.styleSheets[0].insertRule('.frame::after{content:\"\";position:fixed;inset:0;z-index:99}', 0)",
            "covered by",
        ),
    ],
)
def test_the_check_of_the_keyboard_finds_what_is_planted(browser, opens, small_address, planted, fault):
    page = opens(browser, small_address, viewport={"width": 1440, "height": 900})
    page.evaluate(planted)
    faults = faults_of_keyboard(page)
    assert any(found.startswith(fault) for found in faults)


def test_enter_and_space_work_every_kind_of_control(browser, opens, small_address):
    page = opens(browser, small_address, viewport={"width": 1440, "height": 900})
    for summary in page.locator("main summary").all():
        if not summary.is_visible():
            continue
        before = summary.evaluate("(element) => element.parentElement.open")
        summary.press("Enter")
        assert summary.evaluate("(element) => element.parentElement.open") is not before
        summary.press("Space")
    page.evaluate(OPEN_ALL)
    button = page.locator("table.taps th button").first
    button.press("Space")
    assert page.locator("table.taps th[aria-sort]").count() == 1
    box = page.locator(".tools input[type=checkbox]").first
    box.press("Space")
    assert box.is_checked()
    page.locator(".findings a").first.press("Enter")
    assert page.evaluate("location.hash") == page.locator(".findings a").first.get_attribute("href")


@pytest.mark.parametrize("scripts", [True, False])
@pytest.mark.parametrize("make", [samples.sample, samples.measured])
def test_printing_cuts_no_row_and_no_figure_and_leaves_nothing_out(browser, opens, saved, make, scripts):
    page = opens(browser, saved(render(make())), viewport=PAPER, java_script_enabled=scripts)
    assert faults_in_print(page) == []


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ("tr{break-inside:auto !important}", "may be cut: TR"),
        (".scroll{max-height:90px !important;overflow:hidden !important}", "lower part cut: DIV scroll"),
        ("figure{min-height:800px}", "taller than a sheet: FIGURE"),
        ("table{min-width:1400px}", "wider than the sheet: TABLE"),
        ("thead th{position:sticky !important}", "not in the flow: TH"),
        ("details::details-content{display:none !important}", "not printed: T"),
    ],
)
def test_the_check_of_printing_finds_what_is_planted(browser, opens, small_address, rule, fault):
    page = opens(browser, small_address, viewport=PAPER)
    page.evaluate(
        "(rule) => document.styleSheets[0].insertRule(rule, document.styleSheets[0].cssRules.length)", rule
    )
    assert any(found.startswith(fault) for found in faults_in_print(page))


@pytest.mark.parametrize("make", [samples.few, samples.measured])
def test_on_paper_every_name_stands_and_no_word_leaves_the_sheet(browser, opens, saved, make, tmp_path):
    need_pdftotext()
    results = make()
    page = opens(browser, saved(render(results)))
    (tmp_path / "report.pdf").write_bytes(page.pdf(prefer_css_page_size=True))
    command = ["pdftotext", "-bbox", str(tmp_path / "report.pdf"), "-"]
    drawn = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    words = re.findall(
        r'<word xMin="([\d.-]+)" yMin="([\d.-]+)" xMax="([\d.-]+)" yMax="([\d.-]+)">(.*?)<', drawn
    )
    sheet = "".join(word for *_, word in words)
    names = [run.id for run in results.runs]
    names += [tap.layer for run in results.runs for tap in run.activations]
    names += [tensor.name for run in results.runs for tensor in (*run.weights, *run.buffers)]
    for name in set(names):
        assert sheet.count(name) >= names.count(name), name
    width, height = (
        float(size) for size in re.search(r'<page width="([\d.]+)" height="([\d.]+)"', drawn).groups()
    )
    margin = 12 / 25.4 * 72 - 2  # of 12 mm, in points
    for x_min, y_min, x_max, y_max, word in words:
        assert margin <= float(x_min) < float(x_max) <= width - margin, word
        assert margin <= float(y_min) < float(y_max) <= height - margin, word


FILLED = """() => {  // a table of two rows, again and again, each time further down a sheet of its own
  const table = document.querySelector("table.tensors").closest(".scroll");
  const rows = [...table.querySelectorAll("tbody tr")];
  for (const row of rows.slice(2)) row.remove();
  document.querySelector("main").replaceChildren(...[...Array(36).keys()].map((number) => {
    const copy = table.cloneNode(true), space = document.createElement("div"), both = document.createElement("div");
    space.style.height = `${515 + 5 * number}px`;
    both.style.breakBefore = "page";
    both.append(space, copy);
    return both;
  }));
}"""


@pytest.fixture
def sheets(tmp_path):
    """Returns the text of each sheet of a page as it is printed."""
    need_pdftotext()

    def read(page) -> list[str]:
        (tmp_path / "report.pdf").write_bytes(page.pdf(prefer_css_page_size=True))
        command = ["pdftotext", "-layout", str(tmp_path / "report.pdf"), "-"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\f")

    return read


def test_no_table_head_stands_alone_at_the_foot_of_a_sheet(browser, opens, small_address, sheets):
    page = opens(browser, small_address, viewport=PAPER, bypass_csp=True)
    page.evaluate(FILLED)
    last = [text.rstrip().rsplit("\n", 1)[-1] for text in sheets(page) if text.strip()]
    assert any("features.0.weight" in line for line in last)
    assert [line for line in last if line.strip().startswith("Tensor ")] == []


def test_a_printed_shape_stands_on_one_line(browser, opens, saved, sheets):
    results = samples.measured()
    printed = "".join(sheets(opens(browser, saved(render(results)))))
    for shape in {formats.shape(tensor.shape) for tensor in results.runs[0].weights}:
        assert shape.replace(formats.NBSP, " ") in printed.replace(formats.NBSP, " ")


def test_a_histogram_opens_by_key_to_its_large_form_with_an_axis(browser, opens, small_address):
    page = opens(browser, small_address, viewport={"width": 1440, "height": 900})
    page.evaluate("document.querySelectorAll('details.fold').forEach((box) => { box.open = true; })")
    summary = page.locator("table.taps .hist summary").first
    before = summary.locator("svg").bounding_box()
    summary.press("Enter")
    after = summary.locator("svg").bounding_box()
    assert after["width"] > 4 * before["width"]
    inside = summary.evaluate("""(element) => {
      const box = element.querySelector("svg").getBoundingClientRect();
      const within = (part) => {
        const { left, right, top, bottom } = part.getBoundingClientRect();
        return left >= box.left - 1 && right <= box.right + 1 && top >= box.top - 1 && bottom <= box.bottom + 1;
      };
      return [...element.querySelectorAll("path, rect, text")].map(within);
    }""")
    assert len(inside) >= 3
    assert all(inside)
    assert summary.locator("xpath=..").locator("> span").is_visible()


def test_copied_rows_hold_no_words_of_a_histogram(browser, opens, small_address):
    page = opens(browser, small_address, viewport={"width": 1440, "height": 900})
    page.evaluate(OPEN_ALL)
    page.evaluate(
        "navigator.clipboard.writeText = (text) => { window.copied = text; return Promise.resolve(); }"
    )
    page.locator("table.taps").first.locator("xpath=../preceding-sibling::*[1]").locator("button").click()
    text = page.evaluate("window.copied")
    assert "Tallest" not in text
    head, *rows = text.strip().split("\n")
    assert head.split(",")[3] == "Histogram"
    assert rows
    assert all(row.split(",")[3] == "" for row in rows)
