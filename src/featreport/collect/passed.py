"""Which tensors of this forward pass were measured already: a block that hands on its child's output is no new tap."""

from __future__ import annotations

import weakref
from typing import NamedTuple

from torch import Tensor

from featreport.collect.storages import Storages, storage_of

Extent = tuple[object, ...]
Key = tuple[str, int, str | None]  # layer, call, output


Form = tuple[tuple[int, ...], tuple[int, ...]]  # shape and strides


class Given(NamedTuple):
    """The tap that gave a tensor, and the form it had there (None: it cannot be measured)."""

    key: Key
    form: Form | None


class Fed(NamedTuple):
    """A tensor that something is computed from: the tap that gave it, its form there and its form here."""

    key: Key
    before: Form
    now: Form

    @property
    def unturned(self) -> bool:
        """Whether its elements come in the order they were given in, perhaps in another shape: no axis was turned."""
        return self.before == self.now or (_row_major(self.before) and _row_major(self.now))

    def axis(self, axis: int) -> int | None:
        """Return where an axis of the tensor as it was given is now; None where no single one answers to it."""
        if self.before == self.now:
            return axis
        wanted = (self.before[0][axis], self.before[1][axis])
        found = [here for here, both in enumerate(zip(*self.now, strict=True)) if both == wanted]
        return found[0] if len(found) == 1 else None

    @property
    def turned(self) -> bool:
        """Whether it is the very tensor with its axes in another order."""
        return self.before != self.now and sorted(_axes(self.before)) == sorted(_axes(self.now))

    def rest(self, *axes: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Return size and stride of every axis but some of the tensor as it was given, there and here, in order."""
        left_out = {self.axis(axis) for axis in axes}
        before = [both for axis, both in enumerate(_axes(self.before)) if axis not in axes]
        return before, [both for axis, both in enumerate(_axes(self.now)) if axis not in left_out]


class Passed:
    """Remembers which tap gave a tensor, by identity, never by value, and keeps none of them alive.

    A tensor counts as measured when its storage was measured over the same elements, under whatever shape, and no
    operation wrote to it since.
    """

    def __init__(self) -> None:
        self._storages: Storages[dict[Extent, Given]] = Storages()
        self._objects: dict[int, tuple[weakref.ref[Tensor], Given]] = {}  # without a storage: sparse ones

    def clear(self) -> None:
        """Forget everything: another forward pass begins."""
        self._storages.clear()
        self._objects.clear()

    def add(self, tensor: Tensor, key: Key) -> None:
        """Note that a tensor was measured as the tap `key`, or listed as one that cannot be."""
        if storage_of(tensor) is None:
            self._objects[id(tensor)] = (weakref.ref(tensor), Given(key, None))
            return
        known = self._storages.get(tensor)
        if known is None:
            known = self._storages[tensor] = {}
        known[extent(tensor)] = Given(key, form_of(tensor))

    def written(self, tensor: object) -> None:
        """Note that an operation wrote to a tensor in place: what was measured of it is no longer what it holds."""
        if isinstance(tensor, Tensor):
            self._storages.discard(tensor)

    def given(self, tensor: Tensor) -> Given | None:
        """Return what gave a tensor as it is now, or None."""
        if storage_of(tensor) is None:
            known = self._objects.get(id(tensor))
            return known[1] if known is not None and known[0]() is tensor else None
        measured = self._storages.get(tensor)
        return None if measured is None else measured.get(extent(tensor))

    def fed(self, tensor: Tensor) -> Fed | None:
        """Return the tap that gave a tensor as it is now, under whatever shape, or None."""
        given = self.given(tensor)
        return None if given is None or given.form is None else Fed(given.key, given.form, form_of(tensor))

    def __contains__(self, tensor: Tensor) -> bool:
        return self.given(tensor) is not None


def _axes(form: Form) -> list[tuple[int, int]]:
    return list(zip(*form, strict=True))


def _row_major(form: Form) -> bool:
    step = 1
    for size, stride in zip(reversed(form[0]), reversed(form[1]), strict=True):
        if size != 1 and stride != step:
            return False
        step *= size
    return True


def same_elements(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are the same memory over the same elements, under whatever shape."""
    storage = storage_of(a)
    return a is b if storage is None else storage == storage_of(b) and extent(a) == extent(b)


def form_of(tensor: Tensor) -> Form:
    """Return the shape and the strides of a tensor."""
    return tuple(tensor.shape), tuple(tensor.stride())


def extent(tensor: Tensor) -> Extent:
    """Return which elements of its storage a tensor shows, the order of its axes left aside."""
    if tensor.is_contiguous():
        return (tensor.dtype, tensor.storage_offset(), tensor.numel(), ())
    axes = [(step, size) for size, step in zip(tensor.shape, tensor.stride(), strict=True) if size > 1]
    reach = 1 + sum((size - 1) * step for step, size in axes)
    shown = () if reach == tensor.numel() else tuple(sorted(axes))
    return (tensor.dtype, tensor.storage_offset(), tensor.numel(), shown)
