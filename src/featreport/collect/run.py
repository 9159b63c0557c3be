"""One run from start to finish: build, load, look, measure."""

from __future__ import annotations

import contextlib
import hashlib
import sys
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from featreport.checkpoints import load_alone, load_into
from featreport.checkpoints.loading import Loaded
from featreport.collect.again import chosen
from featreport.collect.deadline import HINT, Deadline, TimeIsUp
from featreport.collect.deaths import explain_deaths
from featreport.collect.device import describe, give_memory_back
from featreport.collect.feeding import takes_list
from featreport.collect.forward import all_images
from featreport.collect.guard import MESSAGE, raised, refuse_empty, watched
from featreport.collect.job import ImagesDone, Job
from featreport.collect.norms import measure_norms, norms_of_tensors
from featreport.collect.pictures import Gallery, make_gallery
from featreport.collect.session import Session
from featreport.collect.summary import summarise
from featreport.collect.thumbnails import of_the_loudest
from featreport.collect.unmeasured import complex_tensors, list_unmeasured
from featreport.collect.weights import measure_buffers, measure_tensors, measure_weights
from featreport.errors import (
    CheckpointError,
    ForwardError,
    ImagesError,
    RunError,
    SourceError,
    StatisticsError,
)
from featreport.plan.types import Plan, RunPlan, TransformSpec
from featreport.results.grams import Grams
from featreport.results.schema import Images, Load, Run, RunFailure, Unmeasured

PROGRAMS = ("TorchScript", "torch.export")
Stage = Literal["source", "checkpoint", "forward", "statistics"]


@dataclass(frozen=True)
class Outcome:
    """A finished run and the pictures it shows."""

    run: Run
    pictures: dict[str, str]
    grams: Grams | None = None


@dataclass
class _Progress:
    """How far a run came, for the report of its failure."""

    stage: Stage = "source"
    load: Load | None = None


def execute_run(
    plan: Plan,
    run: RunPlan,
    device: torch.device,
    budget: int,
    images_done: ImagesDone,
    session: Session | None = None,
) -> Outcome:
    """Measure one run; a failure is an outcome too, never an exception.

    The network's code may print, draw random numbers, call `sys.exit` or be compiled: its words go to standard
    error, its numbers are seeded, its exit fails this run alone, and it runs uncompiled so that it can be seen.
    """
    job = Job(plan, run, device, budget, images_done, session or Session(), Deadline(run.timeout))
    so_far = _Progress()
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return _run(job, so_far)
    except RunError as error:
        return _failed(job, error, so_far.load)
    except TimeIsUp as late:
        return _failed(job, _named(late.step)(f"the run {late}", HINT), so_far.load)
    except (Exception, SystemExit, GeneratorExit) as error:  # noqa: BLE001 - the one boundary around a run
        hint = "this came out of the network's own code; run it alone to see where"
        return _failed(job, _named(so_far.stage)(raised(error), hint), so_far.load)


def _run(job: Job, so_far: _Progress) -> Outcome:
    run = job.run
    if run.source.kind == "none":
        so_far.stage = "checkpoint"
        return _weights_alone(job)
    model = job.session.model(run)
    job.deadline.check("source")
    so_far.stage = "checkpoint"
    loaded = load_into(model, run.checkpoint, run.source, job.session.opened(run))
    so_far.load = loaded.audit
    job.deadline.check("checkpoint")
    so_far.stage = "source"
    refuse_empty(model, run.source.text)
    model.eval()
    so_far.stage = "forward"
    job.session.measuring(run)
    with watched(job.device, job.seed):
        outcome = _measure(job, model, loaded)
    job.deadline.check("statistics")
    return outcome


def _failed(job: Job, error: RunError, load: Load | None) -> Outcome:
    job.session.failed()
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
        "statistics": StatisticsError,
    }
    return kinds[stage]


def _blank(job: Job) -> Run:
    run = job.run
    return Run(
        id=run.id,
        model=run.model,
        checkpoint=run.checkpoint_name,
        source=run.source.text,
        status="ok",
        images=Images(count=0),
        transform=_transform_words(run.transform),
        precision=job.plan.precision,
    )


def _transform_words(spec: TransformSpec) -> str:
    """Return a transform in words; of code of the manifest's own with a digest: other code is another transform."""
    if spec.python_file is None:
        return spec.text
    try:
        digest = hashlib.sha256(spec.python_file.read_bytes()).hexdigest()[:12]
    except OSError:
        return spec.text
    return f"{spec.text} (sha256 {digest}…)"


def _weights_alone(job: Job) -> Outcome:
    """Measure the tensors of a file whose architecture is not at hand."""
    found = load_alone(job.run.checkpoint, job.run.source, job.session.opened(job.run))
    job.deadline.check("checkpoint")
    job.session.measuring(job.run)
    weights, buffers = measure_tensors(found.tensors, job.settings, job.device)
    job.deadline.check("statistics")
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
            "unmeasured": [Unmeasured(layer="activations", reason=why), *complex_tensors(found.tensors)],
        }
    )
    return Outcome(run, {})


def _measure(job: Job, model: nn.Module, loaded: Loaded) -> Outcome:
    parameters = sum(parameter.numel() for parameter in model.parameters())
    weights = measure_weights(model, job.settings, loaded.stored, job.device)
    buffers = measure_buffers(model, loaded.stored)
    norms = measure_norms(model, loaded.stored)
    give_memory_back()  # before the forward pass needs its own
    job.deadline.check("statistics")
    notes: list[str] = []
    done = all_images(job, model, notes)
    job.deadline.check("forward")
    taps, shown = done.collector.value()
    grams = done.collector.kept_grams()
    activations = explain_deaths(model, taps, done.taps.producers, job.plan.dead, done.taps.borrowed)
    job.deadline.check("statistics")
    images = done.images
    if job.run.shown or job.plan.showing.channels != "first":
        again = chosen(job, model, shown, list(images.files), done.batch_size)
        shown, images = again.shown, images.model_copy(update={"files": again.files})
        done.pictures.update(again.pictures)
        notes += again.notes
    job.deadline.check("statistics")
    most = max((len(one.maps.rows) for one in shown), default=0)
    gallery: Gallery = make_gallery(model, shown, most, job.budget, job.plan.showing)
    notes += gallery.notes
    files, more = of_the_loudest(job, gallery.maps, images.files)
    images = images.model_copy(update={"files": files})
    if takes_list(model):
        notes.append("The network takes a list of images: each batch was handed to it as one.")
    run = _blank(job).model_copy(
        update={
            "load": loaded.audit,
            "images": images,
            "device": describe(job.device),
            "batch_size": done.batch_size,
            "notes": notes,
            "faithfulness": done.faithfulness,
            "parameters": parameters,
            "summary": summarise(activations, weights),
            "activations": activations,
            "weights": weights,
            "buffers": buffers,
            "norms": norms,
            "unmeasured": list_unmeasured(model, done.taps, done.collector),
            "maps": gallery.maps,
            "kernels": gallery.kernels,
            "kernel_norms": gallery.norms,
        }
    )
    return Outcome(run, done.pictures | gallery.pictures | more, grams)
