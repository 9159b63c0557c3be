"""Every image of a run through the network once, measured; with half the batch where memory runs out."""

from __future__ import annotations

import contextlib
import gc
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from featreport.collect.activations import ActivationCollector
from featreport.collect.device import give_memory_back, out_of_memory
from featreport.collect.faithful import Proof
from featreport.collect.feeding import fed
from featreport.collect.guard import raised, watched
from featreport.collect.job import Job
from featreport.collect.probe import auto_batch
from featreport.collect.taps import Tap, Taps
from featreport.errors import ForwardError, ImagesError, RunError, StatisticsError
from featreport.images.batches import Batch, ImageBatches
from featreport.images.pictures import encode_input
from featreport.plan.types import ImageRef
from featreport.results.schema import Faithfulness, ImageFile, Images
from featreport.statistics import fault

THUMBNAILS = 24  # so many images have one, to be shown under the channels they fire most
TYPES = re.compile(
    r"\bdtype\b|scalar type|type .* should be the same"
)  # what torch says of types that differ
GRADIENTS = ("Inference tensors", "does not require grad")  # of what wants gradients in inference mode
PINNED = ("cuda", "xpu")  # devices that copy faster from page-locked memory


@dataclass
class Pass:
    """What one pass over all images gave."""

    collector: ActivationCollector
    taps: Taps
    images: Images
    pictures: dict[str, str]
    batch_size: int
    faithfulness: Faithfulness


def all_images(job: Job, model: nn.Module, notes: list[str]) -> Pass:
    """Run every batch; on exhausted memory start over with half the batch, and say so."""
    wrong = fault(job.device, job.dtype)  # tried now: later it would have to wait for the device
    if wrong:
        notes.append(f"Measured with torch's own operations, which is slower, because {wrong}.")
    with job.deadline.inside("forward"):
        return _all_images(job, job.placed(model), notes)


def _all_images(job: Job, model: nn.Module, notes: list[str]) -> Pass:
    size = job.plan.batch_size or _auto(job, model)
    job.deadline.check("forward")
    while True:
        try:
            with watched(job.device, job.seed):  # each attempt from the same random numbers
                return _one_size(job, model, size)
        except ForwardError as error:
            if size == 1 or error.__cause__ is None or not out_of_memory(error.__cause__):
                raise
        job.deadline.check("forward")
        # Outside the except block: the traceback no longer holds the activations.
        gc.collect()
        if job.on_accelerator:
            torch.accelerator.empty_cache()
        size //= 2
        notes.append(f"Memory ran out; the batch size was halved to {size} (this can change the last bits).")


def _auto(job: Job, model: nn.Module) -> int:
    """Return the batch size that the first usable image suggests."""
    first = next(iter(batches_of(job, job.run.images, 1, workers=1)), None)
    if first is None:
        return 1
    with watched(job.device, job.seed):
        return auto_batch(model, first.tensor[0])


def batches_of(job: Job, refs: Sequence[ImageRef], size: int, **more: Any) -> ImageBatches:
    """Return some images of a run as batches."""
    run = job.run
    name = {"torchvision": run.source.name, "timm": run.source.text}.get(run.source.kind)
    return ImageBatches(refs, run.transform, name, batch_size=size, **more)


