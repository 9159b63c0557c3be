"""The peak memory of a build with few and with many images, and of a bare forward pass at the same batch.

    python benchmarks/memory.py [--few 16] [--many 1600] [--model resnet50]

Each is a process of its own; printed is the largest resident set the system saw of it. The build with few images and
its first pictures is set against two bare processes that decode and run the same batches: one that imports torch and
torchvision, and one that has the libraries of a build in memory too (the compiled loops, the schemas, the charts).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from pathlib import Path

from job import project

MIB = 2**20
LIBRARIES = """
import torch
import featreport.cli, featreport.collect.run, featreport.report.rendering, matplotlib.figure, PIL.Image
from featreport.statistics.reduction import reduce
from featreport.statistics.table import Limits
for values in (torch.zeros(1, 2, 3), torch.zeros(1, 3, 2).transpose(1, 2)):
    reduce(values, Limits())
"""


def peak(command: list[str], folder: Path) -> int:
    """Return the peak resident bytes of a process."""
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command[:4])
    return usage.ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--few", type=int, default=16)
    parser.add_argument("--many", type=int, default=1600)
    parser.add_argument("--model", default="resnet50")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        few, bare = project(folder / "few", asked.model, asked.few)
        many, _ = project(folder / "many", asked.model, asked.many)
        loaded = [*bare[:2], LIBRARIES + bare[2], *bare[3:]]
        peaks = [peak(command, folder) for command in (few, many, bare, loaded)]
    print(f"{asked.model}, peak resident memory")
    for label, value in zip(
        (
            f"build, {asked.few} images",
            f"build, {asked.many} images",
            f"bare, {asked.few} images",
            "bare, with the libraries",
        ),
        peaks,
        strict=True,
    ):
        print(f"{label:26} {value / MIB:8.0f} MiB")
    print(f"many over few              {100 * (peaks[1] / peaks[0] - 1):+8.1f} %")
    print(f"build over bare            {(peaks[0] - peaks[2]) / MIB:+8.0f} MiB")
    print(f"  of it, not libraries     {(peaks[0] - peaks[3]) / MIB:+8.0f} MiB")


if __name__ == "__main__":
    main()
