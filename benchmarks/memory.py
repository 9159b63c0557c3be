"""The peak memory of a build with few and with many images, and of a bare forward pass at the same batch.

    python benchmarks/memory.py [--few 16] [--many 1600] [--model resnet50] [--times 3]

Each is a process of its own; printed is the largest resident set the system saw of it, the median of a few processes
and their range. The build with few images and its first pictures is set against two bare processes that decode and run
the same batches: one that imports torch and torchvision, and one that has in memory what a build has while it measures
(the schemas, most of all).
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
from pathlib import Path

from job import project

MIB = 2**20
LIBRARIES = """
import torch
import featreport.cli, featreport.collect.run, PIL.Image
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
    parser.add_argument("--times", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        few, bare = project(folder / "few", asked.model, asked.few)
        many, _ = project(folder / "many", asked.model, asked.many)
        loaded = [*bare[:2], LIBRARIES + bare[2], *bare[3:]]
        commands = {
            f"build, {asked.few} images": few,
            f"build, {asked.many} images": many,
            f"bare, {asked.few} images": bare,
            "bare, with the libraries": loaded,
        }
        peaks = {
            label: [peak(command, folder) for _ in range(asked.times)] for label, command in commands.items()
        }
    print(f"{asked.model}, peak resident memory, {asked.times} processes each")
    for label, values in peaks.items():
        print(
            f"{label:26} {statistics.median(values) / MIB:8.0f} MiB   "
            f"({min(values) / MIB:.0f} … {max(values) / MIB:.0f})"
        )
    few_peak, many_peak, bare_peak, loaded_peak = map(statistics.median, peaks.values())
    print(f"many over few              {100 * (many_peak / few_peak - 1):+8.1f} %")
    print(f"build over bare            {(few_peak - bare_peak) / MIB:+8.0f} MiB")
    print(f"  of it, not libraries     {(few_peak - loaded_peak) / MIB:+8.0f} MiB")


if __name__ == "__main__":
    main()
