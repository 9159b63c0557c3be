"""A whole build of ResNet-50 against a bare process that only imports, loads, decodes and runs the forward pass.

    python benchmarks/job.py [--pairs 5] [--images 16] [--model resnet50]

Both are whole processes started in turn (build, bare, build, bare …); printed are the medians and the median of the
ratios pair by pair. The photos are those that scikit-image ships.
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--model", default="resnet50")
    asked = parser.parse_args()
    paths = photos(asked.images)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        links = []
        for index, path in enumerate(paths):  # a manifest lists an image once: repeats get names of their own
            link = folder / f"photo_{index:05d}{Path(path).suffix}"
            link.symlink_to(path)
            links.append(str(link))
        manifest = folder / "config.yaml"
        manifest.write_text(
            MANIFEST.format(
                model=asked.model, count=asked.images, images=", ".join(Path(p).name for p in links)
            )
        )
        build = [sys.executable, "-m", "featreport", "build", str(manifest)]
        bare = [sys.executable, "-c", BARE, asked.model, *links]
        seconds(build, folder)
        seconds(bare, folder)  # one warm-up each
        pairs = [(seconds(build, folder), seconds(bare, folder)) for _ in range(asked.pairs)]
        size = (folder / "report.html").stat().st_size
    ours, theirs = zip(*pairs, strict=True)
    print(f"{asked.model}, {asked.images} photos, {asked.pairs} pairs")
    print(f"build  median {statistics.median(ours):6.2f} s   ({min(ours):.2f} … {max(ours):.2f})")
    print(f"bare   median {statistics.median(theirs):6.2f} s   ({min(theirs):.2f} … {max(theirs):.2f})")
    print(f"ratio  median {statistics.median(a / b for a, b in pairs):6.2f}")
    print(f"report {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
