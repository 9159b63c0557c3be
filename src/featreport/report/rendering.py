"""Results → Page → HTML text → audit."""

from __future__ import annotations

from markupsafe import Markup

from featreport.report.assemble import assemble
from featreport.report.audit import audit
from featreport.report.environment import asset, environment
from featreport.results.schema import Results


def render(results: Results) -> str:
    """Return the finished, audited page of `results`."""
    page = assemble(results)
    text = (
        environment()
        .get_template("report.html.jinja")
        .render(
            page=page,
            style=asset("page.css"),
            script=asset("page.js"),
            results_json=Markup(page.results_json),  # noqa: S704 - escaped for a script element when it was made
        )
    )
    audit(text, results.max_bytes)
    return text
