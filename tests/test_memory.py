"""Memory for what stays while a network runs, and the ledger's pages."""

from __future__ import annotations

import mmap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from featreport import memory
from featreport.statistics import Ledger, Settings, all_statistics, to_host
from featreport.statistics import ledger as rooms


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.int32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(0, 3), (3,), (64, 16385), (2, 3, 224, 224)])
def test_zeros_are_what_torch_gives(shape: tuple[int, ...], kind: torch.dtype) -> None:
    found = memory.zeros(shape, kind)
    assert torch.equal(found, torch.zeros(shape, dtype=kind))
    assert found.dtype == kind
    assert found.is_contiguous()
    found.fill_(1)
    assert bool((found == 1).all())


def test_without_memory_torch_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message by which a run is tried again with half the batch."""

    def none_left(*_: Any, **__: Any) -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(mmap, "mmap", none_left)
    assert memory.zeros((1 << 20,), torch.float32).sum() == 0
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        memory.zeros((1 << 60,), torch.float32)


@pytest.mark.parametrize("turned", [False, True])
def test_a_copy_is_another_tensor_with_the_same_numbers(turned: bool) -> None:
    tensor = torch.randn(4, 3, 64, 64)
    tensor = tensor.to(memory_format=torch.channels_last) if turned else tensor
    found = memory.copy(tensor)
    assert torch.equal(found, tensor)
    assert found.stride() == tensor.stride()
    tensor.zero_()
    assert bool(found.any())


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="asks Linux how much is resident")
def test_what_is_never_written_takes_no_memory_and_all_is_given_back() -> None:
    size = 256 << 20
    before = _resident()
    tensor = memory.zeros((size,), torch.uint8)
    assert _resident() - before < size // 4
    tensor.fill_(1)
    assert _resident() - before > size // 2
    del tensor
    assert _resident() - before < size // 4


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [4, 0, 3, 1, 2], [1, 3]])
def test_pages_change_no_number(order: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Taps that share pages, need one of their own, come in another order, or are left out of a batch."""
    widths = [3, 4, 20, 2, 5]
    values = [torch.randn(3, 2, c, 7, generator=torch.Generator().manual_seed(c)) for c in widths]

    def tables(room: int) -> list[np.ndarray]:
        monkeypatch.setattr(rooms, "ROOM", room)
        settings = Settings()
        ledger = Ledger(all_statistics(settings), torch.device("cpu"))
        accounts = [ledger.open(c, settings.limits()) for c in widths]
        for batch in range(3):
            for place in order if batch else range(len(widths)):
                ledger.record(accounts[place], values[place][batch], 2 * batch)
            ledger.end_batch()
        host = to_host(ledger.tensors())
        return [found[0].table.copy() for found in ledger.measured(host, accounts, [6] * len(widths))]

    for one, other in zip(tables(8), tables(1 << 14), strict=True):
        assert np.array_equal(one, other)


def test_who_wants_nothing_of_a_budget_waits_for_nobody() -> None:
    budget, served = memory.Budget(100), threading.Event()

    def work() -> None:
        with budget.taken(0):
            served.set()

    with budget.taken(250):
        other = threading.Thread(target=work)
        other.start()
        assert served.wait(5)
    other.join()


def test_a_budget_is_never_exceeded_but_by_what_exceeds_it_alone() -> None:
    """And all are served, whatever each wants."""
    budget = memory.Budget(100)
    sizes = [30, 60, 250, 10, 0, 100, 45, 101, 70, 20] * 5
    lock, taken, seen = threading.Lock(), [], []

    def work(size: int) -> None:
        with budget.taken(size):
            with lock:
                taken.append(size)
                seen.append(sorted(taken))
            time.sleep(0.002)
            with lock:
                taken.remove(size)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, sizes))
    assert len(seen) == len(sizes)
    assert any(len(one) > 2 for one in seen)
    assert all(sum(one) <= 100 or len([size for size in one if size]) == 1 for one in seen)
    with pytest.raises(RuntimeError, match="broken"), budget.taken(100):
        raise RuntimeError("broken")
    with budget.taken(100):
        pass
