"""One run from start to finish: build, load, look, measure."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from featreport.checkpoints import load_alone, load_into
from featreport.checkpoints.loading import Loaded
from featreport.collect.activations import ActivationCollector
from featreport.collect.device import auto_batch, describe, out_of_memory
from featreport.collect.guard import MESSAGE, raised, refuse_empty, watched
from featreport.collect.norms import measure_norms, norms_of_tensors
from featreport.collect.pictures import Gallery, make_gallery
from featreport.collect.summary import summarise
from featreport.collect.taps import ROOT, Tap, Taps
from featreport.collect.weights import measure_buffers, measure_tensors, measure_weights
from featreport.errors import (
    CheckpointError,
    ForwardError,
    ImagesError,
    RunError,
    SourceError,
    StatisticsError,
)
from featreport.images.batches import ImageBatches
from featreport.plan.types import Plan, RunPlan
from featreport.results.schema import ImageFile, Images, Load, Run, RunFailure, Unmeasured
from featreport.sources import build_model
from featreport.statistics import Settings

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
PROGRAMS = ("TorchScript", "torch.export")
Stage = Literal["source", "checkpoint", "forward"]
ImagesDone = Callable[[int, int], None]  # images seen so far, images of the run


@dataclass(frozen=True)
class Outcome:
    """A finished run and the pictures it shows."""

    run: Run
    pictures: dict[str, str]


@dataclass(frozen=True)
class _Job:
    """What every step of a run needs."""

    plan: Plan
    run: RunPlan
    device: torch.device
    budget: int  # bytes of pictures
    images_done: ImagesDone

    @property
    def settings(self) -> Settings:
        return Settings(
            self.plan.dead, self.plan.near_zero, images=len(self.run.images), alpha=self.plan.alpha
        )


@dataclass
class _Pass:
    """What one pass over all images gave."""

    collector: ActivationCollector
    taps: Taps
    images: Images
    pictures: dict[str, str]
    batch_size: int
    altered: list[str]


@dataclass
class _Progress:
    """How far a run came, for the report of its failure."""

    stage: Stage = "source"
    load: Load | None = None


def execute_run(
    plan: Plan, run: RunPlan, device: torch.device, budget: int, images_done: ImagesDone
) -> Outcome:
    """Measure one run; a failure is an outcome too, never an exception.

    The network's code may print, draw random numbers, call `sys.exit` or be compiled: its words go to standard
    error, its numbers are seeded, its exit fails this run alone, and it runs uncompiled so that it can be seen.
    """
    job = _Job(plan, run, device, budget, images_done)
    so_far = _Progress()
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return _run(job, so_far)
    except RunError as error:
        return _failed(job, error, so_far.load)
    except (Exception, SystemExit, GeneratorExit) as error:  # noqa: BLE001 - the one boundary around a run
        hint = "this came out of the network's own code; run it alone to see where"
        return _failed(job, _named(so_far.stage)(raised(error), hint), so_far.load)


def _run(job: _Job, so_far: _Progress) -> Outcome:
    run = job.run
    if run.source.kind == "none":
        so_far.stage = "checkpoint"
        return _weights_alone(job)
    random = run.checkpoint.kind == "random"
    seed = run.checkpoint.seed if random and run.checkpoint.seed is not None else 0
    model = build_model(run.source, seed=seed, weights=run.checkpoint.weights)
    so_far.stage = "checkpoint"
    loaded = load_into(model, run.checkpoint, run.source)
    so_far.load = loaded.audit
    so_far.stage = "source"
    refuse_empty(model, run.source.text)
    model.eval()
    so_far.stage = "forward"
    with watched(job.device, seed):
        return _measure(job, model, loaded)


def _failed(job: _Job, error: RunError, load: Load | None) -> Outcome:
    if isinstance(error, CheckpointError) and error.load is not None:
        load = error.load
    failed = list(error.failed) if isinstance(error, ImagesError) else []
    failure = RunFailure(stage=error.stage, message=error.message[:MESSAGE], hint=error.hint)
    update = {"status": "failed", "error": failure, "load": load, "images": Images(count=0, failed=failed)}
    return Outcome(_blank(job).model_copy(update=update), {})


def _named(stage: Stage) -> type[RunError]:
    kinds: dict[Stage, type[RunError]] = {
        "source": SourceError,
        "checkpoint": CheckpointError,
        "forward": ForwardError,
    }
    return kinds[stage]


def _blank(job: _Job) -> Run:
    run = job.run
    return Run(
        id=run.id,
        model=run.model,
        checkpoint=run.checkpoint_name,
        source=run.source.text,
        status="ok",
        images=Images(count=0),
        transform=run.transform.text,
        precision=job.plan.precision,
    )


def _weights_alone(job: _Job) -> Outcome:
    """Measure the tensors of a file whose architecture is not at hand."""
    found = load_alone(job.run.checkpoint, job.run.source)
    weights, buffers = measure_tensors(found.tensors, job.settings, job.device)
    why = "no architecture was given (source: none)"
    if found.audit.format in PROGRAMS:
        why = (
            f"the file is a {found.audit.format} program, and no program from a checkpoint is run: "
            "name its architecture as source to measure activations"
        )
    run = _blank(job).model_copy(
        update={
            "load": found.audit,
            "parameters": sum(weight.count for weight in weights),
            "summary": summarise([], weights),
            "weights": weights,
            "buffers": buffers,
            "norms": norms_of_tensors(found.tensors),
            "unmeasured": [Unmeasured(layer="activations", reason=why)],
        }
    )
    return Outcome(run, {})


def _measure(job: _Job, model: nn.Module, loaded: Loaded) -> Outcome:
    parameters = sum(parameter.numel() for parameter in model.parameters())
    weights = measure_weights(model, job.settings, loaded.stored, job.device)
    buffers = measure_buffers(model, loaded.stored)
    norms = measure_norms(model, loaded.stored)
    notes: list[str] = []
    done = _all_images(job, model, notes)
    activations, shown = done.collector.value()
    gallery: Gallery = make_gallery(model, shown, job.plan.shown_images, job.budget)
    notes += gallery.notes
    if done.altered:
        notes.append(f"The forward pass itself changed {', '.join(done.altered[:5])} (in eval mode).")
    run = _blank(job).model_copy(
        update={
            "load": loaded.audit,
            "images": done.images,
            "device": describe(job.device),
            "batch_size": done.batch_size,
            "notes": notes,
            "parameters": parameters,
            "summary": summarise(activations, weights),
            "activations": activations,
            "weights": weights,
            "buffers": buffers,
            "norms": norms,
            "unmeasured": _unmeasured(model, done),
            "maps": gallery.maps,
            "kernels": gallery.kernels,
        }
    )
    return Outcome(run, done.pictures | gallery.pictures)


def _all_images(job: _Job, model: nn.Module, notes: list[str]) -> _Pass:
    """Run every batch; on exhausted memory start over with half the batch, and say so."""
    size = job.plan.batch_size or auto_batch(job.device)
    model = model.to(device=job.device, dtype=DTYPES[job.plan.precision])
    while True:
        try:
            return _one_size(job, model, size)
        except ForwardError as error:
            if size == 1 or error.__cause__ is None or not out_of_memory(error.__cause__):
                raise
        # Outside the except block: the traceback no longer holds the activations.
        gc.collect()
        if job.device.type != "cpu":
            torch.accelerator.empty_cache()
        size //= 2
        notes.append(f"Memory ran out; the batch size was halved to {size} (this can change the last bits).")


def _one_size(job: _Job, model: nn.Module, size: int) -> _Pass:
    plan, run = job.plan, job.run
    collector = ActivationCollector(
        settings=job.settings,
        shown_images=plan.shown_images,
        shown_channels=plan.shown_channels,
        include=run.include,
        exclude=run.exclude,
        device=job.device,
    )
    taps = Taps(model, _guarded(collector))
    name = {"torchvision": run.source.name, "timm": run.source.text}.get(run.source.kind)
    on_accelerator = job.device.type != "cpu"
    batches = ImageBatches(
        run.images, run.transform, name, batch_size=size, shown=plan.shown_images, pin=on_accelerator
    )
    before = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    files: list[ImageFile] = []
    pictures: dict[str, str] = {}
    count = 0
    with torch.inference_mode(), taps.attached():
        for batch in batches:
            inputs = batch.tensor.to(job.device, DTYPES[plan.precision], non_blocking=on_accelerator)
            collector.begin_batch(count, len(batch.indices))
            with taps.one_pass():
                _forward(model, inputs)
            collector.end_batch()
            count += len(batch.indices)
            files += batch.files
            pictures |= batch.pictures
            job.images_done(count + len(batches.failed), len(run.images))
    if not count:
        raise _no_image(batches)
    if not collector.value_count:
        raise ForwardError(
            "no layer was measured" + (f": layers.include is {list(run.include)}" if run.include else ""),
            "compare the globs in `layers` with the names the model's named_modules() gives",
        )
    after = model.state_dict()
    altered = [name for name, tensor in before.items() if not _same(tensor, after.get(name))]
    images = Images(count=count, failed=list(batches.failed), files=files)
    return _Pass(collector, taps, images, pictures, size, altered)


def _same(a: Tensor, b: Tensor | None) -> bool:
    """Equal in every value, NaN equal to NaN."""
    if b is None or a.shape != b.shape or a.dtype != b.dtype:
        return False
    if torch.equal(a, b):
        return True
    return a.is_floating_point() and bool(((a == b) | (a.isnan() & b.isnan())).all())


def _no_image(batches: ImageBatches) -> ImagesError:
    first = batches.failed[0] if batches.failed else None
    detail = f"; the first: {first.path}: {first.reason}" if first else ""
    return ImagesError(
        f"none of the {len(batches.refs)} images could be used{detail}",
        "check the paths under `images`",
        failed=batches.failed,
    )


def _forward(model: nn.Module, inputs: Tensor) -> None:
    try:
        model(inputs)
    except RunError:
        raise
    except (Exception, SystemExit, GeneratorExit) as error:
        shape = list(inputs.shape)
        hint = (
            "lower batch_size"
            if out_of_memory(error)
            else (
                "check that `transform` (size, color, mean) is what the network was trained with, and its `args`"
            )
        )
        raise ForwardError(f"on a batch of shape {shape}: {raised(error)}", hint) from error


def _guarded(collector: ActivationCollector) -> Callable[[Tap, nn.Module | None, Tensor], None]:
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


def _unmeasured(model: nn.Module, done: _Pass) -> list[Unmeasured]:
    """Every leaf that was never called, and every output that could not be measured, with the reason."""
    found: dict[str, str] = {}
    for name, module in model.named_modules():
        layer = name or ROOT
        if layer in done.taps.called or next(module.children(), None) is not None:
            continue
        if done.collector.wants(layer):
            owns = next(module.parameters(), None) is not None
            used = " (its parameters may be used by the module around it)" if owns else ""
            found[layer] = f"never called in the forward pass{used}"
    skipped = done.taps.skipped | done.collector.skipped
    found |= {
        place: why for place, why in skipped.items() if done.collector.wants(place.split(" output ")[0])
    }
    return [Unmeasured(layer=layer, reason=reason) for layer, reason in found.items()]
