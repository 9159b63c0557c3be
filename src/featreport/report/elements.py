"""The elements of a report: which may stand where, after the content models of the HTML standard.

An element that is not here is none that a report uses. Stricter than the standard in one thing: no tag is left out.
"""

from __future__ import annotations

from collections.abc import Mapping


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


VOID = frozenset({"br", "col", "hr", "img", "input", "meta", "wbr"})
PHRASING = _set(
    "a abbr b bdi bdo br button cite code data del dfn em i img input ins kbd label mark meter output "
    "progress q s samp script select small span strong sub sup svg textarea time u var wbr"
)
HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
SECTIONS = HEADINGS | {"article", "aside", "footer", "header", "nav", "section"}
FLOW = SECTIONS | _set(
    "address blockquote details div dl fieldset figure hgroup hr main menu ol p pre search table ul"
)
TABLE = ("caption", "colgroup", "thead", "tbody", "tfoot")  # in this order
GROUP = frozenset({"dt", "dd"})
PARENTS = {  # what these may stand in; all others may stand wherever their kind may
    "html": {""},
    "head": {"html"},
    "body": {"html"},
    "meta": {"head"},
    "style": {"head"},
    "title": {"head"},
    "main": {"body", "div"},
    "li": {"ul", "ol", "menu"},
    "dt": {"dl", "div"},
    "dd": {"dl", "div"},
    "col": {"colgroup"},
    "tr": {"thead", "tbody", "tfoot"},
    "td": {"tr"},
    "th": {"tr"},
    "figcaption": {"figure"},
    "summary": {"details"},
    "legend": {"fieldset"},
    "option": {"select", "optgroup"},
    "optgroup": {"select"},
    **{part: {"table"} for part in TABLE},
}
CHILDREN: Mapping[str, frozenset[str]] = {  # all that these may hold, and no words beside it
    "": frozenset({"html"}),
    "html": frozenset({"head", "body"}),
    "head": frozenset({"meta", "title", "style", "script"}),
    "ul": frozenset({"li"}),
    "ol": frozenset({"li"}),
    "menu": frozenset({"li"}),
    "dl": frozenset({"dt", "dd", "div"}),
    "table": frozenset(TABLE),
    "colgroup": frozenset({"col"}),
    "thead": frozenset({"tr"}),
    "tbody": frozenset({"tr"}),
    "tfoot": frozenset({"tr"}),
    "tr": frozenset({"td", "th"}),
    "select": frozenset({"option", "optgroup"}),
    "optgroup": frozenset({"option"}),
    **{tag: frozenset[str]() for tag in ("title", "option", "textarea")},  # words alone
}
HTML = PHRASING | FLOW | set(PARENTS)
SVG = _set(
    "a circle clippath defs desc ellipse g image line lineargradient marker mask path pattern polygon "
    "polyline radialgradient rect stop svg symbol text title tspan use"
)
LINES = (PHRASING - {"svg", "a"}) | HEADINGS | {"p", "pre", "summary"}  # hold phrasing and nothing else
CONTROLS = frozenset({"a", "button", "details", "input", "label", "select", "textarea"})
ONCE = ("html", "head", "title", "body", "main")
REQUIRED = {
    "html": ("lang",),
    "img": ("src",),
    "a": ("href",),
    "input": ("type",),
    "button": ("type",),
    "image": ("href",),
    "use": ("href",),
}
SINGLE = frozenset(ONCE)
WORDLESS = frozenset(tag for tag, held in CHILDREN.items() if held)
