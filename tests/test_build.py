"""The whole way from a manifest to a report, as a user calls it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import featreport
from featreport.results import codec
from featreport.results.schema import Results

NET = """
import torch
from torch import nn
def make(classes=4):
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(6, classes))
def broken():
    raise ValueError("no such depth: 17")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a network, three checkpoints, four pictures and a manifest."""
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "photos").mkdir()
    rng = np.random.default_rng(0)
    for index in range(4):
        pixels = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"p{index}.png")
    (tmp_path / "runs").mkdir()
    for index in (2, 10):
        torch.manual_seed(index)
        torch.save(model().state_dict(), tmp_path / "runs" / f"epoch_{index}.pt")
    write(tmp_path, "[runs/epoch_*.pt, random:0]")
    return tmp_path


def model() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4)
    )


def write(folder: Path, checkpoints: str, source: str = "python:net.py:make", more: str = "") -> Path:
    path = folder / "config.yaml"
    path.write_text(
        "version: 1\ntitle: Tiny\noutput: out/report.html\ndevice: cpu\nimages: [photos/]\n"
        "transform: {size: [16, 16], mean: 0.5, std: 0.5}\n"
        f"models:\n  - name: tiny\n    source: {source}\n    checkpoints: {checkpoints}\n{more}"
    )
    return path


def command(*args: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "featreport", *args],
        cwd=cwd, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "2", **env},
    )  # fmt: skip


def test_a_build_writes_report_and_results_and_says_where(project: Path) -> None:
    done = command("build", "config.yaml", cwd=project)
    assert done.returncode == 0, done.stderr
    path, verdict = done.stdout.strip().split("\n")
    assert Path(path) == project / "out" / "report.html"
    assert "3 runs" in verdict
    assert "[1/3] tiny/epoch_2" in done.stderr
    assert "[2/3] tiny/epoch_10" in done.stderr
    results = json.loads((project / "out" / "report.json").read_text())
    assert results["format"] == "featreport/results"
    assert [run["id"] for run in results["runs"]] == ["tiny/epoch_2", "tiny/epoch_10", "tiny/random-0"]
    assert sorted(path.name for path in (project / "out").iterdir()) == ["report.html", "report.json"]


def test_two_builds_give_the_same_bytes_wherever_they_start(
    project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert command("build", "config.yaml", cwd=project).returncode == 0
    first = (project / "out" / "report.html").read_bytes()
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    done = command(
        "build", str(project / "config.yaml"), cwd=elsewhere, TZ="Asia/Tokyo", LC_ALL="C", PYTHONHASHSEED="7"
    )
    assert done.returncode == 0, done.stderr
    assert (project / "out" / "report.html").read_bytes() == first
    assert list(elsewhere.iterdir()) == []


def test_render_rebuilds_the_same_bytes_from_results_and_from_the_report_without_torch(project: Path) -> None:
    assert command("build", "config.yaml", cwd=project).returncode == 0
    html = (project / "out" / "report.html").read_bytes()
    for source in ("out/report.json", "out/report.html"):
        code = (
            "import sys; from featreport.pipeline import render; "
            f"render({source!r}, 'again.html'); assert 'torch' not in sys.modules"
        )
        subprocess.run([sys.executable, "-c", code], cwd=project, check=True)
        assert (project / "again.html").read_bytes() == html


def test_build_returns_typed_values(project: Path) -> None:
    results = featreport.build(project / "config.yaml", only="tiny/epoch_*")
    assert isinstance(results, Results)
    assert [run.status for run in results.runs] == ["ok", "ok"]
    assert results.runs[0].summary is not None
    assert results.runs[0].summary.channels == 6
    assert featreport.load(project / "out" / "report.html") == results
    assert codec.decode(codec.encode(results), "x") == results


def test_one_bad_run_does_not_spoil_the_others(project: Path) -> None:
    assert command("build", "config.yaml", cwd=project).returncode == 0
    good = json.loads((project / "out" / "report.json").read_text())["runs"]
    (project / "runs" / "epoch_5.pt").write_text("<!DOCTYPE html><html>404</html>")
    done = command("build", "config.yaml", cwd=project)
    assert done.returncode == 3, done.stderr
    runs = json.loads((project / "out" / "report.json").read_text())["runs"]
    assert [run["status"] for run in runs] == ["ok", "failed", "ok", "ok"]
    assert [run for run in runs if run["status"] == "ok"] == good
    assert runs[1]["error"]["stage"] == "checkpoint"
    assert "HTML" in runs[1]["error"]["message"]
    assert 'data-status="failed"' in (project / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "LFS"),
        (b"<html><body>Not found</body></html>", "HTML"),
        (b"", "empty"),
    ],
)
def test_when_no_run_succeeds_the_report_still_says_why(project: Path, content: bytes, says: str) -> None:
    (project / "bad.pt").write_bytes(content)
    write(project, "[bad.pt]")
    done = command("build", "config.yaml", cwd=project)
    assert done.returncode == 4, done.stderr
    assert says in (project / "out" / "report.html").read_text()
    assert "Traceback" not in done.stderr


def test_a_factory_that_raises_fails_its_run_with_its_own_words(project: Path) -> None:
    write(project, "[random:0]", source="python:net.py:broken")
    done = command("build", "config.yaml", cwd=project)
    assert done.returncode == 4
    assert "no such depth: 17" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_cut_off_image_is_listed_and_the_run_goes_on(project: Path) -> None:
    whole = (project / "photos" / "p0.png").read_bytes()
    (project / "photos" / "p9.png").write_bytes(whole[: len(whole) // 2])
    done = command("build", "config.yaml", "--only", "tiny/epoch_2", cwd=project)
    assert done.returncode == 0, done.stderr
    images = json.loads((project / "out" / "report.json").read_text())["runs"][0]["images"]
    assert images["count"] == 4
    assert [failed["path"] for failed in images["failed"]] == ["photos/p9.png"]


def test_wrong_paths_and_names_are_said_all_at_once_and_nothing_is_run(project: Path) -> None:
    path = write(
        project,
        "[runs/epoch_3.pt, nothing_*.pt]",
        more="  - {name: t, source: torchvision:resnet5, checkpoints: [random:0]}\n",
    )
    done = command("build", str(path), cwd=project)
    assert done.returncode == 2
    assert "epoch_3.pt" in done.stderr
    assert "nothing_*.pt" in done.stderr
    assert "resnet5" in done.stderr
    assert "resnet50" in done.stderr
    assert "problems; nothing was run." in done.stderr
    assert not (project / "out").exists()


def test_a_slip_of_the_pen_hides_no_wrong_path_or_name(project: Path) -> None:
    (project / "config.yaml").write_text(
        "version: 1\ntitel: Tiny\nimages: [fotos/]\nmodels:\n"
        "  - {name: a, source: 'torchvision:alexnett', checkpoints: [random:0, 7]}\n"
        "  - {source: 'torchvision:alexnet', checkpoints: [{path: nope.pt, sha: 1}]}\n"
        "  - {name: c, source: 'python:gone.py:f', images: 3, checkpoints: [random:0], args: []}\n"
        "  - {name: d, source: none, checkpoints: []}\n  - nothing\n"
    )
    done = command("check", "config.yaml", cwd=project)
    assert done.returncode == 2
    said = [line.split(" ", 1)[1].strip() for line in done.stderr.splitlines()[:-1]]
    assert [line.partition(":")[0] for line in said] == [
        "unknown key 'titel' (did you mean 'title'?)",
        "images[0]",
        "models[0].source",
        "models[0].checkpoints[1]",
        "models[1]",
        "models[1].checkpoints[0].path",
        "models[1].checkpoints[0]",
        "models[2].source",
        "models[2].images",
        "models[2].args",
        "models[3].checkpoints",
        "models[4]",
    ]
    assert done.stderr.splitlines()[-1] == "12 problems; nothing was run."


@pytest.mark.parametrize("slip", ["imagse: [photos/]", "images: 3"])
def test_what_follows_from_a_slip_is_not_said_again(project: Path, slip: str) -> None:
    path = write(project, "[random:0]")
    path.write_text(path.read_text().replace("images: [photos/]", slip))
    done = command("check", "config.yaml", cwd=project)
    assert done.stderr.splitlines()[-1] == "1 problem; nothing was run.", done.stderr


def test_an_output_that_cannot_be_written_is_known_before_anything_runs(project: Path) -> None:
    (project / "out").write_text("a file where the folder should be")
    done = command("build", "config.yaml", cwd=project)
    assert done.returncode == 5
    assert "cannot be written" in done.stderr
    assert "[1/3]" not in done.stderr
    assert (project / "out").read_text() == "a file where the folder should be"


def test_a_limit_nothing_fits_in_costs_no_finished_work(project: Path) -> None:
    write(project, "[random:0]", more="report: {max_bytes: 5KB}\n")
    done = command("build", "config.yaml", cwd=project)
    assert done.returncode == 5
    assert sorted(path.name for path in (project / "out").iterdir()) == ["report.json"]
    again = done.stderr.strip().split("The results were kept: featreport ")[1].split()
    done = command(*again, cwd=project)
    assert done.returncode == 0, done.stderr
    assert (project / "out" / "report.html").is_file()


def test_a_file_where_the_output_wants_a_folder_is_named(project: Path) -> None:
    (project / "file").write_text("")
    done = command("build", "config.yaml", "--output", "file/sub/x.html", cwd=project)
    assert done.returncode == 5
    assert f"{project / 'file'} is a file, not a folder" in done.stderr


@pytest.mark.parametrize("where", ["import", "call"])
@pytest.mark.parametrize("how", ["sys.exit(3)", "raise Odd('why')"])
def test_a_transform_that_prints_and_leaves_fails_its_run_and_keeps_standard_output_clean(
    project: Path, where: str, how: str
) -> None:
    ends = {"import": "", "call": ""} | {where: how}
    (project / "prepare.py").write_text(
        f"import sys\nclass Odd(BaseException): pass\nprint('LOUD')\n{ends['import']}\n"
        f"def f(image):\n    print('LOUD')\n    {ends['call']}\n"
    )
    path = write(project, "[random:0]")
    path.write_text(path.read_text().replace("{size: [16, 16], mean: 0.5, std: 0.5}", "python:prepare.py:f"))
    done = command("build", "config.yaml", cwd=project)
    assert done.returncode == 4, (done.stdout, done.stderr)
    assert "LOUD" not in done.stdout
    assert "LOUD" in done.stderr
    assert "Traceback" not in done.stderr
    error = json.loads((project / "out" / "report.json").read_text())["runs"][0]["error"]
    assert error["stage"] == "images"
    assert ("called sys.exit(3)" if "exit" in how else "raised Odd: why") in error["message"]


def test_a_report_that_cannot_be_finished_keeps_the_results(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from featreport import pipeline
    from featreport.errors import OutputError

    def full(*_: object) -> None:
        raise OutputError("disk full")

    results = featreport.build(project / "config.yaml", only="*random*")
    before = (project / "out" / "report.html").read_bytes()
    real = pipeline.write_atomically
    calls: list[Path] = []

    def first_fails(path: Path, text: str) -> None:
        calls.append(path)
        if len(calls) == 1:
            full()
        real(path, text)

    monkeypatch.setattr(pipeline, "write_atomically", first_fails)
    with pytest.raises(OutputError, match="were kept") as caught:
        pipeline.write(results, project / "out" / "report.html")
    kept = Path(str(caught.value).split("featreport render ")[1])
    assert codec.load(kept) == results
    assert (project / "out" / "report.html").read_bytes() == before


def test_help_and_check_answer_quickly_and_import_nothing_heavy(project: Path) -> None:
    for args in (["--help"], ["check", "config.yaml"], ["schema"], ["--version"]):
        began = time.perf_counter()
        done = command(*args, cwd=project)
        assert done.returncode == 0, done.stderr
        assert time.perf_counter() - began < 30  # a hang, not a speed: benchmarks measure speed
        assert done.stdout.strip()
    assert "3 runs planned; nothing was run." in command("check", "config.yaml", cwd=project).stdout


def test_init_writes_a_manifest_that_check_reads_and_never_overwrites(tmp_path: Path) -> None:
    first = command("init", cwd=tmp_path)
    assert first.returncode == 0
    assert first.stdout.strip() == "config.yaml"
    said = re.search(r"name your own in line (\d+)", first.stderr)
    assert said
    text = (tmp_path / "config.yaml").read_text()
    early = command("check", "config.yaml", cwd=tmp_path)
    assert f"config.yaml:{said[1]}:" in early.stderr  # the line that init said to fill in
    again = command("init", cwd=tmp_path)
    assert again.returncode == 2
    assert "exists already" in again.stderr
    assert (tmp_path / "config.yaml").read_text() == text
    (tmp_path / "images").mkdir()
    Image.new("RGB", (32, 32)).save(tmp_path / "images" / "a.png")
    done = command("check", "config.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "args",
    [
        ["build"],
        ["build", "config.yaml", "--wat"],
        ["biuld", "config.yaml"],
        ["build", "config.yaml", "--only", "nobody/*"],
        ["build", "config.yaml", "--device", "gpu"],
        ["build", "config.yaml", "--output", "report.pdf"],
        ["build", "config.yaml", "--output", "out/report.htm"],
        ["build", "config.yaml", "--device", "xpu:63"],
        ["build", "config.yaml", "--fail-on", "never"],
        ["build", "missing.yaml"],
        ["render", "missing.json"],
        ["render", "net.py"],
        ["render", "."],
        ["render", "missing.json", "--max-bytes", "much"],
        ["diff", "a.json", "b.json"],
        ["export", "a.html", "kit"],
    ],
)
def test_wrong_arguments_exit_with_2_and_one_clear_line(project: Path, args: list[str]) -> None:
    done = command(*args, cwd=project)
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr
    assert not (project / "out").exists()


def test_a_bug_keeps_its_traceback_and_exits_with_70(project: Path) -> None:
    code = (
        "import sys; from featreport import cli, pipeline\n"
        "def bug(*a, **k): raise ZeroDivisionError('a bug')\n"
        "pipeline.make_plan = bug; sys.argv = ['featreport', 'build', 'config.yaml']; cli.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode == 70
    assert "Traceback" in done.stderr


def test_an_interrupt_leaves_the_old_report_and_exits_with_130_or_143(project: Path) -> None:
    assert command("build", "config.yaml", "--only", "*random*", cwd=project).returncode == 0
    before = (project / "out" / "report.html").read_bytes()
    slow = (
        NET
        + "\nimport time\nclass Slow(nn.Module):\n    def forward(self, x):\n        time.sleep(60)\n        return x\n"
    )
    (project / "net.py").write_text(slow)
    write(project, "[random:0]", source="python:net.py:Slow")

    for name, code in (("SIGINT", 130), ("SIGTERM", 143)):
        process = subprocess.Popen(
            [sys.executable, "-m", "featreport", "build", "config.yaml"],
            cwd=project, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            # a job in the background of a shell ignores SIGINT, and so would what it starts
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        )  # fmt: skip
        assert process.stderr is not None
        assert "[1/1]" in process.stderr.readline()
        time.sleep(1)
        process.send_signal(getattr(signal, name))
        process.communicate(timeout=30)
        assert process.returncode == code
        assert (project / "out" / "report.html").read_bytes() == before
        assert sorted(path.name for path in (project / "out").iterdir()) == ["report.html", "report.json"]


@pytest.mark.parametrize("call", ["build", "check"])
def test_no_code_refuses_every_python_source_and_transform_and_runs_nothing(project: Path, call: str) -> None:
    (project / "net.py").write_text("open('ran', 'w').close()")
    (project / "config.yaml").write_text(
        "version: 1\noutput: out/report.html\nimages: [photos/]\ntransform: python:net.py:prepare\nmodels:\n"
        "  - {name: a, source: 'python:net.py:make', checkpoints: [random:0]}\n"
        "  - {name: b, source: 'torchvision:alexnet', transform: 'python:json:loads', checkpoints: [random:0]}\n"
        "  - {name: c, source: 'torchvision:alexnet', transform: imagenet, checkpoints: [random:0]}\n"
    )
    done = command(call, "config.yaml", "--no-code", cwd=project)
    assert done.returncode == 2
    why = "would run Python code that the manifest names"
    assert done.stderr.splitlines() == [
        f"config.yaml:4:12 transform: --no-code: 'python:net.py:prepare' {why}",
        f"config.yaml:6:23 models[0].source: --no-code: 'python:net.py:make' {why}",
        f"config.yaml:7:57 models[1].transform: --no-code: 'python:json:loads' {why}",
        "3 problems; nothing was run.",
    ]
    assert not (project / "ran").exists()
    assert not (project / "out").exists()


def test_no_code_lets_everything_else_pass(project: Path) -> None:
    write(project, "[random:0]", source="torchvision:squeezenet1_0")
    assert command("check", "config.yaml", "--no-code", cwd=project).returncode == 0


def test_only_code_of_the_manifest_counts_as_code_that_was_run(project: Path) -> None:
    write(project, "[runs/epoch_2.pt]", source="none")
    assert featreport.build(project / "config.yaml").provenance.code_run == []
    write(project, "[runs/epoch_2.pt]")
    assert featreport.build(project / "config.yaml").provenance.code_run == ["python:net.py:make"]


TAKES = """
import os, signal
from net import make as real
def make():
    try:
        os.kill(os.getpid(), signal.{sent})
    except BaseException:
        pass
    return {then}
