"""Results → Page → HTML text → audit, with as much on the page as fits."""

from __future__ import annotations

from markupsafe import Markup

from featreport.errors import TooLargeError
from featreport.report import formats
from featreport.report.assemble import assemble
from featreport.report.audit import audit
from featreport.report.detail import lighter
from featreport.report.environment import asset, environment
from featreport.report.page import Page
from featreport.results.schema import Results


def render(results: Results, results_file: str | None = None) -> str:
    """Return the finished, audited page of `results`: the fullest that is not larger than `results.max_bytes`.

    Raises:
        TooLargeError: even the barest page is larger.
    """
    pages = lighter(assemble(results), results.max_bytes, results_file)
    page, sizes = next(pages), []
    while True:
        text = _text(page)
        sizes.append(len(text.encode("utf-8")))
        if sizes[-1] <= results.max_bytes:
            audit(text, results.max_bytes)
            return text
        try:
            page = pages.send(sizes[-1] - results.max_bytes)
        except StopIteration:
            break
    raise TooLargeError(
        f"the page is {formats.size(sizes[0])}, and {formats.size(sizes[-1])} without all that may be left out: "
        f"more than report.max_bytes ({formats.size(results.max_bytes)})",
        sizes[0],
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
