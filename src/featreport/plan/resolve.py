"""A manifest → the plan: every default filled in, every path found, or every problem at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

from featreport.errors import ManifestError, Problem
from featreport.manifest import ImagesEntry, Manifest, Model, Report
from featreport.manifest.scalars import did_you_mean, quote
from featreport.plan import files
from featreport.plan.checkpoints import Named, checkpoints_of, distinct
from featreport.plan.checks import baseline_of, checks_of
from featreport.plan.elsewhere import finder
from featreport.plan.look import SECTIONS, look
from featreport.plan.packages import NotFoundError
from featreport.plan.sources import require_package, require_weights, source_of
from featreport.plan.transforms import transform_of
from featreport.plan.types import ImageRef, Plan, RunPlan, Showing, SourceRef, TransformSpec


def resolve(manifest: Manifest, *, code: bool = True, known: Sequence[Problem] = ()) -> Plan:
    """Return what a build of this manifest does; without `code`, a manifest that names code of its own is refused.

    Args:
        manifest: the manifest; with `known` problems, what of it is right.
        code: whether it may name Python code.
        known: problems found already; they are raised together with those found here.

    Raises:
        ManifestError: with every path that leads nowhere and every name that does not exist.
    """
    resolver = _Resolver(manifest)
    if not code:
        resolver.refuse_code()
    output = resolver.output()
    runs = resolver.runs()
    appearance = look(manifest.report, resolver.at, manifest.folder_of)
    sound = not resolver.problems and not known
    baseline = baseline_of(manifest, runs, resolver.complain, resolver.find, sound=sound)
    checks = checks_of(manifest, runs, resolver.complain, sound=sound)
    if resolver.problems or known:
        said = {problem.path for problem in known}  # what follows from a known problem is not said again
        raise ManifestError([*known, *(problem for problem in resolver.problems if problem.path not in said)])
    stem = Path(manifest.file).stem
    return Plan(
        title=manifest.title or stem,
        manifest_name=Path(manifest.file).name,
        manifest_text=manifest.text,
        output=output,
        device=manifest.device,
        precision=manifest.precision,
        batch_size=manifest.batch_size,
        dead=manifest.statistics.dead,
        near_zero=manifest.statistics.near_zero,
        max_bytes=manifest.report.max_bytes,
        shown_channels=manifest.report.channels,
        shown_images=manifest.report.images,
        runs=runs,
        constant=manifest.statistics.constant,
        look=appearance,
        store=manifest.folder / ".featreport",
        showing=_showing(manifest.report),
        alpha=manifest.statistics.alpha,
        checks=checks,
        baseline=baseline,
        max_fetched=manifest.remote.max_bytes,
        cka=manifest.compare is not None and manifest.compare.cka,
        history=None
        if manifest.history is None
        else files.absolute(manifest.history, manifest.folder_of("history")),
        variables=manifest.variables,
        overrides=manifest.overrides,
        bases=manifest.bases,
        manifest_digest=manifest.digest,
    )


def _showing(report: Report) -> Showing:
    return Showing(report.maps, report.select, report.kernels, report.overlay)


def _is_named(ref: ImageRef, glob: str) -> bool:
    """Say whether a glob means an image: its whole name where the glob has a folder, else the file's."""
    file = Path(ref.name).name
    return glob in {ref.name, file} or fnmatchcase(ref.name if "/" in glob else file, glob)


