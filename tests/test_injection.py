"""Sixty hostile texts in every place that takes a text: none runs, each reads as it was written."""

from __future__ import annotations

import base64
import csv
import functools
import gzip
import io
import types
import typing
import urllib.parse
from collections import Counter
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
from pydantic import BaseModel

import sample_results as samples
from featreport.errors import OutputError
from featreport.judge.checks import words
from featreport.report import formats, render
from featreport.results import codec
from featreport.results.schema import History, PastBuild, PastRun, Results, Run, RunFailure

PAYLOADS = (
    # elements that run
    "<script>window.__pwned=1</script>",
    "<ScRiPt/x>window.__pwned=1</sCrIpT >",
    "<script src=//evil.invalid/x.js></script>",
    "<script src=data:text/javascript,window.__pwned=1></script>",
    "<script type=module>import('//evil.invalid/x.js')</script>",
    "<svg onload=window.__pwned=1>",
    "<svg><script>window.__pwned=1</script></svg>",
    "<svg><animate onbegin=window.__pwned=1 attributeName=x dur=1s>",
    "<svg><use href='data:image/svg+xml,<svg id=x xmlns=\"http://www.w3.org/2000/svg\" onload=alert(1)/>#x'/></svg>",
    "<img src=x onerror=window.__pwned=1>",
    "<img/src=`x`/onerror=window.__pwned=1//",
    "<img src='data:image/png;base64,AA' onerror=\"window.__pwned=1\">",
    "<body onload=window.__pwned=1>",
    "<input autofocus onfocus=window.__pwned=1>",
    "<details open ontoggle=window.__pwned=1>",
    "<video><source onerror=window.__pwned=1></video>",
    "<marquee onstart=window.__pwned=1>",
    "<style onload=window.__pwned=1>@import '//evil.invalid/x.css';</style>",
    "<iframe srcdoc='<script>parent.__pwned=1</script>'></iframe>",
    "<iframe src=javascript:parent.__pwned=1></iframe>",
    "<object data=javascript:window.__pwned=1></object>",
    "<embed src=//evil.invalid/x.swf>",
    "<base href=//evil.invalid/>",
    "<link rel=stylesheet href=//evil.invalid/x.css>",
    "<meta http-equiv=refresh content='0;url=//evil.invalid'>",
    "<form action=javascript:window.__pwned=1><button>x</button></form>",
    "<math><mtext><table><mglyph><style><img src=x onerror=window.__pwned=1>",
    "<noscript><p title='</noscript><img src=x onerror=window.__pwned=1>'>",
    "<template><script>window.__pwned=1</script></template>",
    # out of the place they stand in
    '"><script>window.__pwned=1</script>',
    "'><img src=x onerror=window.__pwned=1>",
    '" onmouseover="window.__pwned=1" autofocus onfocus="window.__pwned=1" x="',
    "' onclick='window.__pwned=1' style='position:fixed;inset:0",
    "` onpointerover=window.__pwned=1 `",
    "</script><script>window.__pwned=1</script>",
    "</script >\n<img src=x onerror=window.__pwned=1>",
    "</style><style>*{display:none}</style>",
    "</title><script>window.__pwned=1</script>",
    "</textarea></pre></td></tr></table><script>window.__pwned=1</script>",
    "</svg><script>window.__pwned=1</script>",
    "</a></summary></details></section></main><p id=main>",
    "<!-- <script>window.__pwned=1</script>",
    "--><img src=x onerror=window.__pwned=1><!--",
    "<!--<script>",
    "<![CDATA[<script>window.__pwned=1</script>]]>",
    "<?xml version='1.0'?><x:script xmlns:x='http://www.w3.org/1999/xhtml'>window.__pwned=1</x:script>",
    # addresses and styles
    "javascript:window.__pwned=1",
    "java\tscript:window.__pwned=1//%0Awindow.__pwned=1",
    "data:text/html,<script>parent.__pwned=1</script>",
    '#"><img src=x onerror=window.__pwned=1>',
    "x{background:url(//evil.invalid/x.png)}",
    "expression(window.__pwned=1);behavior:url(#x);-moz-binding:url(//evil.invalid/x)",
    # other languages
    "{{ 7 * 7 }}{{ ''.__class__.__mro__ }}",
    "{% include '/etc/hostname' %}{# gone #}{% raw %}",
    "${window.__pwned=1}<%= 7 * 7 %>#{7 * 7}\\u003cscript\\u003e",
    "$\\frac{1}{0}$ and $x_{",
    # letters
    "&lt;script&gt; &amp;amp; &#60;b&#62; &notanentity; &copy &#0; &#x110000;",
    "\u202egnp.\u2066exe\u2069 \u200b\u200d\ufeff\u2028\u2029\u00ad e\u0301 \U0001f9e0 \u0628\u05d0",
    "\x00\x01\x08\x0b\x0c\x1b\x7f\x85 \r\n \ufffe \uffff \ufdd0",
    "w" * 3000 + "<script>window.__pwned=1</script>" + "_. " * 300,
)
SURROGATES = ("\ud800<script>window.__pwned=1</script>\udfff", "photo_\udce4\udcff.png\udc00")
PLAIN = "Plain words"  # that no id and no file name holds as they are
NOT_SHOWN = {  # texts that decide something or are printed elsewhere, and are not words of the page
    "definitions[].metric",
    "page.templates",
    "page.sections[]",  # the names of plug-ins, told by their sections
    "checks[].limits key",
    "run.weights[].digest",
    "run.weights[].sketch",
    "run.activations[].dormant key",
    "run.images.files[].sha256",
    "run.maps[].layer",
    "run.maps[].output",
    "compared[].run",  # these are looked up, and not found
    "compared[].within",
    "compared[].weights_reason",  # that there is one
    "history.builds[].runs[].id",
    "history.builds[].runs[].digest",
}
BATCH = 10
ONE_LINE = {"checks[].layers", "checks[].reason", "checks[].baseline"} | {
    f"checks[].items[].{field}" for field in ("layer", "output", "names[]")
}
SHORTENED = dict.fromkeys(ONE_LINE, words.LONGEST) | {
    "run.faithfulness.changed[]": 60,
    "run.faithfulness.differs[]": 80,
}  # to so many letters, in sentences
CONTENT = """() => {
  const words = document.createTreeWalker(document, NodeFilter.SHOW_TEXT);
  const parts = [], files = [], attributes = [], tags = [], faults = [];
  while (words.nextNode())
    if (!["SCRIPT", "STYLE"].includes(words.currentNode.parentElement.tagName)) parts.push(words.currentNode.data);
  for (const element of document.querySelectorAll("*")) {
    if (element.tagName !== "WBR") tags.push(element.tagName);
    for (const {name, value} of element.attributes) {
      (/^data:(text\\/csv|application\\/gzip)/.test(value) ? files : attributes).push(value);
      const address = ["href", "src", "xlink:href", "action", "data", "srcset"].includes(name);
      if (name.startsWith("on") || name === "style" || (address && !/^(#|data:)/.test(value)))
        faults.push(`${element.tagName} ${name}=${value}`);
    }
  }
  if (window.__pwned !== undefined) faults.push("a payload ran");
  return {words: parts.join(""), attributes: attributes.join("\\u0001"), files, tags, faults};
}"""
Say = Callable[[str], str]
DOT = "dot"  # the key of a picture that is always there
PICTURES = {"picture", "contrast", "input", "logo", "pictures"}  # embedded pictures and their keys
KEPT = PICTURES | {"status", "error"}  # and what makes a run a failed one


