"""What the runs of a build share changes no number: a network that is used again, a checkpoint read ahead."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from featreport.checkpoints import ahead
from featreport.collect import session as sharing
from featreport.collect.reuse import Built
from featreport.collect.run import execute_run
from featreport.collect.session import Session
from featreport.plan.types import CheckpointRef, Plan, RunPlan, SourceRef
from featreport.results.schema import Run
from runs import NONE, pictures

NETS = """
import torch
from torch import nn

CALLS = []
TOTAL = 0

class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.act = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()
        self.register_buffer("scale", torch.ones(1), persistent=False)
    def forward(self, x): return self.act(self.norm(self.conv(x))) * self.scale

class Mutates(Plain):
    def forward(self, x):
        self.scale += 1
        return super().forward(x)

class Replaces(Plain):
    def forward(self, x):
        self.scale = self.scale + 1
        return super().forward(x)

class Counts(Plain):
    calls = 0
    def forward(self, x):
        self.calls += 1
        return super().forward(x) * self.calls

class CountsInItsClass(Plain):
    calls = [0]
    def forward(self, x):
        self.calls[0] += 1
        return super().forward(x) * self.calls[0]

class CountsInItsFile(Plain):
    def forward(self, x):
        global TOTAL
        TOTAL += 1
        CALLS.append(TOTAL)
        return super().forward(x) * len(CALLS)

class CountsOutOfSight(Plain):
    def __init__(self):
        super().__init__()
        self.calls = iter(range(1, 100))
    def forward(self, x): return super().forward(x) * next(self.calls)

class Hooks(Plain):
    def forward(self, x):
        if x.shape[0]: self.conv.register_forward_hook(lambda module, args, out: out + 1)
        return super().forward(x)
"""
USED_AGAIN = {"Plain", "Mutates", "Replaces"}
ALL = [
    *sorted(USED_AGAIN),
    *("Counts", "CountsInItsClass", "CountsInItsFile", "CountsOutOfSight", "Hooks"),
]


def a_plan(folder: Path, factory: str, **fields: Any) -> Plan:
    """Write a file of networks and four checkpoints, one of which lacks a tensor and one of which is broken."""
    (folder / "net.py").write_text(NETS)
    scope: dict[str, Any] = {}
    exec(NETS, scope)
    refs = [CheckpointRef("random", "random:0", seed=0)]
    for number in range(4):
        torch.manual_seed(number + 1)
        state = scope["Plain"]().state_dict()
        if number == 1:
            del state["conv.bias"]
        path = folder / f"epoch_{number}.pt"
        torch.save(state, path)
        if number == 2:
            path.write_bytes(path.read_bytes()[:-40])
        refs.append(CheckpointRef("file", path.name, path=path, allow_missing=("conv.bias",)))
    refs.append(CheckpointRef("random", "random:5", seed=5))
    images = pictures(folder, 3)
    source = SourceRef("python-file", f"python:net.py:{factory}", factory, file=folder / "net.py")
    runs = tuple(
        RunPlan(f"net/{ref.text}", "net", ref.text, source, ref, (), (), images, NONE) for ref in refs
    )
    plan = Plan(
        "t", "config.yaml", "", folder / "report.html", "cpu", "float32", 2, 0.0, 1e-3, 15_000_000, 4, 2, runs
    )
    return dataclasses.replace(plan, **fields)


def results(plan: Plan, *, sharing: bool) -> list[Run]:
    session = Session(plan.runs, sharing=sharing)
    return [
        execute_run(plan, run, torch.device("cpu"), 10**6, lambda _done, _of: None, session).run
        for run in plan.runs
    ]


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The sources that were built, in order."""
    done: list[str] = []

    def counted(source: SourceRef, **given: Any) -> nn.Module:
        done.append(source.name)
        return original(source, **given)

    original = sharing.build_model
    monkeypatch.setattr(sharing, "build_model", counted)
    return done


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("factory", ALL)
def test_sharing_changes_no_number(tmp_path: Path, factory: str, precision: Any, builds: list[str]) -> None:
    plan = a_plan(tmp_path, factory, precision=precision)
    shared = results(plan, sharing=True)
    of_shared = len(builds)
    assert shared == results(plan, sharing=False)
    assert [run.status for run in shared] == ["ok", "ok", "ok", "failed", "ok", "ok"]
    assert len(builds) - of_shared == 6
    # random:0, then twice again; built for the run after the broken one and for random:5
    assert of_shared == (3 if factory in USED_AGAIN else 6)


def test_a_network_is_not_kept_for_a_run_that_is_built_otherwise(tmp_path: Path) -> None:
    plan = a_plan(tmp_path, "Plain")
    other = dataclasses.replace(plan.runs[1], source=dataclasses.replace(plan.runs[1].source, args={"n": 1}))
    session = Session((plan.runs[0], other))
    session.model(plan.runs[0])
    assert session._held is None


def test_an_edited_file_is_built_anew(tmp_path: Path, builds: list[str]) -> None:
    plan = a_plan(tmp_path, "Plain")
    session = Session(plan.runs)
    first = session.model(plan.runs[0])
    (tmp_path / "net.py").write_text(NETS + "# edited")
    assert session.model(plan.runs[1]) is not first
    assert len(builds) == 2


def test_views_of_one_storage_are_not_taken_apart() -> None:
    model = nn.Linear(4, 4, bias=False)
    model.register_buffer("row", model.weight.detach()[0])
    assert Built.of(model) is None


def test_tied_parameters_stay_tied() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    built = Built.of(model)
    assert built is not None
    before = model[0].weight.detach().clone()
    with torch.no_grad():
        model[0].weight.zero_()
    assert built.restored() is model
    assert model[1].weight is model[0].weight
    assert torch.equal(model[0].weight, before)


def test_a_file_is_read_ahead_once_and_only_for_its_run(tmp_path: Path) -> None:
    plan = a_plan(tmp_path, "Plain")
    first, second = plan.runs[1], plan.runs[2]
    reader = ahead.ReadAhead()
    reader.start(first.checkpoint, first.source)
    assert reader.take(second.checkpoint, second.source) is None
    assert reader.take(first.checkpoint, first.source) is None  # forgotten: at most one is held
    reader.start(first.checkpoint, first.source)
    found = reader.take(first.checkpoint, first.source)
    assert found is not None
    assert found[1].path == "epoch_0.pt"


def test_a_file_written_after_it_was_read_ahead_is_read_again(tmp_path: Path) -> None:
    run = a_plan(tmp_path, "Plain").runs[1]
    reader = ahead.ReadAhead()
    reader.start(run.checkpoint, run.source)
    assert reader._thread is not None
    reader._thread.join()
    assert run.checkpoint.path is not None
    time.sleep(0.01)  # a file system's clock may stand for some milliseconds
    run.checkpoint.path.write_bytes(run.checkpoint.path.read_bytes())
    assert reader.take(run.checkpoint, run.source) is None


def test_a_file_too_large_for_the_free_memory_waits_for_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = a_plan(tmp_path, "Plain").runs[1]
    monkeypatch.setattr(ahead, "free_memory", lambda: 4000)
    reader = ahead.ReadAhead()
    reader.start(run.checkpoint, run.source)
    assert reader._thread is None
