"""What CI servers are promised: XML that their schema takes, Markdown that their renderer shows as it is meant."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import xmlschema
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

import sample_results as samples
from checked import HERE, check, run, tap, with_outcomes
from featreport.judge.reports import junit, markdown
from featreport.judge.reports.markdown import escape
from featreport.results.schema import Results

SCHEMA = xmlschema.XMLSchema(Path(__file__).parent / "junit.xsd")
READER = MarkdownIt("commonmark").enable("table")
NASTY = "a|b `c` *d* _e_ [f](http://g) <img src=x onerror=y> & &lt; # ! ~~h~~ $i$ @j :k: \\ \x00\x1b\ud800 www.l.org"


def mixed(name: str = "layer") -> Results:
    """Return results in which checks passed, warned, failed, were skipped and could not be compared."""
    rules = [
        check(runs=("net/before", "net/now", "net/broken"), max_increase=0),
        replace(check("activations.dead_fraction", level="warn", max=0.1), place="checks[1]"),
        replace(check("activations.effective_rank", min=1), place="checks[2]"),
        replace(check(max=9), place="checks[3]"),
        replace(check(runs=("net/other",), max_increase=0), place="checks[4]"),
        replace(check(runs=("net/gone",), max=0), place="checks[5]"),
    ]
    other = run("net/other", tap(name)).model_copy(update={"transform": name})
    broken = samples.failed("net/broken", f"{name} is no checkpoint")
    runs = [run("net/before", tap(name)), run("net/now", tap(name, [1, 2])), other, broken]
    return with_outcomes(rules, *runs, baseline=HERE)


FAILED = mixed().checks[1]


def cases(results: Results, fail_on: str = "error") -> dict[str, ET.Element]:
    root = ET.fromstring(junit(results, fail_on))
    return {f"{one.get('classname')} {one.get('name').split()[0]}": one for one in root.iter("testcase")}


@pytest.mark.parametrize("name", ["layer", NASTY, samples.HOSTILE, "\x00", "]]>", "𝔏 ayer\u202e\n\t"])
def test_the_xml_keeps_its_schema_whatever_the_names(name):
    SCHEMA.validate(junit(mixed(name)))
    ET.fromstring(junit(mixed(name), "warn"))


@given(st.text())
def test_no_text_breaks_the_xml(name):
    item = FAILED.items[0].model_copy(update={"layer": name})
    outcome = FAILED.model_copy(update={"items": [item], "run": name, "layers": name})
    SCHEMA.validate(junit(samples.results([], title=name, checks=[outcome])))


def test_results_without_checks_and_without_runs_are_valid_too():
    SCHEMA.validate(junit(samples.results([])))
    SCHEMA.validate(junit(samples.few()))


def test_each_run_is_a_suite_and_each_check_a_case():
    root = ET.fromstring(junit(mixed()))
    assert [suite.get("name") for suite in root] == [
        "net/before", "net/now", "net/other", "net/broken", "checks without a run",
    ]  # fmt: skip
    for element in (root, *root):
        counted = [len(list(element.iter(tag))) for tag in ("testcase", "failure", "error")]
        assert [int(element.get(key)) for key in ("tests", "failures", "errors")] == counted
    names = [(one.get("classname"), one.get("name")) for one in root.iter("testcase")]
    assert len(set(names)) == len(names)


def test_what_failed_what_was_skipped_and_what_warned_is_told_apart():
    found = cases(mixed())
    failure = found["net/now checks[0]"].find("failure")
    assert failure.get("type") == "error"
    assert failure.text == "layer: 2, at most 0 (baseline 0); newly dead: channels 1, 2"
    assert failure.get("message") == failure.text
    assert found["net/now checks[1]"].find("system-out").text.startswith("warning: layer: 0.25, at most 0.1")
    assert "no activations.effective_rank" in found["net/now checks[2]"].find("skipped").get("message")
    assert list(found["net/now checks[3]"]) == []
    assert found["net/before checks[0]"].find("skipped").get("message") == "this run is the baseline"
    assert found["net/other checks[4]"].find("failure").get("type") == "not comparable"
    assert found["net/broken checks[0]"].find("skipped") is not None


def test_a_run_that_failed_is_an_error_and_never_silence():
    error = cases(mixed())["net/broken measured"].find("error")
    assert (error.get("type"), error.get("message")) == ("checkpoint", "layer is no checkpoint")
    assert "git lfs pull" in error.text


def test_warnings_fail_where_the_build_fails_on_them():
    assert cases(mixed(), "warn")["net/now checks[1]"].find("failure").get("type") == "warn"


def test_many_broken_numbers_are_counted_and_the_worst_is_in_the_headline():
    taps = [tap(f"l{i}", [0] * 1 if i else [0, 1]) for i in range(300)]
    case = cases(with_outcomes([check(max=0)], run("net/now", *taps)))["net/now checks[0]"]
    assert (
        case.find("failure").get("message").startswith("300 of 300 numbers out of limits; the worst: l0: 2")
    )
    assert case.find("failure").text.splitlines()[-1] == "and 100 more"


def test_the_same_results_give_the_same_bytes():
    assert junit(mixed()) == junit(mixed())
    assert markdown(mixed()) == markdown(mixed())


def shown(text: str) -> list[str]:
    """Return every piece of text that a renderer shows, table cells and list items each as one."""
    return [token.content for token in READER.parse(text) if token.type == "inline"]


def plain(text: str) -> str:
    return "".join(child.content for token in READER.parseInline(text) for child in token.children)


@given(st.text(alphabet=st.characters(codec="utf-8")) | st.text("|`*_[]()<>&#!~$\\:.-+=1 w\n", max_size=30))
def test_escaped_text_is_read_as_its_own_letters(text):
    meant = " ".join(text.split())
    if not meant or not meant.isprintable():
        return
    for line in (f"- ❌ {escape(text)}", f"## {escape(text)}", f"x {escape(text)}"):
        tokens = [token for token in READER.parse(line) if token.type == "inline"]
        assert {child.type for token in tokens for child in token.children} <= {"text", "text_special"}
        said = "".join(child.content for token in tokens for child in token.children)
        assert said.removeprefix("❌ ").removeprefix("x ").strip() == meant.strip()


@pytest.mark.parametrize("name", ["layer", NASTY, samples.HOSTILE])
def test_the_markdown_is_a_heading_a_list_and_a_table_whatever_the_names(name):
    tokens = READER.parse(markdown(mixed(name)))
    kinds = {token.type for token in tokens}
    assert {"heading_open", "bullet_list_open", "table_open"} <= kinds
    assert not kinds & {"html_block", "code_block", "fence", "blockquote_open", "hr", "ordered_list_open"}
    inline = {child.type for token in tokens if token.children for child in token.children}
    assert inline <= {"text", "text_special", "strong_open", "strong_close"}
    rows = [token for token in tokens if token.type == "tr_open"]
    cells = [token for token in tokens if token.type in {"td_open", "th_open"}]
    assert len(cells) == 5 * len(rows)


def test_the_markdown_names_the_layer_the_channels_and_what_was_skipped():
    text = plain(markdown(mixed()).replace("\n", " "))
    assert "net/now: activations.dead: layer: 2, at most 0 (baseline 0); newly dead: channels 1, 2" in text
    assert "SKIPPED: this run is the baseline" in text
    assert "2 of 8 checks failed, 1 warned, 4 were skipped." in text
    assert "net/broken: layer is no checkpoint" in text


def test_the_markdown_of_many_findings_stays_small():
    taps = [tap("a" * 500 + str(i), [1]) for i in range(500)]
    rules = [replace(check(max=0), place=f"checks[{i}]") for i in range(3)]
    text = markdown(with_outcomes(rules, run("net/now", *taps)))
    assert len(text.encode()) < 200_000
    assert "1,300 more in the report" in text


def test_newly_dead_channels_are_named_in_xml_and_markdown() -> None:
    rules = [check("newly_dead_channels", max=0), check("revived_channels", max=0, scope="run")]
    runs = [run("net/before", tap("relu", [0])), run("net/now", tap("relu", [1, 2]))]
    results = with_outcomes(rules, *runs, baseline=HERE)
    text = junit(results)
    SCHEMA.validate(text)
    case, other = ET.fromstring(text).findall(".//testcase[failure]")
    assert case.get("name") == "checks[0] newly_dead_channels since net/before at most 0"
    assert case.findtext("failure") == "relu: 2, at most 0; newly dead: channels 1, 2"
    assert other.get("name") == ("checks[0] revived_channels since net/before at most 0, summed over layers")
    assert other.findtext("failure") == "1, at most 0; in relu (channel 0)"
    page = plain(markdown(results).replace("\n", " "))
    assert "net/now: newly_dead_channels: relu: 2, at most 0; newly dead: channels 1, 2" in page
    assert "2 of 2 checks failed." in page
    unknown = markdown(with_outcomes(rules[:1], runs[1]))
    assert "SKIPPED: not comparable: there is no baseline" in plain(unknown.replace("\n", " "))
