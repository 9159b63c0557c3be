"""A plan whose files lie elsewhere → the same plan over copies of them; what cannot be fetched fails its run alone."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from featreport.errors import ManifestError
from featreport.plan.types import BaselineRef, CheckpointRef, ImageRef, Plan
from featreport.remote import Address, Copies, RemoteError

TOGETHER = 8  # transfers: images are many and small
FOLDER = "remote"  # below the store
Asked = tuple[str, str | None]  # address, and the SHA-256 it must have
Had = dict[Asked, Path | str]  # the path of the copy, or why there is none


def fetched(plan: Plan, mention: Callable[[str], None]) -> Plan:
    """Return the plan with the path of a copy for each file that lies elsewhere, or with why there is none.

    Raises:
        ManifestError: the results to compare with cannot be had.
    """
    wanted = _wanted(plan)
    if not wanted:
        return plan
    copies = Copies(copies_of(plan.store) if plan.store else _passing(), plan.max_fetched, mention)

    def get(asked: Asked) -> Path | str:
        try:
            return copies.get(Address(asked[0]), asked[1])
        except RemoteError as error:
            return str(error)

    with ThreadPoolExecutor(TOGETHER, "featreport-fetch") as pool:
        try:
            had: Had = dict(zip(wanted, pool.map(get, wanted), strict=True))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    runs = tuple(
        replace(
            run,
            checkpoint=_checkpoint(run.checkpoint, had),
            images=tuple(_image(image, had) for image in run.images),
        )
        for run in plan.runs
    )
    return replace(plan, runs=runs, baseline=plan.baseline and _baseline(plan.baseline, had))


def copies_of(store: Path) -> Path:
    """Return the folder of copies of a store."""
    return store / FOLDER


def _wanted(plan: Plan) -> list[Asked]:
    """Return each file once, in the order it is needed in."""
    asked: dict[Asked, None] = {}
    if plan.baseline is not None and plan.baseline.url is not None:
        asked[plan.baseline.url, None] = None
    for run in plan.runs:
        if run.checkpoint.url is not None:
            asked[run.checkpoint.url, run.checkpoint.sha256] = None
        asked |= {(image.url, None): None for image in run.images if image.url is not None}
    return list(asked)


def _checkpoint(ref: CheckpointRef, had: Had) -> CheckpointRef:
    if ref.url is None:
        return ref
    found = had[ref.url, ref.sha256]
    return replace(ref, path=found) if isinstance(found, Path) else replace(ref, missing=found)


def _image(ref: ImageRef, had: Had) -> ImageRef:
    if ref.url is None:
        return ref
    found = had[ref.url, None]
    return replace(ref, path=found) if isinstance(found, Path) else replace(ref, missing=found)


def _baseline(ref: BaselineRef, had: Had) -> BaselineRef:
    if ref.url is None:
        return ref
    found = had[ref.url, None]
    if isinstance(found, Path):
        return replace(ref, path=found)
    raise ManifestError(f"{ref.place}: {found}\n1 problem; nothing was run.")


def _passing() -> Path:
    """Return a folder that goes with this process."""
    folder = Path(tempfile.mkdtemp(prefix="featreport-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
