"""The page for people who do not see, point or read as most do: axe-core's rules in a real Chromium, none broken."""

from __future__ import annotations

from importlib.metadata import distribution
from pathlib import Path

import pytest

import sample_results as samples
from featreport.report import render
from featreport.results.schema import Compared, History, PastBuild, PastRun, Results
from test_changes import run

pytestmark = pytest.mark.browser
AXE = "axe_playwright_python/axe.min.js"
RUN = """async () => {
  const found = await axe.run(document, {resultTypes: ["violations", "incomplete"]});
  const line = (rule) => rule.nodes.map((node) => `${rule.id}: ${node.target.join(" ")}: ${node.failureSummary}`);
  const doubt = found.incomplete.filter((rule) => rule.id !== "color-contrast");
  return {violations: found.violations.flatMap(line), doubts: doubt.flatMap(line), rules: found.passes.length};
}"""
OPEN_ALL = "document.querySelectorAll('details').forEach((box) => { box.open = true; })"


def against_a_baseline() -> Results:
    """Runs with dead channels at every share, told against one without, with a history."""
    shares = [run(f"net/{dead}", list(range(dead))) for dead in range(9)]
    results = samples.results(shares)
    compared = [Compared(run=one.id, baseline="net/0", within="net/0") for one in shares[1:]]
    past = [PastBuild(number=n, runs=[PastRun.of(one) for one in reversed(shares)]) for n in range(3)]
    return results.model_copy(update={"compared": compared, "history": History(count=3, builds=past)})


PAGES = {
    "few runs": samples.few,
    "measured": samples.measured,
    "empty": samples.empty,
    "no runs": lambda: samples.results([]),
    "against a baseline": against_a_baseline,
}


@pytest.fixture(scope="module")
def addresses(saved):
    return {name: saved(render(make())) for name, make in PAGES.items()}


@pytest.fixture
def examine(browser, opens):
    """Opens an address with axe-core in it; the policy of the page, which would refuse that script, is off."""
    script = Path(str(distribution("axe-playwright-python").locate_file(AXE))).read_text(encoding="utf-8")

    def go(address, width=1440, scheme="light"):
        page = opens(
            browser, address, viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True
        )
        page.evaluate(script)
        return page

    return go


VIEWS = [
    *(("few runs", width, scheme) for width in (390, 1440) for scheme in ("light", "dark")),
    *(("against a baseline", width, scheme) for width, scheme in ((390, "dark"), (1440, "light"))),
    ("measured", 390, "light"),
    ("measured", 1440, "dark"),
]


@pytest.mark.parametrize(("name", "width", "scheme"), VIEWS)
def test_axe_finds_nothing_with_everything_open(examine, addresses, name, width, scheme):
    page = examine(addresses[name], width, scheme)
    page.evaluate(OPEN_ALL)
    found = page.evaluate(RUN)
    assert found["violations"] == []
    assert found["doubts"] == []
    assert found["rules"] > 20


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_on_a_page_as_it_opens(examine, addresses, name):
    assert examine(addresses[name]).evaluate(RUN)["violations"] == []


PLANTED = {
    "image-alt": "document.querySelector('img').removeAttribute('alt')",
    "color-contrast": "document.querySelector('.verdict').style.color = '#999'",
    "scrollable-region-focusable": (
        "[...document.querySelectorAll('.maps .scroll')].find((box) => box.scrollWidth > box.clientWidth + 20)"
        ".removeAttribute('tabindex')"
    ),
    "svg-img-alt": "document.querySelector('svg[role=img]').removeAttribute('aria-label')",
    "html-has-lang": "document.documentElement.removeAttribute('lang')",
    "label": "document.querySelector('.tools input').outerHTML = '<input type=search>'",
    "heading-order": "document.querySelector('h2').outerHTML = '<h6>deep</h6>'",
}


def test_axe_finds_all_that_is_planted(examine, addresses):
    page = examine(addresses["few runs"], 390)
    page.evaluate(OPEN_ALL)
    for change in PLANTED.values():
        page.evaluate(change)
    found = {line.partition(":")[0] for line in page.evaluate(RUN)["violations"]}
    assert set(PLANTED) <= found