class _Resolver:
    """Walks the manifest and notes each problem where it stands."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self.problems: list[Problem] = []
        self.find = finder(manifest)
        self.unseen = set(manifest.report.show)  # globs that no image fits

    def complain(self, place: str, message: str) -> None:
        self.problems.append(self.manifest.problem(place, message))

    @contextmanager
    def at(self, place: str) -> Iterator[None]:
        """Note what is not found inside as a problem at `place`."""
        try:
            yield
        except NotFoundError as error:
            self.complain(place, str(error))
        except OSError as error:
            self.complain(place, f"cannot be read ({error.strerror})")

    def refuse_code(self) -> None:
        """Note every place that names Python code to run."""
        named: list[tuple[str, object]] = [("transform", self.manifest.transform)]
        for index, model in enumerate(self.manifest.models):
            named += [
                (f"models[{index}].source", model.source),
                (f"models[{index}].transform", model.transform),
            ]
        for index, name in enumerate(self.manifest.report.sections):
            if name not in SECTIONS:
                what = f"--no-code: {quote(name)} would run the code of a plug-in"
                self.complain(f"report.sections[{index}]", what)
        for place, written in named:
            if isinstance(written, str) and written.startswith("python:"):
                self.complain(
                    place, f"--no-code: {quote(written)} would run Python code that the manifest names"
                )

    def output(self) -> Path:
        written = self.manifest.output or f"reports/{Path(self.manifest.file).stem}.html"
        path = files.absolute(written, self.manifest.folder_of("output" if self.manifest.output else ""))
        if path.suffix != ".html":
            self.complain("output", f"expected a file that ends in .html, got {quote(written)}")
        return path

    def runs(self) -> tuple[RunPlan, ...]:
        shared = self.images(self.manifest.images, "images")
        runs: list[RunPlan] = []
        for index, model in enumerate(self.manifest.models):
            runs += self.model(model, f"models[{index}]", shared)
        names = [ref.name for run in runs for ref in run.images]
        for index, glob in enumerate(self.manifest.report.show):
            if glob in self.unseen and names:
                hint = did_you_mean(glob, [*names, *(Path(name).name for name in names)])
                self.complain(f"report.show[{index}]", f"no image of any run is named {quote(glob)}{hint}")
        return tuple(runs)

    def shown(self, images: tuple[ImageRef, ...]) -> tuple[int, ...]:
        """Return the places of the images that the manifest names to be shown; empty: the first ones are."""
        globs = self.manifest.report.show
        found = [i for i, ref in enumerate(images) if any(_is_named(ref, glob) for glob in globs)]
        self.unseen -= {glob for glob in globs if any(_is_named(ref, glob) for ref in images)}
        return tuple(found)

    def model(self, model: Model, place: str, shared: tuple[ImageRef, ...]) -> list[RunPlan]:
        timeout = model.timeout if model.timeout is not None else self.manifest.timeout
        if model.source == "none":
            alone = TransformSpec("none", text="none: no image is used")
            ref = SourceRef("none", model.source, "")
            return [
                RunPlan(
                    f"{model.name}/{one.name}",
                    model.name,
                    one.name,
                    ref,
                    one.ref,
                    (),
                    (),
                    (),
                    alone,
                    (),
                    timeout,
                )
                for one in self.checkpoints(model, place, ref)
            ]
        own = self.images(model.images, f"{place}.images")
        images = own if model.images is not None else shared
        if model.images is None and self.manifest.images is None:
            self.complain(place, "no images: add 'images' here or at the top level")
        source: SourceRef | None = None
        with self.at(f"{place}.source"):
            source = source_of(model, self.manifest.folder_of(f"{place}.source"))
        named = self.checkpoints(model, place, source)
        if source is None:
            return []
        runs = []
        transform = model.transform if model.transform is not None else self.manifest.transform
        where = f"{place}.transform" if model.transform is not None else "transform"
        if transform == "weights" and source.kind not in {"torchvision", "timm"}:
            self.complain(
                where, f"the transform 'weights' needs a torchvision or timm source, {place} has another"
            )
            return []
        for one in named:
            with self.at(where):
                spec = transform_of(transform, one.ref, source.name, self.manifest.folder_of(where))
                if spec.python_module:
                    require_package(spec.python_module)
                layers = model.layers
                runs.append(
                    RunPlan(
                        f"{model.name}/{one.name}", model.name, one.name, source, one.ref,
                        layers.include, layers.exclude, images, spec, self.shown(images), timeout,
                    )
                )  # fmt: skip
        return runs

    def checkpoints(self, model: Model, place: str, source: SourceRef | None) -> list[Named]:
        named: list[Named] = []
        for index, entry in enumerate(model.checkpoints):
            here = f"{place}.checkpoints[{index}]" + ("" if isinstance(entry, str) else ".path")
            with self.at(here):
                found = checkpoints_of(entry, here, self.manifest.folder_of(here), self.find)
                for one in found:
                    if one.ref.weights and source and source.kind == "torchvision":
                        require_weights(source.name, one.ref.weights)
                named += found
        kept = distinct(named)
        counts = Counter(one.name for one in kept)
        for name in sorted(name for name, count in counts.items() if count > 1):
            last = [one for one in kept if one.name == name][-1]
            run = f"{model.name}/{name}"
            self.complain(
                last.place, f"two checkpoints would both be the run {quote(run)}: give one a 'name'"
            )
        return kept

    def images(self, written: tuple[str, ...] | ImagesEntry | None, place: str) -> tuple[ImageRef, ...]:
        if written is None:
            return ()
        listed = isinstance(written, tuple)
        paths = written if isinstance(written, tuple) else written.paths
        found: dict[Path, ImageRef] = {}
        for index, text in enumerate(paths):
            here = f"{place}[{index}]" if listed else f"{place}.paths[{index}]"
            with self.at(here):
                for file in files.images(text, self.manifest.folder_of(here), self.find):
                    found.setdefault(file.path, ImageRef(file.path, file.name, file.url))
        limit = None if isinstance(written, tuple) else written.limit
        return tuple(found.values())[:limit]
