"""A history keeps each build's results: none is lost or believed damaged, trends and baselines are read from it."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import featreport
import sample_results as samples
from featreport import pipeline
from featreport.errors import ManifestError, OutputError
from featreport.report import render
from featreport.results import codec
from featreport.results import history as kept
from featreport.results.builds import best, digests_of, latest
from featreport.results.checks import CheckOutcome
from featreport.results.history import History
from featreport.results.schema import History as Told
from featreport.results.schema import PastBuild, PastRun, Results


def built(dead: int, run: str = "net/a", **more: Any) -> Results:
    """Results of one run of which `dead` of 8 channels are dead."""
    tap = samples.activation("relu", 8, 1, dead=list(range(dead)))
    plain = samples.run(run, {}, {}, layers=1, maps=[], kernels=None, activations=[tap], weights=[], **more)
    return samples.results([plain.model_copy(update={"summary": samples.summary([tap], [])})])


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def past(tmp_path: Path, said: list[str]) -> History:
    """A history of five builds, of which the second measured the same as the first and so is none."""
    history = History(tmp_path / "history", said.append)
    for dead in (3, 3, 1, 5, 1):
        history.add(built(dead))
    return history


def test_each_build_is_kept_once_under_its_number_and_reads_back(past: History) -> None:
    names = ["build-000001.json", "build-000002.json", "build-000003.json", "build-000004.json"]
    assert past.state() == names
    assert [build.run("net/a").dead_channels for build in past.builds] == [3, 1, 5, 1]
    read = past.load(past.builds[2])
    assert read.runs == built(5).runs
    assert read.history is None


def test_a_build_made_again_has_the_same_past(past: History) -> None:
    """So a build that was killed after it was added, and one repeated, give the page that they would have given."""
    before = past.before(built(2))
    assert [build.number for build in before] == [1, 2, 3, 4]
    past.add(built(2))
    assert past.before(built(2)) == before
    past.add(built(2))
    assert len(past.state()) == 5


def test_titles_pages_and_versions_are_no_measurement(past: History) -> None:
    other = built(1).model_copy(update={"title": "Another", "max_bytes": 1})
    run = other.runs[0].model_copy(
        update={"notes": ["batch halved"], "batch_size": 1, "kernels": None, "maps": []}
    )
    other = other.model_copy(update={"runs": [run]})
    assert digests_of(other) == digests_of(built(1)) != digests_of(built(2))
    past.add(other)
    assert len(past.state()) == 4


def test_what_is_recorded_in_between_makes_no_build_its_own_baseline(tmp_path: Path) -> None:
    """A job that failed and is repeated fails again, whatever ran before the repetition."""

    def both(a: int, b: int) -> Results:
        return built(a).model_copy(update={"runs": [built(a, "net/a").runs[0], built(b, "net/b").runs[0]]})

    history = History(tmp_path)
    history.add(both(1, 1))
    bad = both(5, 1)
    history.add(bad)
    history.add(built(1, "net/b"))  # --only: it holds nothing that is not known
    history.add(built(3, "net/z"))  # another job in the same folder
    assert len(history.state()) == 3
    digest = digests_of(bad)["net/a"]
    assert [build.number for build in latest(history.before(bad), "net/a", digest)] == [1]
    assert [build.number for build in history.before(bad)] == [1]
    failed = bad.model_copy(update={"runs": [bad.runs[0], samples.failed("net/b")]})
    history.add(failed)
    assert [build.number for build in latest(history.before(bad), "net/a", digest)] == [1]
    history.add(bad)
    assert [build.number for build in latest(history.before(bad), "net/a", digest)] == [1]


def test_two_jobs_in_one_folder_leave_each_others_pasts_alone(tmp_path: Path) -> None:
    history = History(tmp_path)
    one, other = built(1, "net/a"), built(2, "net/b")
    for results in (one, other, one, other, one):
        history.add(results)
        assert history.before(results) == ()
    assert len(history.state()) == 2


def test_a_build_whose_checks_failed_is_no_baseline_until_it_is_accepted(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.add(built(1))
    broken = CheckOutcome(
        place="checks[0]", run="net/a", metric="activations.dead", scope="layer", layers="*", level="error",
        limits={"max_increase": 0.0}, verdict="failed", severity="error",
    )  # fmt: skip
    history.add(built(5).model_copy(update={"checks": [broken]}))
    now = built(6)
    digest = digests_of(now)["net/a"]
    assert [build.number for build in latest(history.before(now), "net/a", digest)] == [1]
    history.add(built(5))  # built without the check
    assert [build.number for build in latest(history.before(now), "net/a", digest)] == [3, 1]


def test_a_build_with_values_that_are_not_finite_is_not_the_best(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.add(built(3))
    spoilt = built(0)
    run = spoilt.runs[0].model_copy(
        update={"summary": spoilt.runs[0].summary.model_copy(update={"nonfinite": 9})}
    )
    history.add(spoilt.model_copy(update={"runs": [run]}))
    assert [build.number for build in best(history.builds, "net/a", "", "dead_fraction", higher=False)] == [1]


def test_a_file_that_was_replaced_is_read_again(past: History) -> None:
    path, other = (past.folder / past.builds[place].name for place in (0, 2))
    path.chmod(0o644)
    path.write_bytes(other.read_bytes())
    assert History(past.folder).builds[0].run("net/a").dead_channels == 5


def test_the_index_is_only_a_copy(past: History, said: list[str]) -> None:
    whole = History(past.folder).builds
    index = past.folder / kept.INDEX
    text = index.read_text()
    for wrong in (None, "", "[]", text[:-9], text.replace('"dead_channels":5', '"dead_channels":0')):
        index.unlink()
        if wrong is not None:
            index.write_text(wrong)
        assert History(past.folder, said.append).builds == whole
        assert index.read_text() == text
    assert said == []


def test_the_index_saves_reading_the_files(past: History, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = History(past.folder).builds
    monkeypatch.setattr(History, "_head", lambda _self, name: pytest.fail(f"{name} was read"))
    assert History(past.folder).builds == whole


def test_every_flipped_bit_and_every_cut_of_a_build_is_found(past: History, said: list[str]) -> None:
    build = past.builds[1]
    path = past.folder / build.name
    content = path.read_bytes()
    first = content.index(b"\n") + 1
    chance = random.Random(3)
    bits = [*range(8 * first), *(chance.randrange(8 * first, 8 * len(content)) for _ in range(600))]
    path.chmod(0o644)
    wrong = [content[: chance.randrange(len(content))] for _ in range(200)]
    for bit in bits:
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        wrong.append(bytes(flipped))
    for damaged in wrong:
        path.write_bytes(damaged)
        said.clear()
        assert past.load(build) is None
        assert len(said) == 1
        assert build.name in said[0]


def test_a_damaged_build_is_passed_over_and_the_others_stay(past: History, said: list[str]) -> None:
    path = past.folder / past.builds[3].name
    path.chmod(0o644)
    path.write_bytes(b"\0" * 90)
    (past.folder / kept.INDEX).unlink()
    again = History(past.folder, said.append)
    assert [build.number for build in again.builds] == [1, 2, 3]
    assert "build-000004.json: damaged" in said[0]
    again.add(built(7))
    assert [build.number for build in again.builds] == [1, 2, 3, 5]  # a number is never used again


def test_builds_that_end_at_once_get_a_number_each(tmp_path: Path) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from test_history import History, built\n"
        "History(Path(sys.argv[2])).add(built(int(sys.argv[3])))\n"
    )
    folder = tmp_path / "history"
    here = str(Path(__file__).parent)
    going = [
        subprocess.Popen([sys.executable, "-c", script, here, str(folder), str(dead)]) for dead in range(6)
    ]
    assert [process.wait(120) for process in going] == [0] * 6
    builds = History(folder).builds
    assert [build.number for build in builds] == [1, 2, 3, 4, 5, 6]
    assert sorted(build.run("net/a").dead_channels for build in builds) == [0, 1, 2, 3, 4, 5]
    assert sorted(path.name for path in folder.iterdir() if not path.name.startswith("build-")) == [
        kept.INDEX
    ]


def test_a_folder_that_cannot_be_written_is_said_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "history").write_text("a file")
    with pytest.raises(OutputError, match="history"):
        History(tmp_path / "history").add(built(1))


def test_the_latest_and_the_best_are_of_each_run(tmp_path: Path) -> None:
    history = History(tmp_path)
    for dead, run in ((3, "net/a"), (1, "net/a"), (0, "net/b"), (5, "net/a"), (1, "net/a")):
        history.add(built(dead, run))
    failed = samples.results([samples.failed("net/a")])
    history.add(failed)
    builds = history.builds
    assert [build.number for build in latest(builds, "net/a", "")] == [5, 4, 2, 1]
    assert [build.number for build in latest(builds, "net/b", "")] == [3]
    assert latest(builds, "net/c", "") == []
    assert [build.number for build in best(builds, "net/a", "", "dead_fraction", higher=False)] == [
        5,
        2,
        1,
        4,
    ]
    assert [build.number for build in best(builds, "net/a", "", "dead_channels", higher=True)] == [4, 1, 5, 2]


NET = "from torch import nn\ndef make():\n    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A job that looks at one checkpoint, `new.pt`, and holds it against the newest build before."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "net.py").write_text(NET)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)).save(folder / "a.png")
    (folder / "config.yaml").write_text(
        "version: 1\noutput: out/report.html\nimages: [a.png]\ntransform: none\nhistory: history\n"
        'models: [{name: net, source: "python:net.py:make", checkpoints: [{name: new, path: new.pt}]}]\n'
        "compare: {baseline: latest}\nchecks: [{metric: activations.dead, max_increase: 0}]\n"
    )
    return folder


def build(folder: Path, *dead: int) -> tuple[Results, bytes]:
    """Build with a checkpoint of which so many channels are dead: the first ones, or those from one to another."""
    torch.manual_seed(0)
    state = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3)).state_dict()
    state["0.bias"].fill_(9.0)[slice(*dead)] = -99.0
    torch.save(state, folder / "new.pt")
    plan = pipeline.make_plan(folder / "config.yaml")
    return pipeline.run_plan(plan).results, (folder / "out/report.html").read_bytes()


def test_a_job_holds_each_build_against_the_one_before(project: Path) -> None:
    first, _ = build(project, 1)
    assert [(one.verdict, one.severity) for one in first.checks] == [("skipped", "warn")]
    assert "no earlier build" in first.checks[0].reason
    better, _ = build(project, 0)
    assert [one.verdict for one in better.checks] == ["passed"]
    worse, page = build(project, 2)
    (check,) = worse.checks
    assert (check.verdict, check.baseline) == ("failed", "build 2 of the history (latest)")
    assert {tuple(item.channels) for item in check.items} == {(0, 1)}
    assert worse.history is not None
    assert [one.runs[0].dead_channels for one in worse.history.builds] == [1, 0]
    assert b"2 earlier builds in the history" in page


@pytest.mark.parametrize("baseline", ["latest", "best, metric: dead_fraction"])
def test_a_run_that_stays_as_it_was_while_others_change_passes(project: Path, baseline: str) -> None:
    build(project, 1)
    (project / "fixed.pt").write_bytes((project / "new.pt").read_bytes())
    text = (project / "config.yaml").read_text().replace("baseline: latest", f"baseline: {baseline}")
    both = text.replace("path: new.pt}]", "path: new.pt}, {name: fixed, path: fixed.pt}]")
    (project / "config.yaml").write_text(both)
    build(project, 2)
    build(project, 0)
    third, page = build(project, 3)
    changed, stayed = third.checks
    assert (changed.verdict, changed.run) == ("failed", "net/new")
    assert (stayed.verdict, stayed.run) == ("passed", "net/fixed")
    assert "of the history" in (stayed.baseline or "")
    assert build(project, 3)[1] == page


def test_a_night_in_which_as_many_channels_revive_as_die_is_no_quiet_one(project: Path) -> None:
    text = (project / "config.yaml").read_text()
    more = "[{metric: newly_dead_channels, max: 0}, {metric: revived_channels, max: 0, level: warn}, "
    (project / "config.yaml").write_text(text.replace("checks: [", f"checks: {more}"))
    first, _ = build(project, 0, 2)
    assert [(one.verdict, one.severity) for one in first.checks] == [("skipped", "warn")] * 3
    second, page = build(project, 1, 3)
    died, revived, more_dead = second.checks
    assert (died.verdict, died.severity, died.baseline) == (
        "failed",
        "error",
        "build 1 of the history (latest)",
    )
    assert [(item.layer, item.channels) for item in died.items] == [("1", [2])]
    assert {tuple(item.channels) for item in revived.items} == {(0,)}
    assert (revived.severity, more_dead.verdict) == ("warn", "passed")
    assert b"newly dead: channel 2" in page


def test_a_job_can_be_held_against_the_best_build(project: Path) -> None:
    text = (project / "config.yaml").read_text()
    (project / "config.yaml").write_text(
        text.replace("baseline: latest", "baseline: best, metric: dead_fraction")
    )
    for dead in (2, 1, 3):
        results, _ = build(project, dead)
    assert results.checks[0].baseline == "build 2 of the history (best)"
    results, _ = build(project, 2)
    assert results.checks[0].verdict == "failed"  # one less than yesterday, one more than ever


def test_a_build_that_is_repeated_or_was_cut_off_gives_the_same_bytes(project: Path) -> None:
    build(project, 1)
    _, page = build(project, 2)
    assert build(project, 2)[1] == page
    (project / "out/report.html").write_bytes(b"cut off after the history was written, before the page was")
    assert build(project, 2)[1] == page
    shutil.rmtree(project / ".featreport")
    assert build(project, 2)[1] == page
    assert len(History(project / "history").state()) == 2


def test_a_damaged_newest_build_is_passed_over_with_a_word(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    build(project, 1)
    build(project, 0)
    path = project / "history/build-000002.json"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-9])
    results, _ = build(project, 1)
    assert results.checks[0].baseline == "build 1 of the history (latest)"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("compare: {baseline: latest}\n", "history: DIR"),
        ("history: history\ncompare: {baseline: best}\n", "metric: dead_fraction"),
        ("history: history\ncompare: {baseline: best, metric: dead}\n", "dead_fraction"),
        ("history: history\ncompare: {baseline: latests}\n", "latests"),
        ("history: history\ncompare: {baseline: best, metric: dead_fraction, better: more}\n", "higher"),
    ],
)
def test_a_baseline_without_its_history_is_an_error_of_the_manifest(
    project: Path, wrong: str, says: str
) -> None:
    lines = (project / "config.yaml").read_text().splitlines(keepends=True)
    rest = "".join(line for line in lines if not line.startswith(("history", "compare", "checks")))
    (project / "config.yaml").write_text(rest + wrong)
    torch.save({}, project / "new.pt")
    with pytest.raises(ManifestError, match=says):
        pipeline.make_plan(project / "config.yaml")


def test_a_history_that_cannot_be_written_is_said_before_anything_is_run(project: Path) -> None:
    (project / "history").write_text("a file")
    with pytest.raises(ManifestError, match=r"history.* is a file"):
        build(project, 0)
    assert not (project / "out/report.html").exists()


def test_the_page_tells_of_earlier_builds_in_words_and_in_its_results() -> None:
    runs = [
        PastRun(id="net/a", status="ok", channels=8, dead_channels=n, dead_fraction=n / 8) for n in (1, 2)
    ]
    builds = [PastBuild(number=number, runs=[run]) for number, run in enumerate(runs, start=41)]
    builds.append(PastBuild(number=43, runs=[PastRun(id="net/a", status="failed")]))
    results = built(5).model_copy(update={"history": Told(count=43, builds=builds)})
    page = render(results, "report.json")
    for words in (
        "43 earlier builds",
        "the newest 3 of them",
        "build 41",
        "12.5 % (1 of 8)",
        "62.5 % (5 of 8)",
        "failed",
    ):
        assert words in page.replace("\xa0", " "), words
    assert codec.decode(page, "page").history == results.history


def test_a_first_build_and_other_runs_have_no_trend() -> None:
    other = PastBuild(number=1, runs=[PastRun(id="net/z", status="ok")])
    for told in (None, Told(count=0, builds=[]), Told(count=1, builds=[other])):
        assert "Over earlier builds" not in render(built(1).model_copy(update={"history": told}), "r.json")


def test_a_build_of_a_history_can_be_compared_with_a_report(past: History, tmp_path: Path) -> None:
    assert featreport.load(past.folder / "build-000003.json").runs == built(5).runs


def test_older_results_without_a_history_still_read() -> None:
    fields = json.loads(codec.encode(built(1)))
    del fields["history"]
    assert codec.decode(json.dumps(fields), "old").history is None


def test_only_the_first_build_of_all_passes_without_a_baseline(project: Path) -> None:
    """A renamed run, and a history that cannot be read, are no first build: silence would be trusted for nothing."""
    first, page = build(project, 1)
    assert first.checks[0].severity == "warn"
    assert build(project, 1)[1] == page
    text = (project / "config.yaml").read_text()
    (project / "config.yaml").write_text(text.replace("name: new,", "name: renamed,"))
    (renamed,) = build(project, 3)[0].checks
    assert (renamed.verdict, renamed.severity) == ("skipped", "error")
    assert "no build of net/renamed (one of it has net/new)" in renamed.reason
    (project / "config.yaml").write_text(text)
    for path in (project / "history").glob("build-*"):
        path.chmod(0o644)
        path.write_bytes(b"damaged")
    (lost,) = build(project, 3)[0].checks
    assert (lost.verdict, lost.severity) == ("skipped", "error")
    assert "2 files of it cannot be read" in lost.reason


def test_a_failed_build_repeated_fails_again_and_the_next_one_too(project: Path) -> None:
    build(project, 0)
    for _ in range(2):
        assert build(project, 2)[0].checks[0].verdict == "failed"
    results, _ = build(project, 3)
    assert (results.checks[0].verdict, results.checks[0].baseline) == (
        "failed",
        "build 1 of the history (latest)",
    )


@pytest.mark.parametrize(
    ("output", "says"),
    [("history/index.html", "may not lie in the history"), ("history/build-000001.html", "may not lie in")],
)
def test_a_report_inside_the_history_is_refused(project: Path, output: str, says: str) -> None:
    text = (project / "config.yaml").read_text()
    (project / "config.yaml").write_text(text.replace("out/report.html", output))
    with pytest.raises(ManifestError, match=says):
        build(project, 0)


def test_a_build_may_not_be_compared_with_what_it_writes(project: Path) -> None:
    build(project, 0)
    text = (project / "config.yaml").read_text()
    (project / "config.yaml").write_text(text.replace("baseline: latest", "baseline: out/report.json"))
    with pytest.raises(ManifestError, match="what this build writes"):
        build(project, 0)
