"""In which order the sections of the page stand."""

from __future__ import annotations

from featreport.report.anchors import Anchors
from featreport.report.extras import extra
from featreport.report.page import Part
from featreport.results.schema import Results

_OWN = {
    "verdict": ("verdict", "Verdict", "verdict.jinja"),
    "runs": ("runs", "Runs", "overview.jinja"),
    "comparison": ("comparison", "Comparison", "comparison.jinja"),
    "details": ("details", "Each run", "details.jinja"),
    "method": ("method", "Method", "method.jinja"),
}


def order(results: Results, anchors: Anchors, empty: set[str]) -> tuple[Part, ...]:
    """Return the sections: those that the manifest orders, then the page's others.

    Args:
        results: with the order asked for.
        anchors: where the ids of plug-ins' sections come from.
        empty: names of sections that have nothing to show.
    """
    asked = list(dict.fromkeys(results.page.sections))
    names = [*asked, *(name for name in _OWN if name not in asked)]
    parts = []
    for name in names:
        if name in _OWN:
            anchor, title, template = _OWN[name]
            if name == "details" and len(results.runs) == 1:
                title = "The run"
            parts.append(Part(name, anchor, title, template))
        else:
            section = extra(name, results, anchors)
            parts.append(Part(name, section.anchor, section.title, "extra.jinja", section))
    return tuple(part for part in parts if part.name not in empty)
