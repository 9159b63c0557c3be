"""What is noted of tensors' memory, by its identity, without keeping it."""

from __future__ import annotations

from typing import Generic, TypeVar

from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

T = TypeVar("T")
FEW = 32  # so many are looked at for each that is added


class Storages(Generic[T]):
    """A value for the memory that a tensor lies in; gone with it.

    A weak reference keeps an identity from being given to another memory. It also keeps torch's object for the memory
    (112 bytes), which lies beside where the data was, so that nothing larger fits there any more: a pass of ViT-B/16
    that forgot at its end alone grew by up to 200 MiB. So what is gone is looked for whenever something is added; where
    more than a few dozen are there (a recurrent network keeps what each of a thousand steps gave), less often.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[StorageWeakRef, T]] = {}
        self._added = 0  # since it was last looked for what is gone

    def __setitem__(self, tensor: Tensor, value: T) -> None:
        self._added += 1
        if self._added * FEW > len(self._known):
            self._added = 0
            for gone in [one for one, (reference, _) in self._known.items() if _expired(reference)]:
                del self._known[gone]
        storage = storage_of(tensor)
        if storage is None:
            raise ValueError("a tensor without a storage of its own (sparse, nested) has no memory to note")
        self._known[storage] = (_reference(tensor), value)

    def get(self, tensor: Tensor) -> T | None:
        """Return what was noted of a tensor's memory, or None."""
        storage = storage_of(tensor)
        known = None if storage is None else self._known.get(storage)
        return None if known is None else known[1]

    def discard(self, tensor: Tensor) -> None:
        """Forget what was noted of a tensor's memory."""
        storage = storage_of(tensor)
        if storage is not None:
            self._known.pop(storage, None)

    def clear(self) -> None:
        """Forget everything."""
        self._known.clear()

    def __len__(self) -> int:
        return len(self._known)


def storage_of(tensor: Tensor) -> int | None:
    """Return the identity of a tensor's memory, None where it has none of its own (sparse, nested).

    It may be given to another when the memory is gone: `Storages` keeps it from that.
    """
    try:
        return None if tensor.is_nested else tensor.untyped_storage()._cdata  # noqa: SLF001 - as StorageWeakRef does
    except (NotImplementedError, RuntimeError):  # what torch raises depends on the layout
        return None


def _reference(tensor: Tensor) -> StorageWeakRef:
    return StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]  # torch gives it no types


def _expired(reference: StorageWeakRef) -> bool:
    gone: bool = reference.expired()  # type: ignore[no-untyped-call]  # as above
    return gone
