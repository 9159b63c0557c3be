"""Results → one finished, audited HTML text."""

from __future__ import annotations

from pathlib import Path

from featreport.results.schema import Results


def render(results: Results, results_file: str | None = None, templates: Path | None = None) -> str:
    """Return the whole page, the same bytes for the same results.

    Args:
        results: everything that was measured; `pictures` are embedded once each.
        results_file: name of the results JSON beside the page; with it, a page that is too large may leave its
            embedded results out.
        templates: a folder of templates that override the page's own; see templates/README.md.

    Raises:
        OutputError: the finished text would break a promise of the page, for instance its size.
    """
    from featreport.report.rendering import render as _render  # heavy only when a page is made

    return _render(results, results_file, templates)


__all__ = ["render"]
