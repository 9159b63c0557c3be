"""How images reach the network changes no number: decoding threads, batches, exhausted memory, an accelerator."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from featreport.collect import probe
from featreport.collect.activations import ActivationCollector
from featreport.collect.forward import guarded
from featreport.collect.taps import Taps
from featreport.images import batches
from featreport.plan.types import ImageRef, TransformSpec
from featreport.statistics import Settings, engine
from runs import pictures, run_module

NET = """
import torch
from torch import nn
def make(): return nn.Sequential(nn.Conv2d(3, 6, 3, stride=2), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 4, 3))
"""
HUNGRY = """
import torch
from torch import nn
class Hungry(nn.Sequential):
    def forward(self, x):
        x = self[1](self[0](x))
        if x.shape[0] > LIMIT: raise torch.OutOfMemoryError("out of memory, tried to allocate 1 TiB")
        return nn.functional.dropout(self[2](x), 0.5)
def make(): return Hungry(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3))
"""
HALF = """
import torch
def to_input(image):
    from torchvision.transforms.functional import to_tensor
    return to_tensor(image.resize((40, 36))).sub(0.5)
"""


def with_broken(folder: Path) -> tuple[ImageRef, ...]:
    refs = pictures(folder, 13, (40, 36))
    for index, content in ((0, b""), (4, b"GIF89a"), (5, refs[5].path.read_bytes()[:900]), (12, b"<html>")):
        refs[index].path.write_bytes(content)
    return refs


@pytest.mark.parametrize("kind", ["spec", "python"])
def test_one_two_and_four_decoding_workers_give_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    (tmp_path / "t.py").write_text(HALF)
    transform = {
        "spec": TransformSpec(resize=32, crop=28, mean=(0.5,), std=(0.25,), text="t"),
        "python": TransformSpec("python", python_file=tmp_path / "t.py", python_name="to_input", text="t"),
    }[kind]
    images = with_broken(tmp_path)
    threads = torch.get_num_threads()
    outcomes = []
    for count in (1, 2, 4):
        monkeypatch.setattr(batches, "cores", lambda count=count: count)
        assert batches.ImageBatches(images, transform).workers == count
        outcomes.append(run_module(NET, tmp_path, images, transform=transform, batch_size=4))
        assert torch.get_num_threads() == threads
    assert outcomes[0].run.images.count == 9
    assert len(outcomes[0].run.images.failed) == 4
    assert outcomes[0] == outcomes[1] == outcomes[2]


def test_half_the_batch_after_memory_ran_out_counts_nothing_twice(tmp_path: Path) -> None:
    images = pictures(tmp_path, 5)
    asked = run_module(HUNGRY.replace("LIMIT", "2"), tmp_path, images, batch_size=8).run
    plain = run_module(HUNGRY.replace("LIMIT", "99"), tmp_path, images, batch_size=2).run
    assert asked.status == "ok"
    assert asked.batch_size == 2
    assert [note for note in asked.notes if "Memory ran out" in note] == [
        f"Memory ran out; the batch size was halved to {size} (this can change the last bits)."
        for size in (4, 2)
    ]
    assert asked.model_copy(update={"notes": []}) == plain.model_copy(update={"notes": []})


def test_memory_too_small_for_one_image_fails_the_run(tmp_path: Path) -> None:
    run = run_module(HUNGRY.replace("LIMIT", "0"), tmp_path, pictures(tmp_path, 3), batch_size=2).run
    assert run.error is not None
    assert run.error.stage == "forward"
    assert run.error.hint == "lower batch_size"


@pytest.mark.parametrize("kind", ["half", "bfloat16", "double"])
@pytest.mark.parametrize(
    "layer", ["nn.Conv2d(3, 4, 1)", "nn.Linear(8, 4)", "nn.GRU(8, 4)", "nn.BatchNorm2d(3)"]
)
def test_a_network_that_makes_another_type_is_told_of_the_precision(
    tmp_path: Path, kind: str, layer: str
) -> None:
    of = "x[:, 0]" if "GRU" in layer else "x"
    code = (
        "import torch\nfrom torch import nn\nclass make(nn.Module):\n"
        f"    def __init__(self):\n        super().__init__(); self.layer = {layer}; self.end = nn.Linear(8, 4)\n"
        f"    def forward(self, x): self.layer({of}.{kind}()); return self.end(x.{kind}())"
    )
    run = run_module(code, tmp_path, pictures(tmp_path, 2)).run
    assert run.error is not None
    assert "`precision`" in run.error.hint


@pytest.mark.parametrize(
    ("forward", "hint"),
    [
        ("def forward(self, x, mask): return self.end(x) * mask", "with the images alone"),
        (
            "def forward(self, x):\n        with ThreadPoolExecutor() as p: return p.submit(self.end, x).result()",
            "threads of its own",
        ),
        (
            "def forward(self, x):\n        with torch.enable_grad(): y = self.end(x).sum()\n        y.backward()",
            "no gradients",
        ),
    ],
    ids=["arguments", "threads", "gradients"],
)
def test_a_network_that_cannot_run_so_is_told_what_it_must_not_do(
    tmp_path: Path, forward: str, hint: str
) -> None:
    code = (
        "import torch\nfrom torch import nn\nfrom concurrent.futures import ThreadPoolExecutor\n"
        "class make(nn.Module):\n    def __init__(self):\n        super().__init__(); self.end = nn.Linear(8, 4)\n"
        f"    {forward}\n"
    )
    run = run_module(code, tmp_path, pictures(tmp_path, 2)).run
    assert run.error is not None
    assert hint in run.error.hint


class Counting(nn.Sequential):
    """A network with a memory of its calls."""

    calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        result: torch.Tensor = super().forward(x)
        return result


@pytest.mark.parametrize(
    ("free", "size"),
    [(64 * 2**30, 8), (8 * 131_072 * 3, 4), (600_000, 1), (1000, 1)],
    ids=["much", "some", "little", "none"],
)
def test_the_automatic_batch_fits_the_free_memory(
    monkeypatch: pytest.MonkeyPatch, free: int, size: int
) -> None:
    monkeypatch.setattr(probe, "free_memory", lambda: free)
    model = Counting(
        nn.Conv2d(3, 16, 3, padding=1), nn.ReLU()
    ).eval()  # ReLU: 2 · 16 · 32² values, 131,072 bytes
    assert probe.auto_batch(model, torch.rand(3, 32, 32)) == size
    assert model.calls == 0, "the run's own network was run"
    assert not any(module._forward_hooks for module in model.modules())


def test_the_automatic_batch_is_8_on_the_cpu_and_recorded(tmp_path: Path) -> None:
    assert run_module(NET, tmp_path, pictures(tmp_path, 3), batch_size=None).run.batch_size == 8


def test_a_probe_leaves_the_random_numbers_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, code = pictures(tmp_path, 3), HUNGRY.replace("LIMIT", "99")
    plain = run_module(code, tmp_path, images, batch_size=8).run
    monkeypatch.setattr(probe, "free_memory", lambda: 8 * 3 * 64 * 512)  # not enough to do without a probe
    monkeypatch.setattr(probe, "LIVE", 0)
    assert run_module(code, tmp_path, images, batch_size=None).run == plain


def measured_passes(device: torch.device, sync_mode: str | None) -> None:
    """Run two measured batches after one that warms up; nothing in them may wait for the device."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.Flatten(), nn.LazyLinear(5)
    )
    model(torch.rand(1, 3, 16, 16))
    model.eval().to(device)
    collector = ActivationCollector(Settings(0.0, 1e-3), shown_images=2, shown_channels=4, device=device)
    taps = Taps(model, guarded(collector))
    pin = device.type == "cuda"
    host = [torch.empty(4, 3, 16, 16, pin_memory=pin).uniform_() for _ in range(3)]
    with torch.inference_mode(), taps.attached():
        for number, batch in enumerate(host):
            if number == 1 and sync_mode is not None:
                torch.cuda.set_sync_debug_mode(sync_mode)
            try:
                inputs = batch.to(device, torch.float32, non_blocking=pin)
                collector.begin_batch(4 * number, 4)
                with taps.one_pass():
                    model(inputs)
                collector.end_batch()
            finally:
                if number == 2 and sync_mode is not None:
                    torch.cuda.set_sync_debug_mode("default")
    activations, shown = collector.value()
    assert [tap.images for tap in activations] == [12] * len(activations)
    assert len(activations) == 5
    kept = {one.tap.kind: one.maps.value().shape[0] for one in shown if one.maps.kind is not None}
    assert kept == {"Conv2d": 2, "ReLU": 2, "Flatten": 2, "Linear": 2}  # maps of a norm are never shown


