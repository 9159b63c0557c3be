"""The pipeline, in order: manifest → plan → results → page → disk."""

from __future__ import annotations

import contextlib
import hashlib
import math
import shlex
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from featreport import gate, manifest
from featreport.errors import ManifestError, OutputError, ResultsError, TooLargeError
from featreport.executors.serial import Outcome, Progress, Silent, execute, keys
from featreport.fetching import fetched, is_elsewhere, verified
from featreport.plan import resolve
from featreport.plan.fingerprint import Hasher, canonical, made_by
from featreport.plan.look import SECTIONS, plugins
from featreport.plan.types import Plan
from featreport.plan.words import near
from featreport.refusals import check_templates, refused
from featreport.report.where import templates_digest
from featreport.results import codec
from featreport.results.entries import Entry, Made, Store
from featreport.results.history import History
from featreport.results.lock import held, is_free
from featreport.results.outputs import is_as_built, note
from featreport.results.provenance import provenance_of
from featreport.results.schema import PageOptions, Results, Run, Thresholds
from featreport.results.store import check_writable, clear_parts, write_aside, write_atomically


@dataclass(frozen=True)
class Built:
    """A finished build: what was measured, and where it lies."""

    results: Results
    report: Path


def make_plan(
    config: str | Path,
    *,
    output: str | Path | None = None,
    device: str | None = None,
    only: str | None = None,
    code: bool = True,
    store: str | Path | None = None,
    overrides: Sequence[str] = (),
) -> Plan:
    """Return what a build of `config` would do; nothing is run, torch is not imported.

    Args:
        config: path of the manifest.
        output: report to write instead of the manifest's, relative to the working directory.
        device: device instead of the manifest's.
        only: glob over run ids; the others are left out.
        code: whether the manifest may name Python code of its own (`python:`); False refuses it.
        store: folder of finished runs instead of `.featreport` beside the manifest.
        overrides: values put into the manifest before it is validated, each `PATH=VALUE`, e.g. `batch_size=8`.

    Raises:
        ManifestError: with every problem found.
    """
    written, problems = manifest.read(Path(config), overrides)
    if written is None:
        raise ManifestError(problems)
    plan = resolve(written, code=code, known=problems)
    if output is not None:
        path = Path(output).absolute()
        if path.suffix != ".html":
            raise ManifestError(
                f"--output: expected a path that ends in .html, got {str(output)!r}; nothing was run."
            )
        plan = replace(plan, output=path)
    if store is not None:
        plan = replace(plan, store=Path(store).absolute())
    if device is not None:
        if device.split(":")[0] not in {"auto", "cpu", "cuda", "mps", "xpu"} or not _index(device):
            raise ManifestError(
                f"--device: expected auto, cpu, cuda, cuda:1, mps or xpu, got {device!r}; nothing was run."
            )
        plan = replace(plan, device=device)
    if only is not None:
        runs = tuple(run for run in plan.runs if fnmatchcase(run.id, only))
        if not runs:
            known = ", ".join(run.id for run in plan.runs)
            raise ManifestError(f"--only: no run id matches {only!r} (there are: {known}); nothing was run.")
        plan = replace(plan, runs=runs)
    return plan


def _index(device: str) -> bool:
    kind, colon, index = device.partition(":")
    return not colon or (kind not in {"auto", "cpu"} and index.isdecimal())


def build(
    config: str | Path,
    *,
    output: str | Path | None = None,
    device: str | None = None,
    only: str | None = None,
    code: bool = True,
    progress: Progress | None = None,
    store: str | Path | None = None,
    fresh: bool = False,
    overrides: Sequence[str] = (),
) -> Results:
    """Run the manifest `config`, write its report and results, and return the results as typed values.

    A run that fails is an outcome with `status` "failed", not an exception. Arguments as for `make_plan`; `fresh`
    measures every run anew.

    Raises:
        ManifestError: the manifest or an argument is wrong; nothing was run.
        OutputError: the report could not be written.
    """
    plan = make_plan(
        config, output=output, device=device, only=only, code=code, store=store, overrides=overrides
    )
    return run_plan(plan, progress, fresh=fresh).results


