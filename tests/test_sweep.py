"""Builds that are killed, refused the disk, interrupted, crowded and moved: a bounded part of `benchmarks/sweep.py`."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from featreport import pipeline
from featreport.errors import OutputError
from featreport.plan.fingerprint import Hasher
from featreport.results import outputs, store
from featreport.results.lock import held, is_free
from featreport.results.store import clear_parts, write_aside, write_atomically

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "sweep.py"
ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)
DECISIVE = ("open to write", "write", "fsync", "replace", "unlink", "flock", "ftruncate")


def swept(*arguments: str, planted: str = "") -> list[dict[str, Any]]:
    """Return the rows of a sweep; `planted` is done to featreport before it."""
    code = f"import sys\nsys.path.insert(0, {str(SCRIPT.parent)!r})\nimport sweep\n{planted}\nsweep.main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--quick", "--json", *arguments],
        capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode in {0, 1}, done.stderr
    assert done.stdout, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """What a bounded sweep found."""
    parts = ["calls", "times", "signals", "crowd", "places", *(["strace"] if shutil.which("strace") else [])]
    return swept("--parts", *parts, "--every", "20", "--calls", *DECISIVE, "--rounds", "2")


@pytest.mark.parametrize(
    ("part", "least"),
    [("calls", 8), ("times", 4), ("signals", 7), ("crowd", 8), ("places", 6), ("strace", 6)],
)
def test_the_report_is_whole_the_store_clean_and_the_next_build_the_same(
    rows: list[dict[str, Any]], part: str, least: int
) -> None:
    if part == "strace" and not shutil.which("strace"):
        pytest.skip("strace is not installed: faults are met in Python alone")
    mine = [row for row in rows if row["part"] == part]
    assert [line for row in mine for line in row["wrong"]] == []
    assert [row for row in mine if row["neither"] or row["same"] < row["tried"]] == []
    assert sum(row["tried"] for row in mine) >= least


def damaged(planted: str = "") -> list[dict[str, Any]]:
    """Return the rows of three damages of each kind to each part of the store; `planted` is done to it before."""
    folder = str(SCRIPT.parent)
    code = f"import json, sys\nsys.path.insert(0, {folder!r})\nimport damage\n{planted}\ndamage.main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--count", "42", "--json"],
        capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.stdout, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    assert done.returncode == any(row["wrong"] for row in rows)
    assert {(row["damage"], row["done"]) for row in rows} == {("flip", 3), ("cut", 3)}
    return rows


def test_damage_to_any_part_of_the_store_is_found_out_and_the_report_is_the_same() -> None:
    found = damaged()
    assert [line for row in found for line in row["wrong"]] == []
    assert {row["part"] for row in found} == {
        *("head", "results", "maps", "thumbnails", "made", "grams", "note")
    }


def test_a_store_that_verifies_nothing_is_found_out() -> None:
    trusting = "from featreport.results import entries\n"
    trusting += "def unpack(key, content):\n"
    trusting += (
        "    try:\n        return entries.Entry.model_validate(json.loads(content.partition(b'\\n')[2]))\n"
    )
    trusting += "    except ValueError:\n        return None\n"
    trusting += "entries.unpack = unpack"
    wrong = {row["part"] for row in damaged(trusting) if row["wrong"]}
    assert {"head", "thumbnails"} <= wrong


PLANTED = {
    "a report that is written in place": (
        "calls",
        (
            "def write(path, text):\n"
            "    path.parent.mkdir(parents=True, exist_ok=True)\n"
            "    with path.open('w', encoding='utf-8') as file:\n"
            "        file.write(text)\n"
            "sweep.pipeline.write_atomically = write"
        ),
        "neither",
    ),
    "a lock that keeps nobody out": (
        "crowd",
        "from contextlib import nullcontext\nsweep.pipeline.held = lambda output: nullcontext(False)",
        "two builds wrote",
    ),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_the_sweep_finds(fault: str) -> None:
    """What cannot fail proves nothing."""
    part, planted, found = PLANTED[fault]
    rows = swept("--parts", part, "--calls", "write", "--every", "8", "--rounds", "1", planted=planted)
    told = [line for row in rows for line in row["wrong"]]
    assert any(found in line for line in told), told


DEAF = """
import time
from torch import nn

class Net(nn.Conv2d):
    def __init__(self):
        super().__init__(3, 4, 3)

    def forward(self, x):
        print("deaf", flush=True)
        while True:
            try:
                time.sleep(60)
            except BaseException:
                pass
