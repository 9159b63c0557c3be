"""A plan whose files lie elsewhere → the same plan over copies of them; what cannot be fetched fails its run alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from featreport.errors import ManifestError
from featreport.plan.types import BaselineRef, CheckpointRef, ImageRef, Plan
from featreport.remote import Address, Copies, RemoteError, checksum, together

TOGETHER = 8  # transfers: images are many and small
FOLDER = "remote"  # below the store
Asked = tuple[str, str | None]  # address, and the SHA-256 it must have
Had = dict[Asked, Path | str]  # the path of the copy, or why there is none


def is_elsewhere(plan: Plan) -> bool:
    """Say whether a plan needs files that lie elsewhere."""
    return bool(_wanted(plan))


def fetched(plan: Plan, mention: Callable[[str], None]) -> Plan:
    """Return the plan with the path of a copy for each file that lies elsewhere, or with why there is none.

    Raises:
        ManifestError: the results to compare with cannot be had.
        OutputError: a copy cannot be written.
    """
    wanted = _wanted(plan)
    if not wanted:
        return plan
    store = plan.store or plan.output.parent / ".featreport"
    copies = Copies(copies_of(store), plan.max_fetched, mention)
    baseline, had = plan.baseline, dict[Asked, Path | str]()
    if baseline is not None and baseline.url is not None:  # first: without it nothing is run
        had = _all(copies, [(baseline.url, None)])
        baseline = _baseline(baseline, had)
    had |= _all(copies, [asked for asked in wanted if asked not in had])
    runs = tuple(
        replace(
            run,
            checkpoint=_checkpoint(run.checkpoint, had),
            images=tuple(_image(image, had) for image in run.images),
        )
        for run in plan.runs
    )
    return replace(plan, runs=runs, baseline=baseline)


def verified(plan: Plan) -> dict[Path, str]:
    """Return the SHA-256 of each copy in a plan that `fetched` gave: it was read for it, and need not be again."""
    refs: list[CheckpointRef | ImageRef] = []
    for run in plan.runs:
        refs += [run.checkpoint, *run.images]
    paths = [ref.path for ref in refs if ref.url is not None and not ref.missing]
    if plan.baseline is not None and plan.baseline.url is not None:
        paths.append(plan.baseline.path)
    return {path: checksum(path) for path in paths if path is not None}


def copies_of(store: Path) -> Path:
    """Return the folder of copies of a store."""
    return store / FOLDER


def _all(copies: Copies, wanted: list[Asked]) -> Had:
    """Get files, several at a time; when interrupted, transfers end and leave nothing behind."""

    def get(asked: Asked) -> Path | str:
        try:
            return copies.get(Address(asked[0]), asked[1])
        except RemoteError as error:
            return str(error)

    return together(get, wanted, TOGETHER, copies.stop)


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
    found = had[ref.url or "", None]
    if isinstance(found, Path):
        return replace(ref, path=found)
    raise ManifestError(f"{ref.place}: {found}\n1 problem; nothing was run.")
