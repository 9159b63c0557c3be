"""A CUDA device's reduction gives what the definition gives: interpreted and compiled here, run where there is one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from featreport.collect import forward
from featreport.statistics import Ledger, Settings, all_statistics, device_kernel, engine, fault, to_host
from readings import LIMITS, assert_read_as_defined, cases, spoilt
from runs import pictures, run_module

HERE = Path(__file__).parent
TYPES = [torch.float32, torch.float16, torch.bfloat16]
needs_triton = pytest.mark.skipif(
    device_kernel._loops() is None, reason="needs Triton, which torch's builds for CUDA bring"
)
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")


def output(*arguments: str, **environment: str) -> str:
    """What a process of its own prints: Triton is interpreted, or compiles, in all of a process."""
    ran = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


@needs_triton
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_the_loops_read_any_tensor_as_the_definition_does(dtype: str) -> None:
    assert output(str(HERE / "readings.py"), dtype, TRITON_INTERPRET="1") == "34 tensors"


@needs_triton
def test_the_loops_compile_for_every_device_and_once_for_all_shapes(tmp_path: Path) -> None:
    """Volta, Ampere, Hopper: two orders in memory of three types; nothing is compiled anew in a forward pass."""
    out = output(str(HERE / "compiling.py"), "70", "80", "90", TRITON_CACHE_DIR=str(tmp_path))
    assert out.splitlines() == [f"{capability} read=6 join=1 sample=3" for capability in (70, 80, 90)]


TRIED = """
import torch
from featreport.statistics import Field, device_kernel, reduce, Limits
device_kernel.PROGRAMS = 6
cpu, kind = torch.device("cpu"), torch.float16
values = torch.ones(1, 2, 3, dtype=kind)
assert not device_kernel.runs(values)
bounds, loops, trials = device_kernel._bounds, device_kernel._loops, device_kernel.trials
device_kernel.trials = lambda kind: trials(kind)[:2]  # the interpreter is slow
device_kernel._bounds = lambda limits: (1e-4, 0.0, 6.0)
print(device_kernel.tried(cpu, kind))
device_kernel._bounds, device_kernel._loops = bounds, lambda: 1 / 0
print(device_kernel.tried(cpu, kind))
assert not device_kernel.runs(values)
device_kernel._loops = loops
assert device_kernel.tried(cpu, kind) == ""
assert device_kernel.runs(values) and not device_kernel.runs(values.float())
assert reduce(values, Limits())[Field.MEAN].tolist() == [1.0, 1.0]
"""


@needs_triton
def test_what_differs_or_fails_is_found_before_it_is_used() -> None:
    assert output("-c", TRIED, TRITON_INTERPRET="1").splitlines() == [
        "Triton's numbers of a [3, 35, 50] tensor differ from theirs",
        "Triton does not work here (ZeroDivisionError)",
    ]


def test_the_parts_depend_on_the_shape_alone_and_cover_it() -> None:
    for n, c, p in ((1, 1, 1), (8, 64, 12544), (64, 2048, 49), (1, 3, 10**6), (5000, 10, 1), (2, 10**6, 7)):
        images, stretch, chunks = device_kernel._cut(n, c, p, 16, 256)
        parts, blocks = -(-n // images) * chunks, -(-c // 16)
        assert parts <= 256
        assert (chunks - 1) * stretch < p <= chunks * stretch
        assert chunks == 1 or images == 1
        assert parts * blocks >= min(2048, min(n, 256) * blocks) // 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for a device that is not there")
def test_a_device_that_fails_is_measured_by_the_definition() -> None:
    cuda = torch.device("cuda")
    assert engine(cuda) == "torch"
    assert fault(cuda, torch.float32).startswith("Triton does not work here (") == bool(
        device_kernel._loops()
    )


@pytest.mark.parametrize(("device", "dtype"), [("mps", torch.float32), ("cuda", torch.float64)])
def test_other_devices_and_types_are_not_tried(device: str, dtype: torch.dtype) -> None:
    assert fault(torch.device(device), dtype) == ""
    assert engine(torch.device(device), dtype) == "torch"


def test_without_triton_nothing_is_wrong() -> None:
    code = (
        "import sys; sys.modules['triton'] = None; import torch\n"
        "from featreport.statistics import engine, fault\n"
        "print(engine(torch.device('cuda')), repr(fault(torch.device('cuda'), torch.float32)))"
    )
    assert output("-c", code) == "torch ''"


def test_a_run_says_why_it_was_measured_by_the_definition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forward, "fault", lambda device, dtype: "Triton does not work here (of course)")
    code = "from torch import nn\ndef make(): return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())"
    run = run_module(code, tmp_path, pictures(tmp_path, 1, (16, 16))).run
    assert run.status == "ok", run.error
    assert run.notes == [
        "Measured with torch's own operations, which is slower, because Triton does not work here (of course)."
    ]


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize("dtype", TYPES)
def test_a_gpu_reads_any_tensor_as_the_definition_does_and_as_numpy(dtype: torch.dtype) -> None:
    device = torch.device("cuda", 0)
    assert fault(device, dtype) == ""
    assert engine(device, dtype).startswith("triton ")
    for number, values in enumerate(cases(dtype)):
        assert_read_as_defined(values.to(device), LIMITS[number % 2], number)
    for shape in ((8, 64, 3136), (64, 300, 49), (1, 3, 200_000), (700, 1000, 1), (16, 768, 197)):
        values = spoilt(shape, 0).to(device, dtype)
        assert_read_as_defined(values, LIMITS[1], 3)
        assert_read_as_defined(values.transpose(1, 2).contiguous().transpose(1, 2), LIMITS[1], 3)


def recorded(ledger: Ledger, account: Any, batches: list[torch.Tensor]) -> None:
    for number, values in enumerate(batches):
        ledger.record(account, values, number)
        ledger.end_batch()


@pytest.mark.gpu
@needs_cuda
def test_a_gpu_is_never_waited_for_and_gives_the_same_bits_again() -> None:
    device = torch.device("cuda", 0)
    assert fault(device, torch.float32) == ""
    values = torch.randn((8, 96, 784), device=device)
    batches = [values, values.transpose(1, 2).contiguous().transpose(1, 2), values[:5, :, :131], values]
    tables = []
    for _ in range(2):
        ledger = Ledger(all_statistics(Settings()), device)
        account = ledger.open(96, Settings().limits())
        recorded(ledger, account, batches[:3])  # what is kept from one call to the next is there
        torch.cuda.set_sync_debug_mode("error")
        try:
            recorded(ledger, account, batches)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        tables.append(to_host(ledger.tensors()))
    assert all((one == other).all() for one, other in zip(*tables, strict=True))
