"""Results → one finished, audited HTML text."""

from __future__ import annotations

from featreport.results.schema import Results


def render(results: Results) -> str:
    """Return the whole page, the same bytes for the same results.

    Args:
        results: everything that was measured; `pictures` are embedded once each.

    Raises:
        OutputError: the finished text would break a promise of the page, for instance its size.
    """
    from featreport.report.rendering import render as _render  # heavy only when a page is made

    return _render(results)


__all__ = ["render"]