def is_text(annotation: Any) -> bool:
    """Whether any text may stand there: `str` or `str | None`, not one of a few words."""
    return annotation is str or (
        typing.get_origin(annotation) in {typing.Union, types.UnionType}
        and str in typing.get_args(annotation)
    )


def choices(annotation: Any) -> list[Any]:
    """The types that a value may have, without None."""
    if typing.get_origin(annotation) in {typing.Union, types.UnionType}:
        return [one for one in typing.get_args(annotation) if one is not types.NoneType]
    return [annotation]


def holds_text(annotation: Any) -> bool:
    """Whether some text may stand there or deeper."""
    if is_text(annotation):
        return True
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return any(holds_text(field.annotation) for field in annotation.model_fields.values())
    return any(holds_text(one) for one in typing.get_args(annotation) if one is not annotation)


def made(annotation: Any, place: str, say: Say) -> Any:
    """Return a value of a type with hostile texts wherever it holds one."""
    kind = choices(annotation)[0]
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind is str:
        return say(place)
    if origin is Literal:
        return inner[0]
    if origin is typing.Annotated:
        return made(inner[0], place, say)
    if origin is list:
        item = made(inner[0], f"{place}[]", say)
        return [item, item] if inner[0] is int else [item]  # a size is two numbers
    if origin is dict:
        return {say(f"{place} key"): made(inner[1], f"{place} value", say)}
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        fields = {
            key: DOT if key in PICTURES else made(field.annotation, f"{place}.{key}", say)
            for key, field in kind.model_fields.items()
        }
        return kind.model_construct(**fields)
    return {bool: False, int: 1, float: 0.5}[kind]


