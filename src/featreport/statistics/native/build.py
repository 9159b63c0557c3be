"""Compiles the loops that read tensors while featreport is installed: hatchling calls this file.

    python src/featreport/statistics/native/build.py    # in a checkout, after an edit of the C files

A C compiler is used where there is one, else the one that the package `ziglang` brings, which hatchling then fetches.
Without either featreport is installed all the same: tensors are then read by the definition in torch, which takes
longer.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

HERE = Path(__file__).resolve().parent
SOURCES = ("reading.c", "reading_of.h")
SUFFIX = ".dll" if sys.platform == "win32" else ".so"
X86 = platform.machine().lower() in {"x86_64", "amd64"}
# Which CPUs a library is for (`library.py` chooses), and what torch has found in them where it speaks of the kind.
KINDS: dict[str, list[str]] = {"any": []}
if X86:
    KINDS |= {"avx2": ["-mavx2"], "avx512": ["-mavx512f", "-mavx512vl", "-mavx512bw", "-mavx512dq"]}
FLAGS = [
    *("-std=c11", "-O3", "-shared", "-fvisibility=hidden", *(() if sys.platform == "win32" else ("-fPIC",))),
    *("-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros"),
    "-ffp-contract=off",  # the same last bits on CPUs with and without fused multiply-add
    "-g0",  # zig's would name the folder: the same sources and compiler shall give the same bytes, and keys of runs
]


def digest(folder: Path = HERE) -> str:
    """Return what tells one state of the C files from another."""
    told = sha256()
    for name in SOURCES:
        told.update(sha256((folder / name).read_bytes()).digest())
    return told.hexdigest()[:16]


def compilers() -> Iterator[list[str]]:
    """Yield the commands to try, best first."""
    for name in (os.environ.get("CC", ""), "cc", "gcc", "clang"):
        command = name.split()
        if command and shutil.which(command[0]):
            yield command
    if importlib.util.find_spec("ziglang") is not None:
        yield [sys.executable, "-m", "ziglang", "cc", "-mcpu=baseline"]  # else it compiles for this very CPU


def compile_into(folder: Path, kinds: Sequence[str] = tuple(KINDS)) -> list[str]:
    """Compile the loops into a folder, in place of those there.

    Returns:
        What the compilers complained of; empty where one has made every library.
    """
    complaints = []
    for command in compilers():
        try:
            with tempfile.TemporaryDirectory(dir=folder) as name:
                complaint = _compile(command, Path(name), kinds)
                if complaint is None:
                    for old in folder.glob(f"reading-*{SUFFIX}"):
                        old.unlink()
                    for made in Path(name).glob(f"reading-*{SUFFIX}"):
                        made.replace(folder / made.name)
                    return []
        except OSError as error:  # the folder may not be written, the command not be run
            complaint = str(error)
        complaints.append(f"{' '.join(command)}: {complaint}")
    return complaints or ["there is no C compiler"]


def _compile(command: list[str], folder: Path, kinds: Sequence[str]) -> str | None:
    for kind in kinds:
        told = [f'-DSOURCES="{digest()}"', "-o", str(folder / f"reading-{kind}{SUFFIX}")]
        arguments = [*command, *FLAGS, *KINDS[kind], *told, str(HERE / "reading.c")]
        done = subprocess.run(arguments, capture_output=True, text=True, check=False)
        if done.returncode:
            return "\n".join((done.stderr or f"exit status {done.returncode}").splitlines()[:5])
    return None


class ReadingHook(BuildHookInterface[Any]):
    """What hatchling calls before it makes a wheel, or an editable installation."""

    def dependencies(self) -> list[str]:
        """Return what must be there to build: a compiler, where the system has none that works.

        A Mac without Apple's tools has a `cc` that only offers to install them, a Linux maybe one without C's headers.
        """
        with tempfile.TemporaryDirectory() as name:
            return ["ziglang>=0.13"] if compile_into(Path(name), ["any"]) else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's own names
        """Compile, and say for which system the wheel is then."""
        complaints = compile_into(HERE)
        if complaints:
            self.app.display_warning(
                "featreport will read tensors by torch's own functions, which takes longer:"
            )
            self.app.display_warning("\n".join(complaints))
            return
        system = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{system}"


if __name__ == "__main__":
    print("\n".join(compile_into(HERE)) or "compiled")