def run_plan(plan: Plan, progress: Progress | None = None, *, fresh: bool = False) -> Built:
    """Carry out a plan and write the report and the results beside it.

    Runs that the plan's store holds are not measured again, unless `fresh`; where nothing at all changed since the
    last build, nothing is written either.

    Raises:
        BusyError: another build is writing this report.
        OutputError: the report could not be written.
    """
    listener = progress or Silent()
    free = is_free(plan.output)  # asked before the lock is our own
    if not is_elsewhere(plan):
        return _carried_out(plan, listener, held(plan.output), fresh=fresh, free=free)
    refused(plan)
    with held(plan.output) as alone:  # both before minutes of transfers
        plan = fetched(plan, listener.mention)
        return _carried_out(plan, listener, contextlib.nullcontext(alone), fresh=fresh, free=free)


def _carried_out(
    plan: Plan, listener: Progress, lock: AbstractContextManager[bool], *, fresh: bool, free: bool
) -> Built:
    """Carry out a plan whose files are all here; `lock` is held while the report is made, `free`: nobody held it."""
    store = None if plan.store is None else Store(plan.store, listener.mention)
    hasher = Hasher(verified(plan))
    known = keys(plan, hasher) if store is not None else ()
    state = _state(plan, known, hasher)
    if store and not fresh and free and is_as_built(store.folder, plan.output, state):
        with contextlib.suppress(
            ResultsError
        ):  # which are read a second time: if that fails, all is made anew
            as_built = Built(codec.load(plan.results), plan.output)
            listener.mention("Nothing changed since the last build.")
            return as_built
    before = refused(plan)
    with lock as alone:
        if alone:
            clear_parts(plan.output)
            clear_parts(plan.results)
        logo, pictures = _logo(plan)
        done: list[Outcome] = []
        for outcome in execute(plan, listener, store, () if fresh else known):
            if store is not None and outcome.run.status == "ok" and not outcome.kept:
                store.write(
                    known[len(done)],
                    Entry(run=outcome.run, pictures=outcome.pictures, made=outcome.made, grams=outcome.grams),
                )
            done.append(outcome)
            pictures |= outcome.pictures
        results = gather(plan, [outcome.run for outcome in done], pictures, done[0].made, logo)
        grams = {one.run.id: one.grams for one in done if one.grams is not None}
        results = gate.with_similarities(plan, results, grams)
        kept = None if plan.history is None else History(plan.history, listener.mention)
        results = _with_plugins(plan, gate.judged(plan, results, before, kept))
        write(results, plan.output, plan.look.templates)
        if kept is not None:
            kept.add(results)
            state = _state(plan, known, hasher)
        if store is not None and all(outcome.run.status == "ok" for outcome in done):
            note(store.folder, plan.output, state, listener.mention)
    return Built(results, plan.output)


def _state(plan: Plan, known: Sequence[str], hasher: Hasher) -> str:
    """Return a digest of all that a report is made of: its runs, and how its page is made."""
    look = plan.look
    folder = sorted(look.templates.iterdir()) if look.templates is not None else []
    compared = plan.baseline.path if plan.baseline else None
    files = [path for path in (*folder, look.logo, compared) if path is not None and path.is_file()]
    told = {
        "runs": known,
        "made by": made_by(),
        "title": plan.title,
        "manifest": [plan.manifest_name, plan.manifest_text, plan.manifest_digest],
        "beside the manifest": [plan.overrides, plan.bases],
        "page": [templates_digest(), plan.max_bytes, look.templates_text, list(look.sections)],
        "files": [(path.name, hasher.of(path)) for path in files],
        "plug-ins": plugins(look.sections),
        "history": [] if plan.history is None else History(plan.history).state(),
    }
    return hashlib.sha256(canonical(told).encode()).hexdigest()


def gather(
    plan: Plan, runs: list[Run], pictures: dict[str, str], made: Made, logo: str | None = None
) -> Results:
    """Put the runs' outcomes together with what made them."""
    look = plan.look
    return Results(
        title=plan.title,
        provenance=provenance_of(plan, made),
        thresholds=Thresholds(dead=plan.dead, near_zero=plan.near_zero, constant=plan.constant),
        max_bytes=plan.max_bytes,
        page=PageOptions(templates=look.templates_text, logo=logo, sections=list(look.sections)),
        definitions=made.definitions,
        runs=runs,
        pictures=pictures,
    )


