"""One bad network does not spoil the batch: whatever its code does, the good run beside it is reported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

NETS = """
import sys, torch
from torch import nn

class Tiny(nn.Module):
    def __init__(self):
        super().__init__(); self.conv = nn.Conv2d(3, 4, 3); self.relu = nn.ReLU()
        self.register_buffer("cache", torch.zeros(2))
    def forward(self, x): return self.relu(self.conv(x))

class Exits(Tiny):
    def forward(self, x): sys.exit(0)
class Stops(Tiny):
    def forward(self, x): raise GeneratorExit
class Grows(Tiny):
    def forward(self, x): self.cache = torch.zeros(3); return super().forward(x)
class Forgets(Tiny):
    def forward(self, x): self._buffers.pop("cache", None); return super().forward(x)
class Trains(Tiny):
    def train(self, mode=True): raise RuntimeError("no train")
class Moves(Tiny):
    def to(self, *a, **k): raise RuntimeError("no to")
class Hides(Tiny):
    def state_dict(self, *a, **k): raise RuntimeError("no state")
class Shouts(Tiny):
    def forward(self, x): print("HELLO"); return super().forward(x)
class Draws(Tiny):
    def forward(self, x): return torch.nn.functional.dropout(super().forward(x), 0.5)
class Long(Tiny):
    def forward(self, x): raise RuntimeError("x" * 200_000)
class Elsewhere(Tiny):
    def forward(self, x): return super().forward(x).to("meta")

def lazy(): return nn.Sequential(nn.LazyConv2d(4, 3))
def meta():
    with torch.device("meta"): return Tiny()
def script(): return torch.jit.script(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()))
def compiled(): return torch.compile(Tiny(), backend="eager")
"""
OUTCOMES = {  # the factory → what its error says; nothing where the run succeeds
    "Exits": "SystemExit: 0",
    "Stops": "GeneratorExit",
    "Grows": "",
    "Forgets": "",
    "Trains": "no train",
    "Moves": "no to",
    "Hides": "",
    "Shouts": "",
    "Draws": "",
    "Long": "RuntimeError: xxx",
    "lazy": "not initialised yet",
    "meta": "without numbers (device meta)",
    "script": "TorchScript program",
    "compiled": "",
}


def write(folder: Path, *names: str) -> Path:
    (folder / "nets.py").write_text(NETS)
    (folder / "img").mkdir(exist_ok=True)
    for index in range(3):
        Image.effect_noise((20, 20), 60 + index).convert("RGB").save(folder / f"img/{index}.png")
    models = "".join(
        f"  - {{name: {name}, source: 'python:nets.py:{name}', checkpoints: [random:0]}}\n" for name in names
    )
    manifest = folder / "config.yaml"
    manifest.write_text(f"version: 1\ndevice: cpu\nimages: [img/]\ntransform: none\nmodels:\n{models}")
    return manifest


def run(manifest: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "featreport", "build", str(manifest)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("batch")
    return folder, run(write(folder, *OUTCOMES, "Tiny"))


def test_every_other_run_is_reported_and_the_exit_says_that_some_failed(
    built: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    import featreport

    folder, done = built
    assert done.returncode == 3, done.stderr
    results = featreport.load(folder / "reports/config.json")
    outcomes = {one.model: one.error.message if one.error else "" for one in results.runs}
    for name, expected in {**OUTCOMES, "Tiny": ""}.items():
        assert expected in outcomes[name], name
        assert bool(expected) == bool(outcomes[name]), outcomes[name]
        assert len(outcomes[name]) < 600


def test_standard_output_carries_the_result_alone(
    built: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    _, done = built
    assert "HELLO" not in done.stdout
    assert "HELLO" in done.stderr
    assert done.stdout.splitlines()[0].endswith("config.html")


def test_a_network_that_draws_random_numbers_gives_the_same_report_twice(tmp_path: Path) -> None:
    manifest = write(tmp_path, "Draws")
    pages = []
    for _ in range(2):
        assert run(manifest).returncode == 0
        pages.append((tmp_path / "reports/config.html").read_bytes())
    assert pages[0] == pages[1]
