"""A whole build of ResNet-50 against a bare process that only imports, loads, decodes and runs the forward pass.

    python benchmarks/job.py [--pairs 5] [--images 16] [--model resnet50]
    python benchmarks/job.py --marginal [--pairs 3] [--few 160] [--many 1600]

Both are whole processes started in turn (build, bare, build, bare …); printed are the medians and the median of the
ratios pair by pair. With --marginal each pair is of four processes, and what one more image costs is the difference of
the two counts over their distance: the same for the build and for the bare loop. The photos are those that
scikit-image ships.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BARE = """
import sys
import torch
from PIL import Image
from torchvision.models import get_model
from torchvision.transforms import CenterCrop, Compose, Normalize, Resize, ToTensor
name, paths = sys.argv[1], sys.argv[2:]
transform = Compose([Resize(256), CenterCrop(224), ToTensor(), Normalize([.485, .456, .406], [.229, .224, .225])])
torch.manual_seed(0)
model = get_model(name, weights=None).eval()
with torch.inference_mode():
    for start in range(0, len(paths), 8):
        model(torch.stack([transform(Image.open(path).convert("RGB")) for path in paths[start:start + 8]]))
"""

MANIFEST = """version: 1
title: {model} over {count} photos
output: report.html
device: cpu
images: [{images}]
transform: imagenet
models:
  - name: {model}
    source: torchvision:{model}
    checkpoints: [random:0]
"""


def photos(count: int) -> list[str]:
    folder = Path(str(importlib.metadata.distribution("scikit-image").locate_file("skimage/data")))
    found = sorted(str(path) for path in folder.iterdir() if path.suffix in {".png", ".jpg"})
    return (found * (count // len(found) + 1))[:count]


def seconds(command: list[str], cwd: Path) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, cwd=cwd, capture_output=True)
    return time.perf_counter() - began


def project(folder: Path, model: str, count: int) -> tuple[list[str], list[str]]:
    """Write a manifest over `count` photos; return the commands of the build and of the bare process."""
    folder.mkdir()
    links = []
    for index, path in enumerate(
        photos(count)
    ):  # a manifest lists an image once: repeats get names of their own
        link = folder / f"photo_{index:05d}{Path(path).suffix}"
        link.symlink_to(path)
        links.append(str(link))
    manifest = folder / "config.yaml"
    names = ", ".join(Path(link).name for link in links)
    manifest.write_text(MANIFEST.format(model=model, count=count, images=names))
    build = [sys.executable, "-m", "featreport", "build", "--no-cache", str(manifest)]
    return build, [sys.executable, "-c", BARE, model, *links]


def whole(asked: argparse.Namespace, folder: Path) -> None:
    """Print the time of whole processes."""
    build, bare = project(folder / "job", asked.model, asked.images)
    seconds(build, folder)
    seconds(bare, folder)  # one warm-up each
    pairs = [(seconds(build, folder), seconds(bare, folder)) for _ in range(asked.pairs)]
    size = (folder / "job" / "report.html").stat().st_size
    print(f"{asked.model}, {asked.images} photos, {asked.pairs} pairs")
    show("s", pairs)
    print(f"report {size / 1e6:.2f} MB")


def marginal(asked: argparse.Namespace, folder: Path) -> None:
    """Print what one more image costs."""
    few = project(folder / "few", asked.model, asked.few)
    many = project(folder / "many", asked.model, asked.many)
    distance = asked.many - asked.few
    pairs = []
    for _ in range(asked.pairs):
        build, bare = (
            (seconds(more, folder) - seconds(less, folder)) for less, more in zip(few, many, strict=True)
        )
        pairs.append((1e3 * build / distance, 1e3 * bare / distance))
    print(f"{asked.model}, one more image: {asked.many} against {asked.few} photos, {asked.pairs} pairs")
    show("ms", pairs)


def show(unit: str, pairs: list[tuple[float, float]]) -> None:
    """Print medians, ranges and the ratio."""
    for name, values in zip(("build", "bare"), zip(*pairs, strict=True), strict=True):
        low, high = min(values), max(values)
        print(f"{name:6} median {statistics.median(values):7.2f} {unit}   ({low:.2f} … {high:.2f})")
    print(f"ratio  median {statistics.median(a / b for a, b in pairs):7.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--marginal", action="store_true", help="what one more image costs")
    parser.add_argument("--few", type=int, default=160)
    parser.add_argument("--many", type=int, default=1600)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        (marginal if asked.marginal else whole)(asked, Path(name))


if __name__ == "__main__":
    main()
