"""What is noted of tensors' memory goes with it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from featreport.collect import storages
from featreport.collect.storages import Storages
from featreport.collect.taps import Tap, Taps


def test_what_is_noted_of_a_tensors_memory_is_found_under_every_view_of_it_and_forgotten_when_asked() -> None:
    noted: Storages[str] = Storages()
    tensor, other = torch.zeros(4, 6), torch.zeros(4, 6)
    noted[tensor] = "first"
    assert noted.get(tensor.view(24)[3:]) == "first"
    assert noted.get(other) is None
    assert noted.get(torch.zeros(2, 2).to_sparse()) is None
    noted.discard(tensor.T)
    assert noted.get(tensor) is None
    assert not noted


def test_what_is_noted_is_gone_with_the_memory_and_never_another_memorys() -> None:
    noted: Storages[int] = Storages()
    kept = torch.zeros(8)
    noted[kept] = -1
    for index in range(200):
        tensor = torch.zeros(8)
        assert noted.get(tensor) is None
        noted[tensor] = index
        assert len(noted) <= 3  # what is kept, this one, and the one before it until it is looked for
        del tensor
    assert noted.get(kept) == -1


def test_many_tensors_that_stay_are_not_looked_at_again_for_each_that_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What each of a thousand steps gave may stay to the end: to look at all of it each time takes seconds."""
    looked, expired = [0], storages._expired

    def counted(reference: storages.StorageWeakRef) -> bool:
        looked[0] += 1
        return expired(reference)

    monkeypatch.setattr(storages, "_expired", counted)
    noted: Storages[int] = Storages()
    kept = [torch.zeros(1) for _ in range(1000)]
    for index, tensor in enumerate(kept):
        noted[tensor] = index
    assert looked[0] <= 40 * len(kept)
    kept.clear()
    del tensor
    for index in range(100):  # the last of these is looked for soon
        noted[torch.zeros(1)] = index
    assert len(noted) < 100


def test_a_pass_keeps_nothing_of_the_tensors_that_it_is_done_with() -> None:
    """Or torch's objects for them stay between free blocks, and the heap grows from layer to layer."""
    model = nn.Sequential(*(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), Scaled()) for _ in range(40))).eval()
    known = []

    def observe(_tap: Tap, _module: nn.Module | None, _tensor: Tensor) -> None:
        known.append((len(taps.passed._storages), len(taps.flow._filled)))

    taps = Taps(model, observe)
    with torch.inference_mode(), taps.attached():
        for _ in range(2):
            with taps.one_pass():
                model(torch.ones(2, 4))
    assert len(known) == 2 * 120
    assert max(passed for passed, _ in known) <= 6
    assert 0 < max(filled for _, filled in known) <= 6


class Scaled(nn.Module):
    """Writes into memory of its own, and adds."""

    def forward(self, x: Tensor) -> Tensor:
        room = torch.zeros(2, 4)
        room[:, :2] = x[:, :2]
        return x * 0.5 + room
