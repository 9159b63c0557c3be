"""Results → Page → HTML text → audit, with as much on the page as fits."""

from __future__ import annotations

from markupsafe import Markup

from featreport.errors import TooLargeError
from featreport.report import formats
from featreport.report.assemble import assemble
from featreport.report.audit import audit
from featreport.report.detail import levels
from featreport.report.environment import asset, environment
from featreport.report.page import Page
from featreport.results.schema import Results


def render(results: Results, results_file: str | None = None) -> str:
    """Return the finished, audited page of `results`: the fullest that is not larger than `results.max_bytes`.

    Raises:
        TooLargeError: even the barest page is larger.
    """
    full = size = 0
    for page in levels(assemble(results), results.max_bytes, results_file):
        text = _text(page)
        size = len(text.encode("utf-8"))
        full = full or size
        if size <= results.max_bytes:
            audit(text, results.max_bytes)
            return text
    raise TooLargeError(
        f"the page is {formats.size(full)}, and {formats.size(size)} without all that may be left out: "
        f"more than report.max_bytes ({formats.size(results.max_bytes)})",
        full,
    )


def _text(page: Page) -> str:
    return (
        environment()
        .get_template("report.html.jinja")
        .render(
            page=page,
            style=asset("page.css"),
            script=asset("page.js"),
            results_json=Markup(page.results_json),  # noqa: S704 - escaped for a script element when it was made
        )
    )