"""


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_network_that_takes_every_exception_is_interrupted_all_the_same(
    tmp_path: Path, sent: signal.Signals, code: int
) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "one.png")
    (tmp_path / "net.py").write_text(DEAF)
    (tmp_path / "config.yaml").write_text(
        "version: 1\noutput: out/report.html\nimages: [one.png]\ntransform: none\ndevice: cpu\n"
        'models: [{name: net, source: "python:net.py:Net", checkpoints: ["random:0"]}]\n'
    )
    command = [sys.executable, "-m", "featreport", "build", "config.yaml"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as going:
        assert going.stderr is not None
        assert b"deaf\n" in going.stderr
        began = time.monotonic()
        going.send_signal(sent)
        try:
            assert going.wait(20) == code
        finally:
            going.kill()
        assert time.monotonic() - began < 10


# one write, one error


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def failing(name: str, number: int) -> tuple[Any, str, Callable[..., Any]]:
    """Return what stands for a call that fails with an error, and where."""

    def fails(*_args: object, **_more: object) -> Any:
        raise OSError(number, os.strerror(number))

    if name != "write":
        return {
            "open": (io, "open", fails),
            "fsync": (os, "fsync", fails),
            "replace": (os, "replace", fails),
        }[name]
    plain = io.open

    class Torn(io.FileIO):
        def write(self, data: Any) -> int:
            super().write(bytes(data)[: len(data) // 2])
            return fails()  # type: ignore[no-any-return]  # it never returns

    return (
        io,
        "open",
        lambda file, mode="r", *rest: Torn(file, mode) if "x" in mode else plain(file, mode, *rest),
    )


@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("name", ["open", "write", "fsync", "replace"])
def test_what_cannot_be_written_leaves_what_was_there_and_says_where_and_how_much_is_free(
    tmp_path: Path, name: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    with monkeypatch.context() as patched:
        patched.setattr(*failing(name, number))
        with pytest.raises(OutputError) as caught:
            write_atomically(path, "new " * 10_000)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["report.html"]
    assert str(path) in str(caught.value)
    assert os.strerror(number) in str(caught.value)
    assert " MB free there" in str(caught.value)
    assert caught.value.exit_code == 5


@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.get)
def test_a_full_disk_takes_no_lock_away(tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ftruncate", "write"):
        with monkeypatch.context() as patched:
            patched.setattr(os, name, failing("fsync", number)[2])
            with held(tmp_path / "report.html") as alone:
                assert alone
    assert names(tmp_path) == []


def test_results_that_find_no_place_at_all_are_an_output_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store.tempfile, "mkdtemp", failing("fsync", errno.ENOSPC)[2])
    assert write_aside("report.json", "{}") is None


def test_a_results_file_that_is_kept_aside_is_named_and_the_report_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store.tempfile, "tempdir", str(tmp_path))
    aside = write_aside("report.json", "{}")
    assert aside is not None
    assert aside.read_text() == "{}"
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", failing("fsync", errno.ENOSPC)[2])
        assert write_aside("report.json", "{}") is None
    assert len(names(tmp_path)) == 1  # the folder of the second went again


def test_what_killed_builds_left_of_a_report_goes_and_nothing_else(tmp_path: Path) -> None:
    others = [".report.html.lock", ".other.html.00.part", "report.html", "report.html.part"]
    for name in [*others, ".report.html.00ff.part", ".report.html.k_2x.part"]:
        (tmp_path / name).write_text("")
    clear_parts(tmp_path / "report.html")
    assert names(tmp_path) == sorted(others)
    clear_parts(tmp_path / "gone" / "report.html")


def test_a_lock_that_was_left_is_not_free(tmp_path: Path) -> None:
    assert is_free(tmp_path / "report.html")
    (tmp_path / ".report.html.lock").write_text("")
    assert not is_free(tmp_path / "report.html")
    with held(tmp_path / "report.html"):
        pass
    assert is_free(tmp_path / "report.html")


def test_a_note_that_cannot_be_kept_is_mentioned(tmp_path: Path) -> None:
    for name in ("report.html", "report.json"):
        (tmp_path / name).write_text("")
    (tmp_path / "store").write_text("a file where the folder should be")
    said: list[str] = []
    outputs.note(tmp_path / "store", tmp_path / "report.html", "state", said.append)
    outputs.note(tmp_path / "store", tmp_path / "gone.html", "state", said.append)
    assert ["the next build makes the report anew" in line for line in said] == [True, True]


def test_a_folder_that_may_not_be_looked_into_is_an_output_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = os.stat
    closed = tmp_path / "closed"

    def stat(path: Any, *args: Any, **more: Any) -> os.stat_result:
        if str(path).startswith(str(closed)):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return plain(path, *args, **more)

    closed.write_text("")
    monkeypatch.setattr(os, "stat", stat)
    with pytest.raises(OutputError, match="cannot be written"):
        store.check_writable(closed / "in" / "report.html")


def test_hidden_folders_hold_no_code_of_a_network(tmp_path: Path) -> None:
    for name in ("net.py", "parts/one.py", ".featreport/no.py", "parts/.venv/no.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    found = Hasher().of_code(tmp_path / "net.py", None)
    assert [name for name, _ in found] == ["net.py", "parts/one.py"]


def test_render_does_not_write_over_a_build_under_way(tmp_path: Path) -> None:
    import sample_results as samples
    from featreport.errors import BusyError
    from featreport.results import codec

    source = tmp_path / "report.json"
    source.write_text(codec.encode(samples.sample()))
    with held(tmp_path / "report.html"), pytest.raises(BusyError):
        pipeline.render(source)
    assert pipeline.render(source) == tmp_path / "report.html"
