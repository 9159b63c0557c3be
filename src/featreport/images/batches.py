"""Image files become batches: decoded ahead by a few threads, in order, in constant memory.

A batch holds `batch_size` usable images; files that cannot be used are set aside with their reason and the
next ones move up. So the batches depend on the list of usable images alone: not on the number of threads, not
on where the broken files stand. Images of different shapes (transform "none", or "resize" without "crop")
cannot be stacked: where the shape changes, a new batch begins.

Threads, not processes: decoding, resizing and hashing let go of the interpreter. Measured on two cores over photos,
two threads decode 1.9 times what one does, and a process would first import torch for seconds.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event

import torch

from featreport import memory
from featreport.errors import ImagesError
from featreport.images.decode import ImageUnusable, decode
from featreport.images.pictures import encode_photo
from featreport.images.region import region_of, stretched
from featreport.images.transform import make_transform
from featreport.plan.types import ImageRef, TransformSpec
from featreport.results.schema import FailedImage, ImageFile

LOOK_AHEAD = 2  # batches
MOST_WORKERS = 16
OWN = ("spec", "none")  # transforms that are ours, without an operation of torch in a thread


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Batch:
    """Some images, ready for the network; `indices` count the usable images of the run from 0."""

    tensor: torch.Tensor  # [N, C, H, W] float32
    indices: list[int]
    files: list[ImageFile]  # one each; `picture` is set for the images whose thumbnail was asked for
    pictures: dict[str, str]  # those thumbnails: key → data: URI


@dataclass(frozen=True)
class _Ready:
    """What a thread made of one file."""

    tensor: torch.Tensor  # [C, H, W]
    file: ImageFile
    uri: str | None


@dataclass
class ImageBatches:
    """The images of one run as batches. Each loop over it starts afresh; `failed` belongs to the latest loop.

    Leaving a loop early, by `break` or an exception, ends the threads.

    Raises:
        ImagesError: while looping: the transform itself is at fault, not one file.
    """

    refs: Sequence[ImageRef]
    spec: TransformSpec
    model_name: str | None = None  # torchvision's name, for the transform "weights"
    batch_size: int = 16
    shown: int = 0  # thumbnails are made of the first so many usable images
    workers: int = field(default_factory=lambda: min(cores(), MOST_WORKERS))
    pin: bool = False  # page-locked memory, for a faster copy to a GPU
    failed: list[FailedImage] = field(default_factory=list, init=False)

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches in the order of `refs`."""
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")
        self.failed = []
        waiting: list[_Ready] = []
        start = 0
        for ready in self._in_order():
            if waiting and (len(waiting) == self.batch_size or ready.tensor.shape != waiting[0].tensor.shape):
                yield self._stack(waiting, start)
                start += len(waiting)
                waiting = []
            waiting.append(ready)
        if waiting:
            yield self._stack(waiting, start)

    def _in_order(self) -> Iterator[_Ready]:
        """Yield what the threads make of each usable file, in order, with few files under way at once."""
        transform = make_transform(self.spec, self.model_name)
        region = region_of(self.spec, self.model_name)
        enough = Event()  # set when all thumbnails wanted are there
        if self.shown < 1:
            enough.set()

        def prepare(ref: ImageRef) -> _Ready:
            decoded = decode(ref, self.spec.color)
            try:
                tensor = transform(decoded.image)
            except ImagesError as error:
                raise ImagesError(f"{error.message} (on {ref.name})", error.hint) from error
            key, uri = (None, None) if enough.is_set() else encode_photo(decoded.image)
            file = ImageFile(
                name=ref.name,
                sha256=decoded.sha256,
                width=decoded.width,
                height=decoded.height,
                picture=key,
                seen=region(decoded.width, decoded.height),
                stretched=stretched(self.spec),
                note=decoded.note,
            )
            return _Ready(memory.copy(tensor.contiguous()), file, uri)  # it waits while the network runs

        usable = 0
        rest = iter(self.refs)
        under_way: deque[tuple[ImageRef, Future[_Ready]]] = deque()
        here = torch.get_num_threads()

        def starting() -> None:
            """Torch in this thread would start a team of its own, to fight with the forward pass for the cores."""
            if self.spec.kind not in OWN:
                torch.set_num_threads(1)

        pool = ThreadPoolExecutor(
            max(1, self.workers), thread_name_prefix="featreport-images", initializer=starting
        )
        try:
            while True:
                while len(under_way) < LOOK_AHEAD * self.batch_size and (ref := next(rest, None)) is not None:
                    under_way.append((ref, pool.submit(prepare, ref)))
                if not under_way:
                    return
                ref, future = under_way.popleft()
                try:
                    ready = future.result()
                except ImageUnusable as reason:
                    self.failed.append(FailedImage(path=ref.name, reason=str(reason)))
                    continue
                usable += 1
                if usable >= self.shown:
                    enough.set()
                yield ready
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            if self.spec.kind not in OWN:
                torch.set_num_threads(here)  # set for one thread, it is also what later threads begin with

    def _stack(self, ready: list[_Ready], start: int) -> Batch:
        first = ready[0].tensor
        shape = (len(ready), *first.shape)
        if self.pin:
            tensor = torch.empty(shape, dtype=first.dtype, pin_memory=True)
        else:  # it stays while the network runs, and while the next one is made
            tensor = memory.zeros(shape, first.dtype)
        torch.stack([one.tensor for one in ready], out=tensor)
        indices = list(range(start, start + len(ready)))
        files: list[ImageFile] = []
        pictures: dict[str, str] = {}
        for index, one in zip(indices, ready, strict=True):
            if index < self.shown and one.file.picture is not None and one.uri is not None:
                pictures[one.file.picture] = one.uri
                files.append(one.file)
            else:  # a thread may have made one more than asked for
                files.append(one.file.model_copy(update={"picture": None}))
        return Batch(tensor, indices, files, pictures)
