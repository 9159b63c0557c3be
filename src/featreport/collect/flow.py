"""Which tensors of a forward pass derive from the images, and which are made of parameters and constants alone."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from featreport.collect.storages import Storages, storage_of

Sequences = (tuple, list)
PLANE = 2  # axes: images and features


def given_tensors(args: Iterable[Any], given: Mapping[str, Any] | None = None) -> Iterator[Tensor]:
    """Yield the tensors among a call's arguments, also those in a list (`torch.cat`)."""
    for value in (*args, *given.values()) if given else args:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, Sequences):
            for inner in value:
                if isinstance(inner, Tensor):
                    yield inner


class Flow:
    """Follows the images through the functions of one pass; keeps no tensor alive, and reads none.

    A tensor that no function was seen to give (it came out of a compiled or scripted one) counts as derived where it
    has the batch as one of its first two axes and is no parameter or buffer.
    """

    def __init__(self, model: nn.Module) -> None:
        self._state = {id(tensor) for tensor in (*model.parameters(), *model.buffers())}
        self._known: dict[int, tuple[weakref.ref[Tensor], bool]] = {}
        self._filled: Storages[bool] = Storages()  # what something derived was written into
        self.images = 0

    def begin(self) -> None:
        """Forget everything: another forward pass begins."""
        self._known.clear()
        self._filled.clear()
        self.images = 0

    def note(self, output: object, *, derived: bool) -> None:
        """Note what a function gave."""
        if isinstance(output, Tensor):
            self._known[id(output)] = (weakref.ref(output), derived)
        elif isinstance(output, Sequences):
            for inner in output:
                if isinstance(inner, Tensor):
                    self._known[id(inner)] = (weakref.ref(inner), derived)

    def note_unseen(self, tensor: Tensor, *, derived: bool) -> None:
        """Note what a module gave where no function was seen to make it."""
        known = self._known.get(id(tensor))
        if (known is None or known[0]() is not tensor) and id(tensor) not in self._state:
            self._known[id(tensor)] = (weakref.ref(tensor), derived)

    def filled(self, tensor: Tensor) -> None:
        """Note that something derived was written into a tensor, and so into all that share its memory."""
        self.note(tensor, derived=True)
        if storage_of(tensor) is not None:
            self._filled[tensor] = True

    def __contains__(self, tensor: Tensor) -> bool:
        known = self._known.get(id(tensor))
        if known is not None and known[0]() is tensor:
            if known[1]:
                return True
        elif id(tensor) not in self._state and tensor.ndim > 1 and self.images in tensor.shape[:2]:
            return tensor.is_floating_point()
        return bool(self._filled and self._filled.get(tensor))

    def count(self, tensors: Iterable[Tensor]) -> int:
        """How many of some tensors derive from the images."""
        return sum(tensor in self for tensor in tensors)

    def step(self, tensor: Tensor) -> bool:
        """Whether a tensor looks like a step of the network: the images, or parts of each, on one of its first axes.

        Boxes, scores and indices picked out of the images have as many rows as were found.
        """
        if not tensor.is_floating_point() or tensor.ndim < PLANE or not self.images:
            return False
        first, second = tensor.shape[:2]
        if first == self.images:
            return True
        return tensor.ndim > PLANE and (second == self.images or first % self.images == 0)