def _one_size(job: Job, model: nn.Module, size: int) -> Pass:
    plan, run = job.plan, job.run
    collector = ActivationCollector(
        settings=job.settings,
        shown_images=plan.shown_images,
        shown_channels=plan.shown_channels,
        maps=plan.showing.maps,
        include=run.include,
        exclude=run.exclude,
        device=job.device,
        grams=plan.cka,
    )
    taps = Taps(model, guarded(collector), include=run.include)
    batches = batches_of(
        job, run.images, size, shown=max(plan.shown_images, THUMBNAILS), pin=job.device.type in PINNED
    )
    proof = Proof(model, job.device)
    forward = partial(one_forward, model)
    files: list[ImageFile] = []
    pictures: dict[str, str] = {}
    count = 0
    with torch.inference_mode(), contextlib.ExitStack() as stack:
        for batch in batches:
            job.deadline.check("forward")
            inputs = batch.tensor.to(job.device, job.dtype, non_blocking=job.on_accelerator)
            if not count:
                proof.plain(forward, inputs)
                give_memory_back()  # the watched pass finds room elsewhere: its tables and maps stay
                stack.enter_context(taps.attached())
            collector.begin_batch(count, len(batch.indices))
            with taps.one_pass(partial(job.deadline.check, "forward")):
                output = forward(inputs)
            collector.end_batch()
            if not count:
                proof.compare(output)
                give_memory_back()  # what lies between the tables and maps that the first batch made
            del output
            count += len(batch.indices)
            shown, more = with_inputs(job, batch, plan.shown_images - count + len(batch.indices))
            files += shown
            pictures |= batch.pictures | more
            job.images_done(count + len(batches.failed), len(run.images))
    if not count:
        raise _no_image(batches)
    if not collector.value_count:
        raise ForwardError(
            "no layer was measured" + (f": layers.include is {list(run.include)}" if run.include else ""),
            "compare the globs in `layers` with the names the model's named_modules() gives",
        )
    with torch.inference_mode():
        faithfulness = proof.value(forward)
    images = Images(count=count, failed=list(batches.failed), files=files)
    return Pass(collector, taps, images, pictures, size, faithfulness)


def with_inputs(job: Job, batch: Batch, wanted: int) -> tuple[list[ImageFile], dict[str, str]]:
    """Return the files of a batch and, where maps are laid over it, pictures of what the network was given.

    Of the first `wanted` images of the batch.
    """
    if not job.plan.showing.overlay:
        return batch.files, {}
    files, pictures = list(batch.files), {}
    for place in range(max(0, min(len(files), wanted))):
        key, uri = encode_input(batch.tensor[place].float().numpy())
        pictures[key] = uri
        files[place] = files[place].model_copy(update={"input": key})
    return files, pictures


def _no_image(batches: ImageBatches) -> ImagesError:
    first = batches.failed[0] if batches.failed else None
    detail = f"; the first: {first.path}: {first.reason}" if first else ""
    return ImagesError(
        f"none of the {len(batches.refs)} images could be used{detail}",
        "check the paths under `images`",
        failed=batches.failed,
    )


def one_forward(model: nn.Module, inputs: Tensor) -> object:
    """Return what a network gives for a batch.

    Raises:
        ForwardError: whatever its code raised, with the batch's shape.
    """
    try:
        return model(fed(model, inputs))
    except RunError:
        raise
    except (Exception, SystemExit, GeneratorExit) as error:
        raise ForwardError(
            f"on a batch of shape {list(inputs.shape)}: {raised(error)}", _hint(error, inputs.dtype)
        ) from error


def _hint(error: BaseException, dtype: torch.dtype) -> str:
    """Return what may help against what a network raised."""
    if out_of_memory(error):
        return "lower batch_size"
    if any(words in str(error) for words in GRADIENTS):
        return (
            "the forward pass runs in inference mode: let the network's code compute no gradients and no part of it "
            "in threads of its own while it evaluates"
        )
    if isinstance(error, TypeError) and "forward() missing" in str(error):
        return (
            "the network is called with the images alone: name a `source` whose forward() needs nothing else"
        )
    if TYPES.search(str(error)):
        return (
            f"images and parameters are {str(dtype).removeprefix('torch.')} (`precision`), and the network's own code "
            "makes another type of some: set `precision` to that, or let the code take its input's"
        )
    return "check that `transform` (size, color, mean) is what the network was trained with, and its `args`"


def guarded(collector: ActivationCollector) -> Callable[[Tap, nn.Module | None, Tensor], None]:
    """Errors of the measuring are named as such, not as the network's."""

    def observe(tap: Tap, module: nn.Module | None, output: Tensor) -> None:
        try:
            with torch._C.DisableTorchFunction():  # noqa: SLF001 - or our own reductions would be intercepted too
                collector.observe(tap, module, output)
        except Exception as error:
            if out_of_memory(error):
                raise
            raise StatisticsError(
                f"{tap.layer} (call {tap.call}, {tap.kind}, shape {list(output.shape)}): "
                f"{type(error).__name__}: {error}",
                f"leave the layer out with layers: {{exclude: [{tap.layer!r}]}} and report this as a bug",
            ) from error

    return observe
