"""Results → a paper kit: vector figures, LaTeX and CSV tables, methods text, BibTeX. No torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from featreport.paper.kit import Exported

MAX_FIGURES = 60  # of one run


def export(
    source: str | Path,
    folder: str | Path,
    *,
    max_figures: int = MAX_FIGURES,
    progress: Callable[[str], None] | None = None,
) -> Exported:
    """Write the paper kit of a results file or of a report into a folder; torch is not imported.

    Files of the kit that lie there are replaced, others are left alone. The same results give the same bytes.

    Args:
        source: results JSON, or a report's HTML.
        folder: where to write; made where it does not exist.
        max_figures: how many figures of each run at most; 0 means all.
        progress: is told in a line when a run's figures are drawn.

    Raises:
        ResultsError: the source cannot be read back.
        OutputError: the folder cannot be written.
    """
    from featreport.paper.kit import export as write  # heavy only when a kit is made
    from featreport.results.codec import load

    return write(load(source), Path(folder), max_figures, progress or (lambda _line: None))


__all__ = ["MAX_FIGURES", "export"]
