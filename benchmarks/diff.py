"""`featreport diff` of two reports, each time in a new process, and what a sketch costs a build.

    python benchmarks/diff.py A.html B.html [--rounds 9] [--model resnet50]

Printed are the wall time of the command with process start, for the reports and with every output written, its
parts in one process, and the time of `weights.sketch` over a network's tensors beside that of "one reading" of them.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def command(*arguments: str | Path) -> None:
    code = "import sys; from featreport.cli import main; main()"
    subprocess.run(
        [sys.executable, "-c", code, "diff", *map(str, arguments)], check=True, capture_output=True
    )


def told(what: str, times: list[float]) -> None:
    print(f"{what:44} median {1e3 * statistics.median(times):7.0f} ms  least {1e3 * min(times):7.0f} ms")


def whole(before: Path, after: Path, rounds: int) -> None:
    """Time the command."""
    with tempfile.TemporaryDirectory() as folder:
        files = [f"--{kind}={Path(folder) / kind}" for kind in ("json", "markdown", "html")]
        command(before, after)  # compiled files and disk are warm
        told("diff, process start included", [seconds(lambda: command(before, after)) for _ in range(rounds)])
        told(
            "the same, with JSON, Markdown and HTML",
            [seconds(lambda: command(before, after, *files)) for _ in range(rounds)],
        )


def parts(before: Path, after: Path, rounds: int) -> None:
    """Time what the command does, without starting."""
    from featreport.differences import read
    from featreport.judge.compare import compare
    from featreport.report.differences import render

    told("reading both", [seconds(lambda: (read(before), read(after))) for _ in range(rounds)])
    one, other = read(before), read(after)
    told("comparing", [seconds(lambda: compare(one, other, force=True)) for _ in range(rounds)])
    found = compare(one, other, force=True)
    render(found)
    told("its page", [seconds(lambda: render(found)) for _ in range(rounds)])
    print(found.verdict)


def sketches(name: str, rounds: int) -> None:
    """Time the sketch beside one reading of all parameters."""
    import torch
    from torchvision.models import get_model

    from featreport.collect.weights import parameters
    from featreport.statistics import Settings
    from featreport.statistics.weights.sketch import WeightSketch

    torch.manual_seed(0)
    model, statistic = get_model(name, weights=None).eval(), WeightSketch(Settings())
    subjects = parameters(model, Settings())

    def sketch() -> None:
        for subject in subjects:
            statistic.value(subject)

    sketch()
    reading, cost = [], []
    for _ in range(rounds):
        reading.append(seconds(lambda: parameters(model, Settings())))
        cost.append(seconds(sketch))
    told(f"{name}: one reading of {len(subjects)} tensors", reading)
    told(f"{name}: sketch and digest of them, one thread", cost)
    size = sum(len(str(statistic.value(subject)["sketch"])) for subject in subjects) / len(subjects)
    print(f"{size:.0f} bytes of sketch a tensor")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--model", default="resnet50")
    asked = parser.parse_args()
    whole(asked.before, asked.after, asked.rounds)
    parts(asked.before, asked.after, asked.rounds)
    sketches(asked.model, asked.rounds)


if __name__ == "__main__":
    main()
