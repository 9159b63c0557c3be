"""Results → a paper kit: vector figures, LaTeX and CSV tables, methods text, BibTeX. No torch."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from featreport.paper.kit import Exported

MAX_FIGURES = 60  # of one run
MOST_WORKERS = 8  # each takes 150 MB


def export(
    source: str | Path,
    folder: str | Path,
    *,
    max_figures: int = MAX_FIGURES,
    workers: int = 1,
    progress: Callable[[str], None] | None = None,
) -> Exported:
    """Write the paper kit of a results file or of a report into a folder; torch is not imported.

    Files of the kit that lie there are replaced, others are left alone. The same results give the same bytes.

    Args:
        source: results JSON, or a report's HTML.
        folder: where to write; made where it does not exist.
        max_figures: how many figures of each run at most; 0 means all.
        workers: how many processes draw, each with this program's main module imported anew; the bytes do not depend on
            it.
        progress: is told in a line when a run's figures are drawn.

    Raises:
        ResultsError: the source cannot be read back.
        OutputError: the folder cannot be written.
    """
    from featreport.paper.kit import export as write  # heavy only when a kit is made
    from featreport.results.codec import load

    return write(load(source), Path(folder), max_figures, workers, progress or (lambda _line: None))


def usual_workers() -> int:
    """Return how many processes draw where nobody says: one for each core that may be used, at most 8."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST_WORKERS)


__all__ = ["MAX_FIGURES", "export", "usual_workers"]
