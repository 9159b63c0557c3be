"""Results → the paper kit: every figure at two widths in three formats, tables, methods, references."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from featreport import tables
from featreport.judge.findings import rectifiers
from featreport.paper import comparisons, document, gallery, heat, methods, others, press, tabulars
from featreport.paper.document import Part
from featreport.paper.drawing import Drawing
from featreport.paper.folder import Staging, staged
from featreport.paper.names import Slugs
from featreport.paper.press import Order
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


def export(results: Results, folder: Path, max_figures: int, workers: int, listener: Listener) -> Exported:
    """Write the kit of `results` into `folder`, at most `max_figures` figures of each run; 0 means all.

    Raises:
        OutputError: it cannot be written.
    """
    with staged(folder, ("figures", "tables")) as out:
        kit = _Kit(results, out, max_figures)
        kit.draw(workers, listener)
        return Exported(folder, len(out.files), len(kit.orders), kit.left_out)


class _Kit:
    """The writing of one kit: first all that is text, with an order for each figure, then the figures."""

    def __init__(self, results: Results, out: Staging, max_figures: int) -> None:
        self.orders: list[Order] = []
        self._ends: dict[int, str] = {}  # what to tell when so many orders are drawn
        self._results, self._out, self._most = results, out, max_figures
        self._slugs = Slugs()
        self._fewer: list[int] = []  # how many figures were left out, of each run with too many
        self._lacking = 0  # figures without a picture
        runs = [(run, self._slugs.take(run.id)) for run in results.runs]
        parts = [self._together(), *(self._run(run, slug) for run, slug in runs)]
        self.left_out = self._sentence()
        out.write("paper.tex", document.tex(results, parts))
        out.write("methods.tex", methods.tex(results))
        out.write("methods.md", methods.markdown(results))
        entries = sorted(methods.cited(results), key=lambda reference: reference.key)
        out.write("references.bib", "\n\n".join(entry.bibtex for entry in entries) + "\n")
        out.write("README.md", document.readme(results, len(self.orders), self.left_out))

    def draw(self, workers: int, listener: Listener) -> None:
        """Draw and write every figure that was ordered; tell the listener when those of a run are done."""
        with press.printing(self.orders, workers) as printed:
            for done, files in enumerate(printed, start=1):
                for name, content in files:
                    self._out.write(name, content)
                if done in self._ends:
                    listener(self._ends[done])

    def _together(self) -> Part:
        """Write what tells of all runs."""
        results, limits = self._results, self._results.thresholds
        written = [self._latex("overview", tabulars.overview(results))]
        for of_all in tables.OVER_RUNS:
            table = of_all(results)
            self._csv(table.slug, table)
        figures = [
            self._order("-".join(drawing.words), drawing)
            for drawing in (*heat.overview(results), *comparisons.of_all(results), *others.of_all(results))
        ]
        for compared in tables.checkpoints(results):
            slug = self._slugs.take(compared.model, compared.table.slug)
            self._csv(slug, compared.table)
            written.append(self._latex(slug, tabulars.checkpoints(compared, limits, slug)))
            drawings = heat.checkpoints(compared)
            figures += [self._order("-".join((slug, *drawing.words)), drawing) for drawing in drawings]
        return Part("", tuple(written), tuple(figures))

    def _run(self, run: Run, slug: str) -> Part:
        """Write what tells of one run."""
        for of_run in tables.PER_RUN:
            table = of_run(run)
            if table.rows:
                self._csv(f"{slug}/{table.slug}", table)
        limits, written = self._results.thresholds, []
        if run.activations:
            text = tabulars.layers(tables.layers(run), limits, run.id, f"{slug}-layers")
            written.append(self._latex(f"{slug}/layers", text))
        if run.weights:
            text = tabulars.weights(tables.weights(run), limits, run.id, f"{slug}-weights")
            written.append(self._latex(f"{slug}/weights", text))
        drawings, lacking = gallery.of_run(run, self._results.pictures)
        self._lacking += lacking
        kept = drawings[: self._most] if self._most else drawings
        if len(kept) < len(drawings):
            self._fewer.append(len(drawings) - len(kept))
        names = Slugs()
        figures = [self._order(f"{slug}/{names.take(*drawing.words)}", drawing) for drawing in kept]
        if kept:
            self._ends[len(self.orders)] = f"{run.id}: {formats.plural(len(kept), 'figure')}"
        return Part(run.id, tuple(written), tuple(figures), _remark(run))

    def _order(self, name: str, drawing: Drawing) -> document.Figure:
        stem = f"figures/{name}"
        self.orders.append(Order(stem, drawing))
        return document.Figure(stem, drawing.caption)

    def _csv(self, name: str, table: Table) -> None:
        self._out.write(f"tables/{name}.csv", tables.csv_text(table))

    def _latex(self, name: str, text: str) -> str:
        self._out.write(f"tables/{name}.tex", text)
        return f"tables/{name}.tex"

    def _sentence(self) -> str:
        """Return what the kit lacks, and how to get it."""
        said = []
        if self._fewer:
            figures, runs = (
                formats.plural(sum(self._fewer), "figure"),
                formats.plural(len(self._fewer), "run"),
            )
            said.append(
                f"Left out: {figures} of {runs} beyond {self._most} each; --max-figures 0 writes all."
            )
        if self._lacking:
            figures = formats.plural(self._lacking, "figure of maps or filters", "figures of maps or filters")
            said.append(
                f"{figures} could not be drawn: the picture is not in this file; its results JSON may have it."
            )
        return " ".join(said)


def _remark(run: Run) -> str:
    """Return what stands where a run has no numbers, or no rectifier."""
    if run.status == "failed":
        error = run.error
        reason = f" at the {error.stage} stage: {formats.shorten(error.message, 300)}" if error else ""
        return f"This run failed{reason}."
    if not run.activations:
        return "No activations were measured."
    return (
        "" if rectifiers(run) else "No layer here is a rectifier, so there is no headline of dead channels."
    )