def planted(value: Any, annotation: Any, place: str, say: Say, *, more: bool = True) -> Any:
    """Return a value with every text in it replaced, and with `more` with texts where there could be some."""
    if isinstance(value, BaseModel):
        fields = {key: field for key, field in type(value).model_fields.items() if key not in KEPT}
        return value.model_copy(
            update={
                key: planted(getattr(value, key), field.annotation, f"{place}.{key}", say, more=more)
                for key, field in fields.items()
                if more or getattr(value, key)
            }
        )
    if not holds_text(annotation):
        return value
    if value is None or value in ([], {}):
        return made(annotation, place, say)
    kind = choices(annotation)[0]
    if isinstance(value, str):
        return say(place) if is_text(annotation) else value
    if isinstance(value, list):
        return [planted(item, typing.get_args(kind)[0], f"{place}[]", say) for item in value]
    if isinstance(value, dict):
        return {
            say(f"{place} key"): planted(item, typing.get_args(kind)[1], f"{place} value", say)
            for item in value.values()
        }
    return value


class Marks:
    """Hands out texts that hold a payload between two marks of their own, and knows where each was put."""

    def __init__(self, payload: str, number: int) -> None:
        self._payload, self._number = payload, number
        self.places: dict[str, str] = {}  # mark → place in the results

    def __call__(self, place: str) -> str:
        mark = f"q{self._number}.{len(self.places)}q"
        self.places[mark] = place
        return f"{mark}{self._payload}z{mark}"

    def read(self) -> dict[str, str]:
        """Return each mark with what a reader of the page should find there."""
        return self._wrapped(formats.clean(self._payload))

    def raw(self) -> dict[str, str]:
        """Return the same with every letter, as a CSV file may hold it."""
        return self._wrapped(self._payload)

    def _wrapped(self, text: str) -> dict[str, str]:
        text = text.replace("\r\n", "\n").replace("\r", "\n")  # a browser reads line ends so
        return {mark: f"{mark}{text}z{mark}" for mark in self.places}


def hostile(payloads: tuple[str, ...]) -> tuple[Results, list[Marks]]:
    """Return results with two runs for each payload, one of them failed, and a payload in every text."""
    pictures = {DOT: samples.picture(np.zeros((2, 2), np.uint8))[1]}
    runs, marks = [], []
    for number, payload in enumerate(payloads):
        say = Marks(payload, number)
        marks.append(say)
        base = samples.run(
            f"net/{number}", pictures, {0: [1]}, layers=1, seed=1,
            load=samples.load(), unmeasured=[samples.Unmeasured(layer="a", reason="b")],
        )  # fmt: skip
        weights = [
            base.weights[0].model_copy(update={"dead": [2], "looks_untrained": True}),
            *base.weights[1:],
        ]
        base = base.model_copy(update={"weights": weights})
        broken = planted(samples.failed(), Run, "failed run", say, more=False)
        error = planted(broken.error, RunFailure, "failed run.error", say)
        runs += [planted(base, Run, "run", say), broken.model_copy(update={"error": error})]
    together = Marks("".join(payloads), len(payloads))
    whole = samples.results([], pictures)
    fields = {
        key: planted(getattr(whole, key), field.annotation, key, together)
        for key, field in Results.model_fields.items()
        if key not in {"runs", "pictures", "format", "version"}
    }
    page = fields["page"].model_copy(update={"sections": [one.name for one in fields["extras"]]})
    failing = {"verdict": "failed", "severity": "error", "limits": {"max_increase": 1.0}}
    checks = [
        outcome.model_copy(
            update={**failing, "items": [item.model_copy(update={"channels": []}) for item in outcome.items]}
        )
        for outcome in fields["checks"]
    ]
    before = samples.run("net/before", {}, {0: [1]}, layers=1, seed=2, maps=[], kernels=None)
    compared = [
        one.model_copy(update={"run": runs[0].id, "within": None, "before": before, "weights_reason": None})
        for one in fields["compared"]
    ]
    past = [PastRun(id=runs[0].id, status="ok", channels=8, dead_channels=1, dead_fraction=0.125)]
    history = History(count=1, builds=[PastBuild(number=1, runs=past)])
    alike = [
        one.model_copy(update={"values": values})
        for one in fields["similarities"]
        for values in ([[0.5]], [])
    ]
    told = {
        **fields,
        "similarities": alike,
        "page": page,
        "checks": checks,
        "runs": runs,
        "compared": compared,
        "history": history,
        "max_bytes": 10**9,
    }
    return whole.model_copy(update=told), [*marks, together]


def cells_of(files: list[str]) -> str:
    """Return every cell of the data: links of tables."""
    cells = []
    for address in files:
        kind, _, content = address.partition(",")
        data = (
            base64.b64decode(content) if kind.endswith(";base64") else urllib.parse.unquote_to_bytes(content)
        )
        data = gzip.decompress(data) if "gzip" in kind else data
        for row in csv.reader(io.StringIO(data.decode("utf-8"), newline="")):
            cells += [cell.replace("\r\n", "\n").replace("\r", "\n") for cell in row]
    return "\x01".join(cells)


