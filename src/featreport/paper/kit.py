"""Results → the paper kit: every figure at two widths in three formats, tables, methods, references."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from featreport import tables
from featreport.paper import document, gallery, heat, letters, methods, profiles, sheet, sprites, tabulars
from featreport.paper.document import Part
from featreport.paper.drawing import Drawing
from featreport.paper.folder import Staging, staged
from featreport.paper.names import Slugs
from featreport.report import formats
from featreport.results.schema import Results, Run
from featreport.tables import Table

Listener = Callable[[str], None]


@dataclass(frozen=True)
class Exported:
    """A finished kit: where it lies, and what it holds."""

    folder: Path
    files: int
    figures: int
    left_out: str  # a sentence; empty: nothing

    @property
    def verdict(self) -> str:
        """The kit in one line."""
        said = (
            f"{formats.plural(self.files, 'file')}: {formats.plural(self.figures, 'figure')} at 85 and 175 mm as PDF, "
            "SVG and PNG, tables as LaTeX and CSV, methods, references."
        )
        return f"{said} {self.left_out}".rstrip()


def export(results: Results, folder: Path, max_figures: int, listener: Listener) -> Exported:
    """Write the kit of `results` into `folder`, at most `max_figures` figures of each run; 0 means all.

    Raises:
        OutputError: it cannot be written.
    """
    with staged(folder) as out:
        kit = _Kit(results, out, max_figures, listener)
        return Exported(folder, len(out.files), kit.figures, kit.left_out)


class _Kit:
    """The writing of one kit."""

    def __init__(self, results: Results, out: Staging, max_figures: int, listener: Listener) -> None:
        self.figures = 0
        self._results, self._out, self._most, self._listener = results, out, max_figures, listener
        self._slugs = Slugs()
        self._fewer: list[str] = []  # runs with figures left out
        self._skipped = 0
        runs = [(run, self._slugs.take(run.id)) for run in results.runs]
        parts = [self._together(), *(self._run(run, slug) for run, slug in runs)]
        self.left_out = self._sentence()
        out.write("paper.tex", document.tex(results, parts))
        out.write("methods.tex", methods.tex(results))
        out.write("methods.md", methods.markdown(results))
        entries = sorted(methods.cited(results), key=lambda reference: reference.key)
        out.write("references.bib", "\n\n".join(entry.bibtex for entry in entries) + "\n")
        out.write("README.md", document.readme(results, self.figures, self.left_out))

    def _together(self) -> Part:
        """Write what tells of all runs."""
        results = self._results
        made = tables.overview(results)
        written = [self._latex("overview", tabulars.overview(made))]
        for of_all in tables.OVER_RUNS:
            self._csv(of_all(results).slug, of_all(results))
        figures = [self._figure(drawing.slug, drawing) for drawing in heat.overview(results)]
        figures += [self._figure(drawing.slug, drawing) for drawing in profiles.comparison(results)]
        models: dict[str, str] = {}
        for model, table in tables.checkpoints(results):
            slug = models[model] = self._slugs.take(model, "checkpoints")
            self._csv(slug, table)
            written.append(self._latex(slug, tabulars.checkpoints(table, model, slug)))
        for model, drawing in heat.checkpoints(results):
            part = drawing.slug.removeprefix("checkpoints")
            figures.append(self._figure(f"{models[model]}{part}", drawing))
        return Part("", tuple(written), tuple(figures))

    def _run(self, run: Run, slug: str) -> Part:
        """Write what tells of one run."""
        for of_run in tables.PER_RUN:
            table = of_run(run)
            if table.rows:
                self._csv(f"{slug}-{table.slug}", table)
        written = []
        if run.activations:
            text = tabulars.layers(tables.layers(run), run.id, f"{slug}-layers")
            written.append(self._latex(f"{slug}-layers", text))
        if run.weights:
            text = tabulars.weights(tables.weights(run), run.id, f"{slug}-weights")
            written.append(self._latex(f"{slug}-weights", text))
        drawings = gallery.of_run(run, self._results.pictures)
        kept = drawings[: self._most] if self._most else drawings
        if len(kept) < len(drawings):
            self._fewer.append(run.id)
            self._skipped += len(drawings) - len(kept)
        names = Slugs()
        figures = []
        for drawing in kept:
            words = (
                (drawing.slug,)
                if drawing.values is None or drawing.slug == "kernels"
                else (drawing.slug, drawing.title)
            )
            figures.append(self._figure(f"{slug}/{names.take(*words)}", drawing))
        self._listener(f"{run.id}: {formats.plural(len(kept), 'figure')}")
        return Part(run.id, tuple(written), tuple(figures), _remark(run))

    def _figure(self, name: str, drawing: Drawing) -> document.Figure:
        stem = f"figures/{name}"
        title = letters.drawable(drawing.title)
        for width in (sheet.COLUMN, sheet.FULL):
            sized = f"{stem}-{width:.0f}mm"
            with sheet.style(sized):
                for suffix, content in sheet.files(drawing.draw(width), title).items():
                    self._out.write(f"{sized}.{suffix}", content)
        values = drawing.values() if drawing.values else None
        if values is not None:
            self._out.write(f"{stem}-values.png", sprites.encode(values))
        self.figures += 1
        return document.Figure(stem, drawing.caption)

    def _csv(self, slug: str, table: Table) -> None:
        self._out.write(f"tables/{slug}.csv", tables.csv_text(table))

    def _latex(self, slug: str, text: str) -> str:
        self._out.write(f"tables/{slug}.tex", text)
        return f"tables/{slug}.tex"

    def _sentence(self) -> str:
        said = []
        if self._skipped:
            of = formats.plural(len(self._fewer), "run")
            said.append(
                f"Left out: {formats.plural(self._skipped, 'figure')} of {of} beyond {self._most} each; "
                "--max-figures 0 writes all."
            )
        lacking = sum(gallery.without_picture(run, self._results.pictures) for run in self._results.runs)
        if lacking:
            maps = formats.plural(lacking, "feature map figure")
            said.append(
                f"{maps} could not be drawn: this report holds no picture of them; its results JSON may."
            )
        return " ".join(said)


def _remark(run: Run) -> str:
    """Return what stands where a run has no numbers, or no rectifier."""
    if run.status == "failed":
        error = run.error
        reason = f" at the {error.stage} stage: {formats.shorten(error.message, 300)}" if error else ""
        return f"This run failed{reason}."
    if run.activations and not any(tap.rectifier for tap in run.activations):
        return "No tap of this network is a rectifier, so it has no headline of dead channels."
    return "" if run.activations else "No activations were measured."
