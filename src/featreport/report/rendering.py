"""Results → Page → HTML text → audit, with as much on the page as fits."""

from __future__ import annotations

import traceback
from pathlib import Path

from markupsafe import Markup

from featreport.collector import uncollected
from featreport.errors import OutputError, TooLargeError
from featreport.report import formats
from featreport.report.assemble import assemble
from featreport.report.audit import audit
from featreport.report.detail import lighter
from featreport.report.environment import asset, environment
from featreport.report.page import Page
from featreport.results.codec import SCRIPT_ID
from featreport.results.schema import Results


def render(results: Results, results_file: str | None = None, templates: Path | None = None) -> str:
    """Return the finished, audited page of `results`: the fullest that is not larger than `results.max_bytes`.

    Raises:
        OutputError: a template of the manifest's own fails, or the page breaks a promise.
        TooLargeError: even the barest page is larger.
    """
    with uncollected():  # a page is a million objects that are all still needed
        return _fullest(results, results_file, templates)


def _fullest(results: Results, results_file: str | None, templates: Path | None) -> str:
    pages = lighter(assemble(results), results_file)
    page, sizes = next(pages), []
    while True:
        text = _text(page, templates)
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


def _text(page: Page, templates: Path | None) -> str:
    try:
        text = (
            environment(templates)
            .get_template("report.html.jinja")
            .render(
                page=page,
                style=asset("page.css", templates, "extra.css"),
                script=asset("page.js", templates),
                results_json=Markup(page.results_json),  # noqa: S704 - escaped for a script element when it was made
            )
        )
    except OutputError:
        raise
    except Exception as error:
        if templates is None:
            raise
        raise OutputError(f"{_where(error, templates)}: {type(error).__name__}: {error}") from error
    if templates is not None and f'id="{SCRIPT_ID}"' not in text:
        raise OutputError(
            f"{templates}: report.html.jinja leaves out the results: keep its script of id {SCRIPT_ID}"
        )
    return text


def _where(error: BaseException, templates: Path) -> str:
    """Return the file and line of a template that failed."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename.startswith(str(templates))
    ]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else str(templates)