def test_measured_passes_run_to_the_end() -> None:
    measured_passes(torch.device("cpu"), None)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA: its sync debug mode")
def test_nothing_waits_for_the_device_inside_the_forward_pass() -> None:
    device = torch.device("cuda", 0)
    engine(device)  # is tried before any forward pass: only that may wait
    try:
        measured_passes(device, "error")
    finally:
        torch.cuda.set_sync_debug_mode("default")


PEAK = """
import resource, sys, torch
from pathlib import Path
from runs import run_module
from featreport.plan.types import ImageRef, TransformSpec
folder, count = Path(sys.argv[1]), int(sys.argv[2])
(folder / sys.argv[2]).mkdir()
refs = []
for index in range(count):
    path = folder / sys.argv[2] / f"{index}.png"
    path.symlink_to(folder / f"picture_{index % 4}.png")
    refs.append(ImageRef(path, path.name))
net = "from torch import nn\\ndef make(): return nn.Sequential(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 8, 3))"
run = run_module(net, folder, refs, batch_size=8, transform=TransformSpec(size=(96, 96), text="t")).run
assert run.images.count == count, run.error
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_peak_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    pictures(tmp_path, 4, (300, 200))
    peaks = [
        int(
            subprocess.run(
                [sys.executable, "-c", PEAK, str(tmp_path), str(count)],
                env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        )
        for count in (16, 400)
    ]
    assert abs(peaks[1] - peaks[0]) < 0.05 * peaks[0]
