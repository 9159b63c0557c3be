"""The last look at the finished text: what the page promises, checked on the page itself."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from html.parser import HTMLParser

from featreport.errors import OutputError
from featreport.report import formats
from featreport.report.validity import Nesting

_LINKS = {
    "src",
    "href",
    "xlink:href",
    "action",
    "formaction",
    "poster",
    "srcset",
    "data",
    "background",
    "ping",
    "cite",
    "manifest",
}
_PAINT = {"fill", "stroke", "filter", "mask", "clip-path", "marker-start", "marker-mid", "marker-end"}
_IDS = {
    "aria-labelledby",
    "aria-describedby",
    "aria-controls",
    "aria-owns",
    "aria-details",
    "for",
    "headers",
    "list",
}
_WATCHED = _LINKS | _PAINT | _IDS | {"id", "style", "srcdoc"}
_FORBIDDEN = {
    "link",
    "iframe",
    "frame",
    "object",
    "embed",
    "base",
    "form",
    "foreignobject",
    "audio",
    "video",
    "applet",
}
_SPECIAL = _FORBIDDEN | {"html", "head", "meta", "img", "style", "script"}
_URL = re.compile(r"url\(\s*['\"]?([^'\")]*)", re.IGNORECASE)
_PICTURE = "data:image/"
_DOWNLOADS = ("data:text/csv", "data:text/plain", "data:application/json", "data:application/gzip", _PICTURE)
_SAID = 3  # problems that the message names
_NOTHING: Mapping[str, str] = {}


def audit(text: str, max_bytes: int) -> None:
    """Check the finished page.

    Raises:
        OutputError: the page loads something, holds an id twice, a dead link, an image without words, an inline
            style or handler, a policy that is not first or does not fit, HTML that is not valid, or is larger than
            `max_bytes`.
    """
    reader = _Reader()
    reader.feed(text)
    reader.close()
    reader.finish()
    size = len(text.encode("utf-8"))
    if size > max_bytes:
        reader.problems.append(
            f"the page is {formats.size(size)}, more than report.max_bytes ({formats.size(max_bytes)}); "
            f"{formats.size(reader.embedded)} of it are pictures: lower report.images or report.channels, "
            "name fewer layers, or raise report.max_bytes"
        )
    if reader.problems:
        said, rest = "; ".join(reader.problems[:_SAID]), len(reader.problems) - _SAID
        raise OutputError(
            f"the finished page breaks a promise: {said}{f' (and {rest} more)' if rest > 0 else ''}"
        )


class _Reader(HTMLParser):
    """Collects ids, links, hashes and every problem with its line."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.problems: list[str] = []
        self.embedded = 0
        self._ids: set[str] = set()
        self._fragments: dict[str, str] = {}
        self._policy: str | None = None
        self._doctype = False
        self._first_in_head = False
        self._collecting: str | None = None
        self._text: list[str] = []
        self._nesting = Nesting(self._report)

    def handle_decl(self, decl: str) -> None:
        self._doctype = decl.lower() == "doctype html"

    def unknown_decl(self, data: str) -> None:
        self._report(f"<![{formats.shorten(data, 20)}]> is not allowed")

    def handle_pi(self, data: str) -> None:
        self._report(f"<?{formats.shorten(data, 20)}> is not allowed")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = self._attributes(tag, attrs) if attrs else _NOTHING
        self._element(tag, found)
        self._nesting.start(tag, found, self.getpos())

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = self._attributes(tag, attrs) if attrs else _NOTHING
        self._element(tag, found)
        self._nesting.start_and_end(tag, found, self.getpos())

    def _attributes(self, tag: str, attrs: list[tuple[str, str | None]]) -> Mapping[str, str]:
        found = {key: value or "" for key, value in attrs}
        if len(found) < len(attrs):
            self._report(f"<{tag}> has an attribute twice")
        for key in found:
            if key in _WATCHED or key.startswith("on"):
                self._attribute(tag, key, found)
        return found

    def _element(self, tag: str, found: Mapping[str, str]) -> None:
        if self._first_in_head:
            self._first_in_head = False
            if found.get("http-equiv", "").lower() != "content-security-policy":
                self._report("the content security policy is not first in <head>")
            self._policy = found.get("content", "")
        if tag in _SPECIAL:
            self._special(tag, found)

    def _special(self, tag: str, found: Mapping[str, str]) -> None:
        """Look at an element of which a page makes promises of its own."""
        if tag == "html" and not self._doctype:
            self._report("there is no <!doctype html>")
        elif tag == "head":
            self._first_in_head = True
        elif tag in _FORBIDDEN:
            self._report(f"<{tag}> is not allowed")
        elif tag == "meta" and found.get("http-equiv", "").lower() == "refresh":
            self._report("<meta http-equiv=refresh> is not allowed")
        elif tag == "img" and "alt" not in found:
            self._report("<img> without alt")
        elif tag == "style" or (tag == "script" and found.get("type", "") != "application/json"):
            self._collecting, self._text = tag, []

    def _attribute(self, tag: str, key: str, found: Mapping[str, str]) -> None:
        value = found[key]
        if key == "id":
            if value in self._ids:
                self._report(f"id {value!r} stands twice")
            if value.split() != [value]:
                self._report(f"{value!r} is no id")
            self._ids.add(value)
        elif key in {"style", "srcdoc"} or key.startswith("on"):
            self._report(f"<{tag} {key}=…> is not allowed")
        elif key in _LINKS:
            self._link(tag, key, value, found)
        elif key in _PAINT:
            for target in _URL.findall(value):
                self._link(tag, key, target, found)
        else:
            for word in value.split():
                self._fragments.setdefault(word, self._place())

    def _link(self, tag: str, key: str, value: str, found: Mapping[str, str]) -> None:
        if value.startswith("#"):
            self._fragments.setdefault(value[1:], self._place())
        elif value.startswith(_PICTURE) and tag in {"img", "image"}:
            self.embedded += len(value)
        elif not value.startswith("data:"):
            self._report(f"<{tag} {key}={formats.shorten(value, 60)!r}> refers outside the page")
        elif tag != "a" or "download" not in found or not value.startswith(_DOWNLOADS):
            self._report(f"<{tag} {key}={formats.shorten(value, 60)!r}> is neither a picture nor a download")

    def handle_data(self, data: str) -> None:
        if self._collecting:
            self._text.append(data)
        else:
            self._nesting.words(data)

    def handle_endtag(self, tag: str) -> None:
        self._nesting.end(tag)
        if tag != self._collecting:
            return
        content = "".join(self._text)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        if f"{tag}-src 'sha256-{digest}'" not in (self._policy or ""):
            self._report(f"the policy does not admit this <{tag}> by its hash")
        if tag == "style":
            outside = [target for target in _URL.findall(content) if not target.startswith(("data:", "#"))]
            if outside or "@import" in content:
                self._report("the style refers outside the page")
        self._collecting = None

    def finish(self) -> None:
        """Check what only the whole page can tell."""
        self._nesting.finish()
        if self._policy is None:
            self._report("there is no content security policy")
        elif "default-src 'none'" not in self._policy or "unsafe" in self._policy:
            self._report("the content security policy is too wide")
        for fragment, place in self._fragments.items():
            if fragment not in self._ids:
                self.problems.append(f"{place}: #{fragment} is nowhere on the page")

    def _place(self) -> str:
        line, column = self.getpos()
        return f"line {line}, column {column + 1}"

    def _report(self, what: str) -> None:
        self.problems.append(f"{self._place()}: {what}")
