"""What the command line's process asks of the system for itself."""

from __future__ import annotations

import platform
import re
import subprocess
import sys

import pytest

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
