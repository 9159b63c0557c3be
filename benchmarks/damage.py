"""Entries of the store with a flipped bit or a lost end: is every one found out, is the report the same?

    python benchmarks/damage.py [--count 5000] [--seed 6] [--json]

It makes a tiny project (a network of one convolution, four pictures) and builds it once. Then, damage after damage:
the store stands as that build left it but for one bit, or for what comes after one byte, the report is gone, and the
project is built again in this process. The places are drawn evenly from every part that the store's files have:

    head        the line of an entry that tells its key, length and digest
    results     the run's numbers
    maps        pictures of feature maps
    thumbnails  pictures of the images
    made        what made the numbers, and the definitions of the statistics
    grams       what similarities of layers are computed from
    note        what an output was made of: with it the report stays, and is to be made anew

Found out: an entry is set aside, which is said; of a note, that the report was made anew. What went wrong is told below
the table, and the exit code is 1. A damage takes about an eighth of a second.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from featreport import pipeline
from featreport.executors.serial import Silent

NET = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 2, 3), nn.ReLU())
"""
MANIFEST = """version: 1
title: Damage
output: out/report.html
device: cpu
images: [photos/]
transform: none
batch_size: 4
compare: {cka: true}
models: [{name: net, source: "python:net.py:Net", checkpoints: [e.pt]}]
"""
UNCHANGED = "Nothing changed since the last build."
MOST = 20  # of what went wrong is told


@dataclass
class Row:
    """What came of the damages of one kind to one part."""

    part: str
    damage: str
    done: int = 0
    detected: int = 0
    same: int = 0  # reports with the very bytes of the undamaged one
    whole: int = 0  # files of the store that are as they were again
    wrong: list[str] = field(default_factory=list)


class Listener(Silent):
    """Keeps what a build mentions."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def mention(self, line: str) -> None:
        """Something happened that is in no report."""
        self.said.append(line)


@dataclass(frozen=True)
class Place:
    """Bytes `first … last − 1` of a file of the store."""

    path: Path
    first: int
    last: int


class Project:
    """The project, the report and the store that its first build left."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "config.yaml"
        self.report = folder / "out/report.html"
        make_project(folder)
        self.build()
        self.entry = next(folder.glob(".featreport/runs/*/*.run"))
        self.note = next(folder.glob(".featreport/outputs/*.json"))
        self.files = {path: path.read_bytes() for path in (self.report, self.entry, self.note)}
        self.parts = dict(parts(self.entry, self.files[self.entry]))
        self.parts["note"] = [Place(self.note, 0, len(self.files[self.note]))]

    def build(self) -> list[str]:
        """Build in this process; return what was mentioned."""
        listener = Listener()
        pipeline.run_plan(pipeline.make_plan(self.config), listener)
        return listener.said

    def damage(self, row: Row, chance: random.Random) -> None:
        """Damage one byte of a part, or cut the file there, build and look."""
        place = chance.choice(self.parts[row.part])
        at, bit = chance.randrange(place.first, place.last), chance.randrange(8)
        content = bytearray(self.files[place.path])
        if row.damage == "flip":
            content[at] ^= 1 << bit
        else:
            del content[at:]
        for path, whole in self.files.items():
            path.write_bytes(content if path == place.path else whole)
        if place.path != self.note:
            self.report.unlink()
        said = self.build()
        detected = (
            UNCHANGED not in said if place.path == self.note else any("set aside" in line for line in said)
        )
        same = self.report.read_bytes() == self.files[self.report]
        whole = all(path.read_bytes() == self.files[path] for path in (self.entry, self.note))
        row.done, row.detected = row.done + 1, row.detected + detected
        row.same, row.whole = row.same + same, row.whole + whole
        if not (detected and same and whole):
            what = f"bit {bit} of byte {at}" if row.damage == "flip" else f"cut at {at}"
            row.wrong.append(f"{what}: {detected=} {same=} {whole=} {said}")


def make_project(folder: Path) -> None:
    """Write a network, its checkpoint, four pictures and the manifest."""
    (folder / "photos").mkdir()
    noise = np.random.default_rng(0)
    for index in range(4):
        pixels = noise.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"photos/{index}.png")
    (folder / "net.py").write_text(NET)
    torch.manual_seed(0)
    torch.save(nn.Sequential(nn.Conv2d(3, 2, 3)).state_dict(), folder / "e.pt")
    (folder / "config.yaml").write_text(MANIFEST)


def parts(path: Path, content: bytes) -> Iterator[tuple[str, list[Place]]]:
    """Yield the places of each part of an entry; together they are all of its bytes."""
    head, _, rest = content.partition(b"\n")
    entry = json.loads(rest)
    maps = {one["picture"] for one in entry["run"]["maps"]} | {
        one["contrast"] for one in entry["run"]["maps"]
    }
    begin = len(head) + 1
    pictures, grams = (content.index(f',"{key}":'.encode(), begin) for key in ("pictures", "grams"))
    yield "head", [Place(path, 0, begin)]
    yield "results", [Place(path, begin, pictures)]
    found: dict[str, list[Place]] = {"maps": [], "thumbnails": []}
    at = pictures
    for key, uri in entry["pictures"].items():
        end = content.index(uri.encode(), at) + len(uri) + 1
        found["maps" if key in maps else "thumbnails"].append(Place(path, at, end))
        at = end
    yield from found.items()
    yield "made", [Place(path, at, grams)]
    yield "grams", [Place(path, grams, len(content))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=5000, help="damages in all")
    parser.add_argument("--seed", type=int, default=6, help="of their places")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    chance = random.Random(asked.seed)
    with tempfile.TemporaryDirectory(prefix="damage-") as folder:
        project = Project(Path(folder).resolve())
        rows = [Row(part, damage) for part in project.parts for damage in ("flip", "cut")]
        for number in range(asked.count):
            project.damage(rows[number % len(rows)], chance)
            if sys.stderr.isatty():
                print(f"\r{number + 1} of {asked.count}", end="", file=sys.stderr, flush=True)
    if asked.json:
        print(json.dumps([asdict(row) for row in rows]))
    else:
        show(rows)
    sys.exit(any(not row.done == row.detected == row.same == row.whole for row in rows))


def show(rows: list[Row]) -> None:
    """Print the table, and below it what went wrong."""
    print(
        f"{'part':12s} {'damage':8s} {'done':>6s} {'detected':>9s} {'same HTML':>10s} {'store whole again':>18s}"
    )
    names = ("done", "detected", "same", "whole")
    whole = Row("all", "", *(sum(getattr(row, name) for row in rows) for name in names))
    for row in [*rows, whole]:
        print(
            f"{row.part:12s} {row.damage:8s} {row.done:6d} {row.detected:9d} {row.same:10d} {row.whole:18d}"
        )
    for line in [f"WRONG {row.part}, {row.damage}: {line}" for row in rows for line in row.wrong][:MOST]:
        print(line)


if __name__ == "__main__":
    main()
