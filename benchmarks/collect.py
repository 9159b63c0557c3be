"""What measuring every tap costs over the bare forward pass, beside other ways of looking at activations.

    python benchmarks/collect.py [--models resnet50 …] [--repeats 7] [--batch 8] [--device cuda]

Each way runs in turn within one loop, so that a slow moment of the machine falls on all of them; printed are medians.
On an accelerator each turn ends when the device has done its work; nothing waits for it within one.
"naive" is a hook that calls mean, std, min, max and histc on each output; torchlens is left out where it is not
installed (`pip install torchlens`). It wraps every torch function for good, which slows down and hides what runs after
it: it comes last, beside bare passes of its own, and each model has a process of its own. Weights are random: the time
does not depend on them.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import get_model

from featreport.collect.activations import ActivationCollector
from featreport.collect.device import choose_device, describe
from featreport.collect.forward import guarded
from featreport.collect.taps import Taps
from featreport.statistics import Settings, engine, fault

MODELS = ("alexnet", "resnet50", "mobilenet_v3_large", "vit_b_16", "convnext_tiny")
WAYS = ("bare", "featreport", "naive", "torchlens")
SLOW = 3  # turns of torchlens
Way = Callable[[], Any]


def naive(model: nn.Module, images: Tensor) -> Way:
    def hook(_module: nn.Module, _args: Any, output: Any) -> None:
        for tensor in output if isinstance(output, tuple) else (output,):
            if isinstance(tensor, Tensor) and tensor.is_floating_point():
                [tensor.mean(), tensor.std(), tensor.min(), tensor.max(), torch.histc(tensor, 50)]

    def run() -> None:
        handles = [
            module.register_forward_hook(hook)
            for module in model.modules()
            if next(module.children(), None) is None
        ]
        model(images)
        for handle in handles:
            handle.remove()

    return run


def torchlens(model: nn.Module, images: Tensor) -> Way | None:
    try:
        import torchlens as tl
    except ImportError:
        return None
    log = getattr(tl, "trace", None) or tl.log_forward_pass
    return lambda: log(model, images)


class Measuring:
    """Our own way, as a build does it: one collector over many batches."""

    def __init__(self, model: nn.Module, images: Tensor) -> None:
        self.collector = ActivationCollector(
            Settings(images=16), shown_images=0, shown_channels=12, device=images.device
        )
        self.taps = Taps(model, guarded(self.collector))
        self._model, self._images, self._seen = model, images, 0

    def __call__(self) -> float:
        """Measure one batch; return its seconds, less those of putting the hooks on, which a build does once."""
        with self.taps.attached():
            began = time.perf_counter()
            self.collector.begin_batch(self._seen, len(self._images))
            with self.taps.one_pass():
                self._model(self._images)
            self.collector.end_batch()
            finish(self._images.device)
            took = time.perf_counter() - began
        self._seen += len(self._images)
        return took


def finish(device: torch.device) -> None:
    """Wait for an accelerator's queue."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def seconds(way: Way, device: torch.device) -> float:
    began = time.perf_counter()
    took = way()
    finish(device)
    return took if isinstance(took, float) else time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--device", type=choose_device, default="cpu")
    parser.add_argument("--ways", nargs="+", default=WAYS, choices=WAYS)
    parser.add_argument("--row", action="store_true", help=argparse.SUPPRESS)  # of one model alone
    asked = parser.parse_args()
    if asked.row:
        one(asked.models[0], asked)
        return
    where = f"{torch.get_num_threads()} threads" if asked.device.type == "cpu" else describe(asked.device)
    print(
        f"batch {asked.batch}, {where}, read by {engine(asked.device)}, median of {asked.repeats}; ratio over bare"
    )
    if fault(asked.device, torch.float32):
        print(f"read by torch's own operations, because {fault(asked.device, torch.float32)}")
    print(
        f"{'model':20s} {'taps':>5s} {'bare':>9s}" + "".join(f"{way:>12s}" for way in asked.ways[1:]),
        flush=True,
    )
    for name in asked.models:  # argparse takes the last of two
        subprocess.run([sys.executable, *sys.argv, "--row", "--models", name], check=True)


def one(name: str, asked: argparse.Namespace) -> None:
    """Print the row of a model."""
    torch.manual_seed(0)
    engine(asked.device)  # is tried here: in a forward pass nothing may wait for the device
    model = get_model(name, weights=None).eval().to(asked.device)
    images = torch.randn(asked.batch, 3, 224, 224).to(asked.device)
    ours = Measuring(model, images)
    ways: dict[str, Way] = {"bare": lambda: model(images), "featreport": ours, "naive": naive(model, images)}
    chosen = {way: ways[way] for way in asked.ways if way in ways}
    with torch.inference_mode():
        times = turns(chosen, asked.repeats, asked.device)
        bare = statistics.median(times["bare"])
        ratios = {way: statistics.median(found) / bare for way, found in times.items()}
        last = torchlens(model, images) if "torchlens" in asked.ways else None
        if last is not None:
            found = turns({"bare": chosen["bare"], "torchlens": last}, min(asked.repeats, SLOW), asked.device)
            ratios["torchlens"] = statistics.median(found["torchlens"]) / statistics.median(found["bare"])
    cells = [
        f"{ratios[way]:11.2f}x" if way in ratios else f"{'–':>12s}" for way in asked.ways if way != "bare"
    ]
    print(f"{name:20s} {ours.collector.value_count:5d} {1000 * bare:6.0f} ms" + "".join(cells), flush=True)


def turns(ways: dict[str, Way], repeats: int, device: torch.device) -> dict[str, list[float]]:
    """Return the seconds of each way, in turn, after one turn that warms up."""
    times: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(repeats + 1):
        for way, run in ways.items():
            took = seconds(run, device)
            if turn:
                times[way].append(took)
    return times


if __name__ == "__main__":
    main()
