"""The images and channels that the manifest chooses to show, run once more for their maps alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from featreport.collect.forward import PINNED, batches_of, one_forward, with_inputs
from featreport.collect.guard import raised, watched
from featreport.collect.job import Job
from featreport.collect.maps import Channelwise, Room, Shown, ShownMaps, may_show
from featreport.collect.passed import Key
from featreport.collect.taps import Tap, Taps
from featreport.results.schema import ImageFile
from featreport.statistics import to_host

BATCH = 4  # images at a time, at most: only their maps are kept
MOST_SHOWN = 32


@dataclass(frozen=True)
class Again:
    """What is shown of every tap, and the images with the thumbnails that were missing."""

    shown: list[Shown]
    files: list[ImageFile]
    pictures: dict[str, str]
    notes: list[str]


def choose(channels: Channelwise, how: str, count: int) -> list[int]:
    """Return `count` channels in the order they are shown.

    `first`: as they come. `strongest`: greatest mean |a| first. `rarest`: of those that fire, the ones that do on the
    fewest images first, the weaker first among equals; dead ones only where there are no others. `dead`: the dead,
    then the rarest.
    """
    every = np.arange(channels.dead.size)
    if how == "strongest":
        every = np.lexsort((every, -channels.size))
    elif how == "rarest":
        every = np.lexsort((every, channels.size, channels.fired, channels.dead))
    elif how == "dead":
        every = np.lexsort((every, channels.size, channels.fired, ~channels.dead))
    return [int(channel) for channel in every[:count]]


def chosen(job: Job, model: nn.Module, shown: list[Shown], files: list[ImageFile], batch_size: int) -> Again:
    """Run the images to show once more and keep the maps that the manifest chooses.

    Where that fails, as it can with a network that wants other batches, the maps of the first pass stay, with a note.

    Args:
        job: the run; `run.shown` are the places of its images, empty for the first ones.
        model: on its device, as it was measured.
        shown: what the first pass kept.
        files: the images that could be used.
        batch_size: what the run settled on: no more at a time.
    """
    notes: list[str] = []
    names = [file.name for file in files]
    wanted = [name for name in (job.run.images[place].name for place in job.run.shown) if name in names]
    if job.run.shown and not wanted:
        notes.append("None of the images named by report.show could be used; the first ones are shown.")
    wanted = list(dict.fromkeys(wanted or names[: job.plan.shown_images]))[:MOST_SHOWN]
    if len(job.run.shown) > len(wanted) == MOST_SHOWN:
        notes.append(
            f"report.show names {len(job.run.shown)} images; the first {MOST_SHOWN} of them are shown."
        )
    try:
        return _again(job, model, shown, list(files), wanted, min(BATCH, batch_size), notes)
    except Exception as error:  # noqa: BLE001 - what is only shown spoils nothing that was measured
        notes.append(
            f"The channels and images chosen could not be shown ({raised(error)}); the first ones are."
        )
        return Again(shown, files, {}, notes)


def _again(
    job: Job,
    model: nn.Module,
    shown: list[Shown],
    files: list[ImageFile],
    wanted: list[str],
    batch_size: int,
    notes: list[str],
) -> Again:
    plan, run = job.plan, job.run
    names = [file.name for file in files]
    rows = {name: names.index(name) for name in wanted}
    refs = [ref for ref in run.images if ref.name in rows]
    found: dict[Key, Shown] = {}
    picked: dict[Key, Tensor] = {}
    room = Room()
    for one in shown:
        if not may_show(one.tap, plan.showing.maps):
            continue
        picks = choose(one.channels, plan.showing.channels, plan.shown_channels)
        found[one.tap.key] = replace(one, maps=ShownMaps(len(refs), len(picks), room, picks))
        picked[one.tap.key] = torch.tensor(picks, device=job.device)
    batches = batches_of(
        job, refs, max(1, min(len(refs), batch_size)), shown=len(refs), pin=job.device.type in PINNED
    )
    here: list[int] = []

    def observe(tap: Tap, _module: nn.Module | None, output: Tensor) -> None:
        one = found.get(tap.key)
        if one is not None and fits(output, one, len(here)):
            with torch._C.DisableTorchFunction():  # noqa: SLF001 - our own indexing would be intercepted too
                one.maps.keep(output.resolve_neg(), one.layout, here, picked[tap.key])

    taps = Taps(model, observe, include=run.include)
    pictures: dict[str, str] = {}
    with (
        watched(job.device, job.seed),
        torch.inference_mode(),
        taps.attached(),
        job.deadline.inside("statistics"),
    ):
        for batch in batches:
            job.deadline.check("statistics")
            here[:] = [rows[file.name] for file in batch.files]
            inputs = batch.tensor.to(job.device, job.dtype, non_blocking=job.on_accelerator)
            with taps.one_pass(partial(job.deadline.check, "statistics")):
                one_forward(model, inputs)
            shown_files, more = with_inputs(job, batch, len(batch.files))
            pictures |= batch.pictures | more
            for file in shown_files:
                files[rows[file.name]] = file
    parts = [part for one in found.values() for part in one.maps.parts]
    host = iter(to_host(parts))
    for one in found.values():
        one.maps.receive([next(host) for _ in one.maps.parts])
    return Again(
        [
            found[one.tap.key] if one.tap.key in found and found[one.tap.key].maps.parts else one
            for one in shown
        ],
        files,
        pictures,
        notes,
    )


def fits(output: Tensor, one: Shown, images: int) -> bool:
    """Say whether an output has its images and channels where the first pass found them."""
    batch, channel = one.layout.batch, one.layout.channel
    if batch is None or channel < 0 or output.ndim <= max(batch, channel):
        return False
    return output.shape[batch] == images and output.shape[channel] == one.channels.dead.size