"""


@pytest.mark.parametrize("then", ["real()", "1 / 0"])
@pytest.mark.parametrize(("sent", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_that_somebodys_code_took_ends_the_build_all_the_same(
    project: Path, sent: str, code: int, then: str
) -> None:
    """torch takes it while it imports NumPy: every run failed then, and the report said so."""
    (project / "takes.py").write_text(TAKES.format(sent=sent, then=then))
    write(project, "[random:0, random:1]", source="python:takes.py:make")
    done = subprocess.run(
        [sys.executable, "-m", "featreport", "build", "config.yaml"],
        cwd=project, capture_output=True, text=True, check=False, timeout=60,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert "what was finished is kept" in done.stderr
    assert "random-1" not in done.stderr
    assert not (project / "out" / "report.html").exists()


@pytest.mark.parametrize("compiled", [True, False])
def test_a_build_without_compiled_loops_says_so_before_it_starts(
    project: Path, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from featreport import pipeline
    from featreport.executors import serial
    from featreport.statistics import kernel

    told: list[str] = []

    class Listener(serial.Silent):
        def mention(self, line: str) -> None:
            told.append(line)

        def run_started(self, run_id: str, number: int, of: int) -> None:
            told.append(run_id)

    if not compiled:
        monkeypatch.setattr(kernel, "_loops", lambda: None)
    pipeline.run_plan(pipeline.make_plan(write(project, "[random:0]")), Listener())
    line = (
        "The loops that read tensors were not compiled when featreport was installed: measuring takes several times"
        " as long. With a C compiler on this machine, install featreport again."
    )
    assert told == [*[line] * (not compiled), "tiny/random-0"]