@functools.cache
def written(payloads: tuple[str, ...]) -> tuple[Results, list[Marks], str]:
    """Return hostile results, where each text was put, and their page."""
    results, marks = hostile(payloads)
    return results, marks, render(results)


BATCHES = [PAYLOADS[start : start + BATCH] for start in range(0, len(PAYLOADS), BATCH)]


@pytest.fixture(scope="module")
def harmless(browser, saved) -> Callable[[int], dict[str, Any]]:
    """Says what a page of so many harmless texts shows, and of which elements it is made."""

    @functools.cache
    def content(count: int) -> dict[str, Any]:
        with browser.new_page() as page:
            page.goto(saved(render(hostile((PLAIN,) * count)[0])))
            return page.evaluate(CONTENT)

    return content


@pytest.mark.browser
@pytest.mark.parametrize("payloads", [*BATCHES, SURROGATES], ids=lambda payloads: ascii(payloads[0][:24]))
def test_no_text_runs_and_each_reads_as_it_was_written(browser, opens, saved, harmless, payloads):
    plain = harmless(len(payloads))
    _, marks, text = written(payloads)
    address = saved(text)
    page = opens(browser, address)
    found = page.evaluate(CONTENT)
    assert found["faults"] == []
    assert page.record.dialogs == []
    assert page.record.messages == []
    assert [url for url in page.record.requests if not url.startswith("data:")] == [address]
    assert Counter(found["tags"]) == Counter(plain["tags"])
    found["cells"], plain["cells"] = cells_of(found["files"]), cells_of(plain["files"])
    for say in marks:
        for mark, whole in say.read().items():
            for kind in ("words", "attributes", "cells"):
                if f"{mark}{PLAIN}" in plain[kind]:  # the page shows this place
                    place = say.places[mark]
                    if place == "extras[].figures[].csv":
                        continue  # a whole file: its commas and quotes make cells
                    line = " ".join(whole.split()) if place in ONE_LINE else whole
                    text = formats.shorten(line, SHORTENED.get(place, len(line)))
                    as_written = text in found[kind] or (kind == "cells" and say.raw()[mark] in found[kind])
                    assert as_written, f"{place} does not stand as it was written"


def test_there_are_sixty_texts_and_they_stand_in_every_place_of_a_page(harmless):
    assert len(set(PAYLOADS)) >= 60
    _, marks = hostile((PLAIN,) * BATCH)
    content = harmless(BATCH)
    shown = content["words"] + content["attributes"] + cells_of(content["files"])
    seen = {say.places[mark] for say in marks for mark, text in say.read().items() if text in shown}
    unseen = {place for say in marks for place in say.places.values()} - seen
    unseen = {
        place for place in unseen if not place.startswith("compared[].before")
    }  # numbers, found by name
    assert sorted(unseen - NOT_SHOWN) == []
    assert len(seen) > 70


def test_what_the_page_carries_along_reads_back_as_it_was_written():
    for payloads in BATCHES:
        results, _, text = written(payloads)
        assert codec.decode(text, "page").runs == results.runs


@pytest.mark.parametrize(
    "payload", ["javascript:window.__pwned=1", "data:text/html,<script>1</script>", "//evil.invalid/x"]
)
def test_a_picture_that_is_none_stops_the_page(payload):
    pictures: dict[str, str] = {}
    run = samples.run("net/a", pictures, {}, layers=1)
    with pytest.raises(OutputError, match="breaks a promise: line"):
        render(samples.results([run], dict.fromkeys(pictures, payload)))


def test_empty_texts_everywhere_leave_the_page_whole():
    results, _ = hostile(("",))
    nothing = [planted(run, Run, "run", lambda _: "", more=False) for run in results.runs]
    nothing = [run.model_copy(update={"id": str(index)}) for index, run in enumerate(nothing)]
    error = RunFailure(stage="forward", message="", hint="")
    assert render(
        results.model_copy(update={"runs": [*nothing, samples.failed().model_copy(update={"error": error})]})
    )


@pytest.mark.browser
@pytest.mark.parametrize(
    ("planted_html", "fault"),
    [
        ("<script>window.__pwned = 1</script>", "a payload ran"),
        ("<p onclick=x()>x</p>", "P onclick"),
        ("<a href=javascript:x()>x</a>", "A href=javascript"),
    ],
)
def test_the_check_finds_what_is_planted(browser, opens, saved, planted_html, fault):
    found = opens(browser, saved(f"<!doctype html><main>{planted_html}</main>")).evaluate(CONTENT)
    assert any(said.startswith(fault) for said in found["faults"])
