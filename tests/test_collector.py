"""The collector of cycles is kept from what is still needed, and is afterwards as it was."""

from __future__ import annotations

import gc
import weakref

import pytest

from featreport.collector import passed_over, process, uncollected


class Cycle:
    """An object that only the collector can free."""

    def __init__(self) -> None:
        self.itself = self


def test_nothing_is_collected_meanwhile_and_all_is_afterwards() -> None:
    with uncollected():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(KeyError), uncollected():
        raise KeyError
    assert gc.isenabled()


def test_whoever_switched_it_off_finds_it_off() -> None:
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "ours", True)


def test_in_another_process_everything_is_looked_at() -> None:
    old = weakref.ref(Cycle())
    with passed_over():
        gc.collect()
        assert old() is None


@pytest.mark.usefixtures("ours")
def test_only_new_objects_are_looked_at_and_afterwards_all() -> None:
    old = weakref.ref(Cycle())
    with passed_over():
        new = weakref.ref(Cycle())
        gc.collect()
        assert new() is None
        assert old() is not None
    gc.collect()
    assert old() is None
    assert gc.get_freeze_count() == 0


@pytest.mark.usefixtures("ours")
def test_who_froze_for_longer_stays_frozen() -> None:
    gc.freeze()
    try:
        count = gc.get_freeze_count()
        with passed_over():
            pass
        assert gc.get_freeze_count() == count
    finally:
        gc.unfreeze()
