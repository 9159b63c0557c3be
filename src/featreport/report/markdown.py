"""Comparison → Markdown, for a pull request or the summary of a job."""

from __future__ import annotations

import re

from markupsafe import Markup

from featreport.judge.compare import Comparison
from featreport.judge.compare.lines import largest, lines
from featreport.report import formats
from featreport.report.environment import environment

MOST = 20  # rows of the table
FOLDED = 200  # rows of the folded part
# Everything that may start markup, a link, a mention, an emoji or a formula somewhere: as references, which cannot.
_SIGNS = re.compile(r"[&<>\"'\\`*_\[\]|~^$#@]|:(?! )|(?<=www)\.", re.IGNORECASE)


def markdown(comparison: Comparison) -> str:
    """Return the comparison as GitHub-flavoured Markdown: the verdict, the worst rows, the rest folded."""
    found = lines(comparison)
    template = environment().get_template("difference.md.jinja")
    return template.render(
        comparison=comparison,
        largest=largest(comparison),
        rows=found[:MOST],
        more=max(0, len(found) - MOST),
        folded=[line for line in found if line.channels][:FOLDED],
        several=len(comparison.runs) > 1,
        formats=formats,
        md=escaped,
    )


def escaped(text: str) -> Markup:
    """Return text that reads the same in Markdown and in HTML whatever it holds, on one line."""
    plain = " ".join(formats.clean(text).split())
    safe = _SIGNS.sub(lambda sign: f"&#{ord(sign.group())};", plain)
    return Markup(safe)  # noqa: S704 - every sign that could start markup is a reference
