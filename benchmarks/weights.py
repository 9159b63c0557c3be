"""Weight statistics of ResNet-50 against one `torch.sum` pass over its parameters, and against WeightWatcher.

    python benchmarks/weights.py [--rounds 9] [--model resnet50]

Timed in turn in one process (sum, one reading, sum, one reading …); printed are medians and their ratios. "One
reading" gives every number that needs the parameters once: moments, extrema, counts, and of each output channel max |w|
and L2 norm, with dead filters; the norms' numbers are in it. WeightWatcher is compared where it is installed.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import statistics
import time
import warnings
from collections.abc import Callable

import torch
from torch import nn
from torchvision.models import get_model

from featreport.collect.norms import measure_norms
from featreport.collect.weights import measure_weights, parameters
from featreport.statistics import Settings
from featreport.statistics.weights import all_weight_statistics

READING = {"weights.dead", "weights.near_zero_fraction", "weights.std"}
SPECTRAL = {"weights.spectral_norm", "weights.redundant_fraction"}


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def total(model: nn.Module) -> None:
    for parameter in model.parameters():
        torch.sum(parameter.detach())


def some(model: nn.Module, metrics: set[str], *, norms: bool = False) -> None:
    chosen = [one for one in all_weight_statistics(Settings()) if one.metric in metrics]
    for subject in parameters(model, Settings()):
        for statistic in chosen:
            statistic.value(subject)
    if norms:
        measure_norms(model)


def watcher(model: nn.Module) -> Callable[[], object] | None:
    """Return WeightWatcher's analysis of the model, or None where it is not installed."""
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            import weightwatcher
    except ImportError:
        return None
    logging.getLogger("weightwatcher").setLevel(logging.ERROR)

    def work() -> object:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            return weightwatcher.WeightWatcher(model=model).analyze()

    return work


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--model", default="resnet50")
    asked = parser.parse_args()
    torch.manual_seed(0)
    model = get_model(asked.model, weights=None).eval()
    works: dict[str, Callable[[], object]] = {
        "torch.sum of every parameter": lambda: total(model),
        "one reading": lambda: some(model, READING),
        "one reading, with the norms": lambda: some(model, READING, norms=True),
        "with the histogram": lambda: some(model, READING | {"weights.histogram"}),
    }
    for work in works.values():
        work()  # warm-up: threads, compiled loops
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(asked.rounds):
        for name, work in works.items():
            times[name].append(seconds(work))
    tensors = sum(1 for _ in model.parameters())
    print(f"{asked.model}: {tensors} tensors, {torch.get_num_threads()} threads, {asked.rounds} rounds")
    base = statistics.median(times["torch.sum of every parameter"])
    for name, found in times.items():
        middle = statistics.median(found)
        print(
            f"{name:32} median {1e3 * middle:8.1f} ms  least {1e3 * min(found):8.1f} ms  {middle / base:6.2f}×"
        )
    spectral = [seconds(lambda: some(model, SPECTRAL)) for _ in range(3)]
    everything = [seconds(lambda: measure_weights(model, Settings())) for _ in range(3)]
    print(f"{'spectrum and redundant filters':32} median {statistics.median(spectral):8.2f} s")
    print(f"{'every statistic':32} median {statistics.median(everything):8.2f} s")
    analyze = watcher(model)
    print(
        f"{'WeightWatcher analyze()':32} "
        + ("not installed" if analyze is None else f"{seconds(analyze):15.2f} s (one run)")
    )


if __name__ == "__main__":
    main()
