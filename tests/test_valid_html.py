"""The page is valid HTML: the audit says each kind of violation with its place, and a real HTML5 parser finds none."""

from __future__ import annotations

import html5lib
import pytest

import sample_results as samples
from featreport.errors import OutputError
from featreport.report import render
from featreport.report.audit import audit

PNG = "data:image/png;base64,iVBORw0KGgo="
PAGES = {
    "sample": samples.sample,
    "few": samples.few,
    "empty": samples.empty,
    "no runs": lambda: samples.results([]),
    "all failed": lambda: samples.results([samples.failed(f"net/{i}") for i in range(3)]),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_real_parser_finds_no_error(name):
    parser = html5lib.HTMLParser(strict=True)  # raises at the first
    assert parser.parse(render(PAGES[name]())) is not None


@pytest.mark.parametrize(
    "broken",
    [
        "<p><b></p></b>",
        "<table><p></p></table>",
        "</br>",
        "<p>&nbsp</p>",
        "<div/>x",
        "<a href='x' href='y'></a>",
    ],
)
def test_a_real_parser_finds_what_is_planted(broken):
    text = render(samples.results([])).replace("</main>", f"{broken}</main>")
    with pytest.raises(html5lib.html5parser.ParseError):
        html5lib.HTMLParser(strict=True).parse(text)


PLANTED = {  # what is put before </main> → what the audit says, from the line and column where that stands
    # nesting and closing
    "<p><b>x</p>": ": </p> where <b> (line 2, column 4) is not closed",
    "<div>": "</main> where <div> (line 2, column 1) is not closed",
    "</section>": "</section> closes nothing",
    "<section/>": "<section/> does not close itself",
    "<svg role='img' aria-label='x'><g></svg>": "</svg> where <g>",
    "<![CDATA[x]]>": "is not allowed",
    "<?php x?>": "is not allowed",
    # what may stand where
    "<blink></blink>": "<blink> is no element of a report",
    "<li>x</li>": "<li> may not stand in <main>",
    "<ul><p>x</p></ul>": "<p> may not stand in <ul>",
    "<ul>x<li>x</li></ul>": "words may not stand in <ul>",
    "<tr></tr>": "<tr> may not stand in <main>",
    "<table><tr></tr></table>": "<tr> may not stand in <table>",
    "<table><tbody><td>x</td></tbody></table>": "<td> may not stand in <tbody>",
    "<table><tbody></tbody><thead></thead></table>": "<thead> may not follow <tbody>",
    "<table><thead></thead><thead></thead></table>": "<thead> may not follow <thead>",
    "<table><tbody><tr>x</tr></tbody></table>": "words may not stand in <tr>",
    "<dt>x</dt>": "<dt> may not stand in <main>",
    "<div><dd>x</dd></div>": "<dd> may not stand in a <div> outside <dl>",
    "<dl><div><p>x</p></div></dl>": "<p> may not stand in a <div> of <dl>",
    "<dl><dd>x</dd></dl>": "<dd> without <dt>",
    "<dl><dt>x</dt></dl>": "<dt> without <dd>",
    "<p><ul><li>x</li></ul></p>": "<ul> may not stand in <p>: no block within a line",
    "<span><b><div>x</div></b></span>": "<div> may not stand in <b>: no block within a line",
    "<p><details><summary>x</summary></details></p>": "<details> may not stand in <p>",
    "<figcaption>x</figcaption>": "<figcaption> may not stand in <main>",
    "<figure><p>a</p><figcaption>x</figcaption><p>b</p></figure>": "<figcaption> is neither first nor last",
    "<summary>x</summary>": "<summary> may not stand in <main>",
    "<details>x</details>": "<details> without <summary>",
    "<details><p>x</p><summary>x</summary></details>": "<summary> is not the first in <details>",
    "<details><summary>x</summary><summary>y</summary></details>": "<summary> is not the first in <details>",
    "<a href='#main'><b><button type='button'>x</button></b></a>": "<button> may not stand in <a>",
    "<button type='button'><a href='#main'>x</a></button>": "<a> may not stand in <button>",
    "<a href='#main'><span tabindex='0'>x</span></a>": "<span> may not stand in <a>",
    "<table><tbody><tr><th><h4>x</h4></th></tr></tbody></table>": "<h4> may not stand in <th>",
    "<main></main>": "<main> may not stand in <main>",
    "<style></style>": "<style> may not stand in <main>",
    "<title>x</title>": "<title> may not stand in <main>",
    # tables
    "<table><tbody><tr><td>a</td><td>b</td></tr><tr><td>a</td></tr></tbody></table>": "has 1 cells, the first row",
    # attributes
    "<p class='a' class='b'>x</p>": "<p> has an attribute twice",
    "<p id='a b'>x</p>": "'a b' is no id",
    "<p id=''>x</p>": "'' is no id",
    "<img alt=''>": "<img> without src",
    "<a>x</a>": "<a> without href",
    "<button>x</button>": "<button> without type",
    "<p aria-controls='nowhere'>x</p>": "#nowhere is nowhere on the page",
    # drawings
    "<svg><path d=''/></svg>": "<svg> is neither role=img with a name nor aria-hidden",
    "<svg role='img' aria-label=' '></svg>": "<svg role=img> without a name",
    f"<svg aria-hidden='true'><image href='{PNG}'/></svg>": "<image> in an <svg> without role=img and a name",
    "<svg aria-hidden='true'><div></div></svg>": "<div> is no element of an <svg>",
    "<svg role='img' aria-label='x'><image/></svg>": "<image> without href",
    # data: addresses
    "<a href='data:text/csv,x'>x</a>": "is neither a picture nor a download",
    "<a download='x' href='data:text/html,x'>x</a>": "is neither a picture nor a download",
    "<img alt='' src='data:text/csv,x'>": "is neither a picture nor a download",
    "<iframe srcdoc='x'></iframe>": "not allowed",
}


@pytest.mark.parametrize("planted", PLANTED)
def test_the_audit_names_each_violation_and_its_place(planted):
    before, _, after = render(samples.results([])).partition("</main>")
    text = f"{before}\n{planted}\n</main>{after}"
    line = before.count("\n") + 2
    said = PLANTED[planted].replace("line 2", f"line {line}")
    with pytest.raises(OutputError) as caught:
        audit(text, 10**6)
    message = str(caught.value)
    assert said in message
    place = f"line {line + 1}, column 1" if said.startswith("</main>") else f"line {line}, column "
    assert place in message


HEAD = {
    "no doctype": ("<!doctype html>", "", "there is no <!doctype html>"),
    "another doctype": ("<!doctype html>", "<!doctype html public 'x'>", "there is no <!doctype html>"),
    "no language": ('<html lang="en">', "<html>", "<html> without lang"),
    "no title": ("<title>Which channels are dead?</title>", "", "there is no <title>"),
    "two titles": ("</title>", "</title><title>x</title>", "a second <title>"),
    "words in head": ("<head>\n", "<head>\nx", "words may not stand in <head>"),
    "a block in head": ("</title>", "</title><p>x</p>", "<p> may not stand in <head>"),
    "words outside": ("</html>", "</html>x", "words may not stand outside <html>"),
    "not closed": ("</body>\n</html>", "</body>\n", "<html> (line"),
}


@pytest.mark.parametrize("case", HEAD)
def test_the_audit_reads_the_frame_of_the_page(case):
    old, new, message = HEAD[case]
    text = render(samples.results([]))
    assert old in text
    with pytest.raises(OutputError) as caught:
        audit(text.replace(old, new, 1), 10**6)
    assert message in str(caught.value)


SOUND = (
    "<ul><li><p>a</p><ul><li>b</li></ul></li></ul>",
    "<dl><dt>a</dt><dd><p>b</p></dd><div><dt>c</dt><dt>d</dt><dd>e</dd></div></dl>",
    "<table><caption>x</caption><colgroup><col><col></colgroup><thead><tr><th colspan='2'>a</th></tr></thead></table>",
    "<table><tbody><tr><td>a</td><td><ul><li>b</li></ul></td></tr></tbody><tbody></tbody></table>",
    "<table><tbody><tr><td rowspan='2'>a</td><td>b</td></tr><tr><td>b</td></tr></tbody></table>",
    "<details><summary><h3>a</h3><span>b</span></summary><div><p>c</p></div></details>",
    "<figure><p>a</p><figcaption>b</figcaption></figure><figure><figcaption>b</figcaption><p>a</p></figure>",
    "<a href='#main'><div>a block in a link</div></a>",
    "<svg role='img'><title>a</title><image href='" + PNG + "'/></svg>",
    "<svg aria-hidden='true'><symbol id='s'><image href='" + PNG + "'/></symbol><use href='#s'/></svg>",
    "<a download='x.csv' href='data:text/csv,a'>x</a><a download='x.gz' href='data:application/gzip;base64,AA=='>y</a>",
    "<label><input type='checkbox'> on</label><br><input type='radio' name='a' aria-label='b'>",
    "<p>words &amp; &lt;b&gt;<wbr>words</p><pre>\n a\n</pre>",
)


@pytest.mark.parametrize("sound", SOUND)
def test_the_audit_lets_valid_html_pass_as_a_real_parser_does(sound):
    text = render(samples.results([])).replace("</main>", f"{sound}</main>")
    audit(text, 10**6)
    html5lib.HTMLParser(strict=True).parse(text)
