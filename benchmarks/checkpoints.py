"""Reading and measuring large checkpoint files against a plain sequential read and torch's own mapping.

    python benchmarks/checkpoints.py [--gigabytes 1] [--rounds 3] [--folder DIR]

For files of torch.save (zip and legacy) and of safetensors with the same tensors, each in a process of its own:

- plain: the file read once from start to end, then torch.load(mmap=True) or safetensors' load_file
- read:  featreport reads it: SHA-256, every checksum, every bound, the tree of plain data
- whole: read, and every weight measured (zeros, moments, histogram), as `source: none` does

Printed are median seconds, the ratio to plain, and the peak of resident memory above the imports.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

WORK = """
import sys, time
from pathlib import Path
import safetensors.torch, torch
from featreport.checkpoints import reading
from featreport.collect.weights import measure_tensors
from featreport.statistics import Settings
torch.set_num_threads(2)
what, path = sys.argv[1], Path(sys.argv[2])

def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024

Path("/proc/self/clear_refs").write_text("5")  # Linux: forget the peak so far
before, began = peak(), time.perf_counter()
if what == "plain":
    with path.open("rb") as file:
        while file.read(2**20):
            pass
    if path.suffix == ".pt":
        torch.load(path, map_location="cpu", weights_only=True, mmap=path.stem == "big")
    else:
        safetensors.torch.load_file(path)
else:
    tree = reading.read(path).tree
    if what == "whole":
        measure_tensors(tree, Settings())
print(time.perf_counter() - began, peak() - before)
"""


def write(folder: Path, gigabytes: float) -> dict[str, Path]:
    import safetensors.torch
    import torch

    torch.manual_seed(0)
    count = max(1, round(gigabytes * 2**30 / (4 * 2**24)))
    tensors = {f"layers.{index}.weight": torch.randn(4096, 4096) * 0.02 for index in range(count)}
    paths = {
        "torch zip": folder / "big.pt",
        "torch legacy": folder / "old.pt",
        "safetensors": folder / "big.safetensors",
    }
    torch.save(tensors, paths["torch zip"])
    torch.save(tensors, paths["torch legacy"], _use_new_zipfile_serialization=False)
    safetensors.torch.save_file(tensors, paths["safetensors"])
    return paths


def once(what: str, path: Path) -> tuple[float, float]:
    done = subprocess.run(
        [sys.executable, "-c", WORK, what, str(path)], check=True, capture_output=True, text=True
    )
    seconds, mib = done.stdout.split()
    return float(seconds), float(mib)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--folder", type=Path, help="where the files are written; a temporary folder otherwise"
    )
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as name:
        for kind, path in write(Path(name), asked.gigabytes).items():
            size = path.stat().st_size / 2**20
            runs: dict[str, list[tuple[float, float]]] = {"plain": [], "read": [], "whole": []}
            for _ in range(asked.rounds):
                for what, found in runs.items():
                    found.append(once(what, path))
            base = statistics.median(seconds for seconds, _ in runs["plain"])
            print(f"{kind}, {size:,.0f} MiB")
            for what, found in runs.items():
                seconds = statistics.median(one for one, _ in found)
                peak = max(mib for _, mib in found)
                print(
                    f"  {what:<6} {seconds:6.2f} s  ratio {seconds / base:6.2f}  "
                    f"peak {peak:6,.0f} MiB ({peak - size:+,.0f} to the file)"
                )


if __name__ == "__main__":
    main()
