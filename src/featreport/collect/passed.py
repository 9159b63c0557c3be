"""Which tensors of this forward pass were measured already: a block that hands on its child's output is no new tap."""

from __future__ import annotations

import weakref

from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

Extent = tuple[object, ...]


class Passed:
    """Remembers measured tensors by identity, never by value, and keeps none of them alive.

    A tensor counts as measured when its storage was measured over the same elements, under whatever shape, and no
    operation wrote to it since. A weak reference to the storage keeps its address from being given to another.
    """

    def __init__(self) -> None:
        self._storages: dict[StorageWeakRef, set[Extent]] = {}
        self._objects: dict[int, weakref.ref[Tensor]] = {}  # tensors without a storage: sparse ones

    def clear(self) -> None:
        """Forget everything: another forward pass begins."""
        self._storages.clear()
        self._objects.clear()

    def add(self, tensor: Tensor) -> None:
        """Note that a tensor was measured, or listed as one that cannot be."""
        storage = _storage(tensor)
        if storage is None:
            self._objects[id(tensor)] = weakref.ref(tensor)
            return
        self._storages.setdefault(storage, set()).add(_extent(tensor))

    def written(self, tensor: object) -> None:
        """Note that an operation wrote to a tensor in place: what was measured of it is no longer what it holds."""
        if isinstance(tensor, Tensor) and (storage := _storage(tensor)) is not None:
            self._storages.pop(storage, None)

    def __contains__(self, tensor: Tensor) -> bool:
        storage = _storage(tensor)
        if storage is None:
            known = self._objects.get(id(tensor))
            return known is not None and known() is tensor
        return _extent(tensor) in self._storages.get(storage, ())


def _storage(tensor: Tensor) -> StorageWeakRef | None:
    try:
        return None if tensor.is_nested else StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]
    except (NotImplementedError, RuntimeError):
        return None


def _extent(tensor: Tensor) -> Extent:
    """Which elements of its storage a tensor shows, the order of its axes left aside."""
    axes = [(step, size) for size, step in zip(tensor.shape, tensor.stride(), strict=True) if size > 1]
    reach = 1 + sum((size - 1) * step for step, size in axes)
    shown = () if reach == tensor.numel() else tuple(sorted(axes))
    return (tensor.dtype, tensor.storage_offset(), tensor.numel(), shown)
