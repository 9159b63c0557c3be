"""Valid HTML: what may stand where, what must be closed, and what an element may not do without.

The rules of `elements`, and two more: every drawing has a name or is hidden, and the rows of a table have equally many
cells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from featreport.report.elements import (
    CHILDREN,
    CONTROLS,
    GROUP,
    HEADINGS,
    HTML,
    LINES,
    ONCE,
    PARENTS,
    PHRASING,
    REQUIRED,
    SECTIONS,
    SINGLE,
    SVG,
    TABLE,
    VOID,
    WORDLESS,
)


@dataclass(slots=True)
class _Open:
    """An element that is not closed yet, and what follows from it for everything inside."""

    tag: str
    place: tuple[int, int]
    svg: bool = False
    line: bool = False  # holds phrasing and no blocks
    control: str = ""  # the link or button it stands in
    plain: str = ""  # the header cell or term it stands in: no headings there
    named: bool = False  # of an svg: whether its pictures have words
    wants_title: bool = False  # an svg that needs <title> for its name
    children: int = 0
    last: str = ""  # child
    cells: int = 0  # of a row; of a table, those of its first row
    spans: bool = False  # a table with cells over several rows


class Nesting:
    """Follows the tags of a page from the first to the last, and says what breaks a rule where it stands."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._top = _Open("", (1, 0))
        self._stack = [self._top]
        self._seen: set[str] = set()
        self._orders: Mapping[str, Callable[[str, _Open], None]] = {
            "details": self._in_details,
            "table": self._in_table,
            "figure": self._in_figure,
            "div": self._in_div,
            "dl": self._in_dl,
        }

    def start(self, tag: str, found: Mapping[str, str], place: tuple[int, int]) -> None:
        """Take a start tag with its attributes and its line and offset."""
        parent = self._top
        parent.children += 1
        if parent.svg:
            self._in_svg(tag, parent)
        else:
            self._in_html(tag, found, parent)
        parent.last = tag
        if tag in REQUIRED:
            for key in REQUIRED[tag]:
                if not found.get(key):
                    self._report(f"<{tag}> without {key}")
        if tag in VOID and not parent.svg:
            return
        opened = _Open(tag, place, parent.svg, parent.line, parent.control, parent.plain, parent.named)
        if parent.svg:
            opened.named |= tag in {"symbol", "marker"}
        elif tag == "svg":
            self._drawing(found, opened)
        elif tag in LINES:
            opened.line = True
        if tag in {"a", "button"}:
            opened.control = tag
        elif tag in {"th", "dt"}:
            opened.plain = tag
        self._stack.append(opened)
        self._top = opened

    def end(self, tag: str) -> None:
        """Take an end tag."""
        top = self._top
        if top.tag != tag:
            self._unmatched(tag)
            return
        if tag == "svg" and top.wants_title:
            self._report("<svg role=img> without a name")
        elif tag == "details" and not top.children:
            self._report("<details> without <summary>")
        elif tag == "dl" and top.last == "dt":
            self._report("<dt> without <dd>")
        elif tag == "tr":
            self._row(top)
        self._stack.pop()
        self._top = self._stack[-1]

    def start_and_end(self, tag: str, found: Mapping[str, str], place: tuple[int, int]) -> None:
        """Take a tag that ends with a slash: in HTML that closes nothing."""
        closes = self._top.svg
        self.start(tag, found, place)
        if closes:
            self.end(tag)
        elif tag not in VOID:
            self._report(f"<{tag}/> does not close itself")

    def words(self, text: str) -> None:
        """Take words between tags."""
        if self._top.tag in WORDLESS and not text.isspace():
            where = f"in <{self._top.tag}>" if self._top.tag else "outside <html>"
            self._report(f"words may not stand {where}")

    def finish(self) -> None:
        """Take the end of the page."""
        for opened in self._stack[1:]:
            self._report(f"<{opened.tag}> ({_where(opened)}) is not closed")
        for tag in ONCE:
            if tag not in self._seen:
                self._report(f"there is no <{tag}>")

    def _in_svg(self, tag: str, parent: _Open) -> None:
        if tag not in SVG:
            self._report(f"<{tag}> is no element of an <svg>")
        elif tag == "title":
            parent.wants_title = False
            parent.named |= parent.tag == "svg"
        elif tag == "image" and not parent.named:
            self._report("<image> in an <svg> without role=img and a name")

    def _drawing(self, found: Mapping[str, str], opened: _Open) -> None:
        opened.svg = True
        if found.get("role") == "img":
            opened.named = bool((found.get("aria-label") or found.get("aria-labelledby") or "").strip())
            opened.wants_title = not opened.named
        elif found.get("aria-hidden") != "true":
            self._report("<svg> is neither role=img with a name nor aria-hidden")

    def _in_html(self, tag: str, found: Mapping[str, str], parent: _Open) -> None:
        where = parent.tag
        if tag not in HTML:
            self._report(f"<{tag}> is no element of a report")
            return
        parents, children = PARENTS.get(tag), CHILDREN.get(where)
        if (parents is not None and where not in parents) or (children is not None and tag not in children):
            self._report(f"<{tag}> may not stand in <{where}>" if where else f"<{tag}> stands outside <html>")
        elif parent.line and tag not in PHRASING and not (where == "summary" and tag in HEADINGS):
            self._report(f"<{tag}> may not stand in <{where}>: no block within a line")
        elif parent.control and (tag in CONTROLS or "tabindex" in found):
            self._report(f"<{tag}> may not stand in <{parent.control}>: no control within a control")
        elif parent.plain and tag in SECTIONS:
            self._report(f"<{tag}> may not stand in <{parent.plain}>: no heading there")
        if tag in SINGLE:
            if tag in self._seen:
                self._report(f"a second <{tag}>")
            self._seen.add(tag)
        if where == "tr":
            self._cell(found, parent)
        elif where in self._orders:
            self._orders[where](tag, parent)

    def _cell(self, found: Mapping[str, str], row: _Open) -> None:
        span = found.get("colspan", "1")
        row.cells += int(span) if span.isdecimal() else 1
        if "rowspan" in found:
            row.spans = True

    def _row(self, row: _Open) -> None:
        """Compare a row with the first of its table."""
        table = self._stack[-3] if len(self._stack) > 3 else row  # noqa: PLR2004 - page, table, body, row
        if table.tag != "table":
            return
        table.spans |= row.spans
        if not table.cells:
            table.cells = row.cells
        elif row.cells != table.cells and not table.spans:
            self._report(
                f"<tr> ({_where(row)}) has {row.cells} cells, the first row of its table {table.cells}"
            )

    def _in_details(self, tag: str, parent: _Open) -> None:
        if (tag == "summary") != (parent.children == 1):
            self._report("<summary> is not the first in <details>")

    def _in_table(self, tag: str, parent: _Open) -> None:
        if tag not in TABLE or not parent.last:
            return
        before, now = TABLE.index(parent.last), TABLE.index(tag)
        if now < before or (now == before and tag not in {"tbody", "colgroup"}):
            self._report(f"<{tag}> may not follow <{parent.last}>")

    def _in_figure(self, tag: str, parent: _Open) -> None:
        if tag == "figcaption" and parent.children > 1:
            parent.cells = parent.children  # it must be the last then
        elif parent.cells:
            self._report("<figcaption> is neither first nor last in <figure>")

    def _in_div(self, tag: str, parent: _Open) -> None:
        if (self._stack[-2].tag == "dl") != (tag in GROUP):
            self._report(f"<{tag}> may not stand in a <div> {'of' if tag not in GROUP else 'outside'} <dl>")
        elif tag == "dd" and not parent.last:
            self._report("<dd> without <dt>")

    def _in_dl(self, tag: str, parent: _Open) -> None:
        if tag == "dd" and parent.last not in GROUP:
            self._report("<dd> without <dt>")

    def _unmatched(self, tag: str) -> None:
        if any(opened.tag == tag for opened in self._stack):
            self._report(f"</{tag}> where <{self._top.tag}> ({_where(self._top)}) is not closed")
            while self._stack.pop().tag != tag:
                pass
            self._top = self._stack[-1]
        else:
            self._report(f"</{tag}> closes nothing")


def _where(opened: _Open) -> str:
    return f"line {opened.place[0]}, column {opened.place[1] + 1}"
