"""What the command line's process asks of the system for itself, and what it does where that gives nothing."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

HEAPS = """
import ctypes, os, sys, threading
from featreport import process
if sys.argv[1] == "one":
    process.one_heap()
enough = threading.Barrier(4)
def take():
    kept = [bytes(100_000) for _ in range(20)]
    enough.wait()
    del kept
threads = [threading.Thread(target=take) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
out = libc.fdopen(os.dup(1), b"w")
libc.malloc_info(0, ctypes.c_void_p(out))
libc.fclose(ctypes.c_void_p(out))
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="other C libraries keep no heap for each thread"
)
@pytest.mark.parametrize(("how", "one"), [("one", True), ("as it is", False)])
def test_threads_take_memory_from_one_heap(how: str, one: bool) -> None:
    """What threads gave back can be used by the forward pass; without `one_heap` each keeps its own."""
    told = subprocess.run(
        [sys.executable, "-c", HEAPS, how], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert (len(re.findall(r"<heap nr=", told)) == 1) is one


MANIFEST = """version: 1
output: page.html
models: [{name: net, source: none, checkpoints: [one.pt, two.pt]}]
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("streams")
    for name in ("one", "two"):
        torch.save({"fc.weight": torch.ones(4, 4)}, folder / f"{name}.pt")
    (folder / "config.yaml").write_text(MANIFEST)
    told = shell("build config.yaml", "", folder)
    assert told.returncode == 0, told.stderr
    return folder


def shell(command: str, redirected: str, folder: Path) -> subprocess.CompletedProcess[str]:
    line = f'"{sys.executable}" -m featreport {command} {redirected}'
    return subprocess.run(
        ["bash", "-c", line], check=False, capture_output=True, text=True, cwd=folder, timeout=120
    )


full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
COMMANDS = (
    "build config.yaml",
    "build config.yaml --no-cache",
    "check config.yaml",
    "diff page.html page.json",
    "schema",
)


@full
@pytest.mark.parametrize("command", COMMANDS)
def test_a_result_that_cannot_be_told_is_an_error_and_no_bug(command: str, project: Path) -> None:
    told = shell(command, "> /dev/full", project)
    assert told.returncode == 5
    assert told.stderr.splitlines()[-1].startswith(
        "standard output cannot be written: No space left on device; "
    )
    assert "Traceback" not in told.stderr
    assert (project / "page.html").read_text().endswith("</html>")


@full
@pytest.mark.parametrize("command", COMMANDS)
def test_a_log_that_cannot_be_written_ends_no_build(command: str, project: Path) -> None:
    told = shell(command, "2> /dev/full", project)
    assert told.returncode == 0
    assert told.stdout == shell(command, "", project).stdout != ""


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_descriptors_end_no_build_and_no_file_gets_their_numbers(
    command: str, closed: str, project: Path
) -> None:
    before = (project / "page.html").read_bytes()
    told = shell(command, closed, project)
    assert told.returncode == 0, told.stderr
    assert (project / "page.html").read_bytes() == before


@pytest.mark.parametrize("command", COMMANDS)
def test_a_reader_that_goes_is_not_told_as_a_failed_check(command: str, project: Path) -> None:
    """Exit 1 says that a check failed."""
    told = shell(command, '2>errors | true; exit "${PIPESTATUS[0]}"', project)
    assert told.returncode == 5
    assert "Traceback" not in (project / "errors").read_text()