def _with_plugins(plan: Plan, results: Results) -> Results:
    """Add what the plug-ins that the manifest names have to say of the results."""
    names = [name for name in plan.look.sections if name not in SECTIONS]
    if not names:
        return results
    from featreport.report.plugins import make

    extras, pictures = [], dict(results.pictures)
    for name in names:
        extra, more = make(name, results)
        extras.append(extra)
        pictures |= more
    return results.model_copy(update={"extras": extras, "pictures": pictures})


def _logo(plan: Plan) -> tuple[str | None, dict[str, str]]:
    if plan.look.logo is None:
        return None, {}
    from featreport.images.logo import read_logo

    key, uri = read_logo(plan.look.logo)
    return key, {key: uri}


def write(results: Results, report: Path, templates: Path | None = None) -> None:
    """Render and write the report and, beside it, its results; each appears whole or not at all.

    Raises:
        OutputError: it could not be written; the results were then saved to a temporary folder, which is named, if
            that could be done.
    """
    from featreport.report import render as render_page

    text, kept = codec.encode(results), report.with_suffix(".json")
    try:
        write_atomically(kept, text)
    except OutputError as error:
        rescued = write_aside(kept.name, text)
        told = "" if rescued is None else f"\nThe results were kept: featreport render {rescued}"
        raise OutputError(f"{error}{told}") from error
    again = f"The results were kept: featreport render {shlex.quote(str(near(kept)))}"
    try:
        write_atomically(report, render_page(results, kept.name, templates))
    except TooLargeError as error:
        raise OutputError(f"{error}\n{again} --max-bytes {_enough(error.full)}") from error
    except OutputError as error:
        raise OutputError(f"{error}\n{again}") from error


def _enough(size: int) -> str:
    """Return a round size, as `--max-bytes` takes it, in which a page of `size` bytes fits with its last digits."""
    return f"{math.ceil(size * 1.01 / 1e6)}MB"


def render(
    source: str | Path,
    output: str | Path | None = None,
    *,
    max_bytes: str | int | None = None,
    templates: str | Path | None = None,
    mention: Callable[[str], None] = lambda _: None,
) -> Path:
    """Rebuild the HTML from a results file or from a report, byte for byte; torch is not imported.

    Args:
        source: results JSON, or a report's HTML.
        output: where to write; for results JSON the HTML beside it, for a report the report itself.
        max_bytes: size of the page, such as 30MB, instead of the one in the results.
        templates: a folder of templates that override the page's own; results do not carry them.
        mention: is told what people should know.

    Raises:
        ManifestError: `max_bytes` is not a size, or `templates` no folder of templates.
        ResultsError: the source cannot be read back.
        BusyError: a build is writing this report.
        OutputError: the report cannot be written.
    """
    from featreport.report import render as render_page

    try:
        limit = None if max_bytes is None else manifest.bytes_of(max_bytes)
    except ValueError as error:
        raise ManifestError(f"--max-bytes: {error}") from None
    own = None if templates is None else Path(templates).absolute()
    if own is not None and not own.is_dir():
        raise ManifestError(f"--templates: expected a folder, got {str(templates)!r}")
    check_templates(own)
    path, text = Path(source), codec.read(source)
    results = codec.decode(text, str(source))
    if limit is not None:
        results = results.model_copy(update={"max_bytes": limit})
    report = codec.is_report(text)
    if results.page.templates and own is None:
        mention(
            f"The build used templates of its own ({results.page.templates}): --templates uses them again."
        )
    try:
        page = render_page(results, None if report else path.name, own)
    except TooLargeError as error:
        whole = f"{error}\nRender it with --max-bytes {_enough(error.full)}"
        raise OutputError(f"{whole}, or render its results JSON" if report else whole) from error
    target = Path(output) if output is not None else path.with_suffix(".html")
    check_writable(target)
    with held(target):  # a build that writes it is not written over
        write_atomically(target, page)
    return target
