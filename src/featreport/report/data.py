"""The numbers behind the tables as files in links: CSV in `data:` URIs.

Numbers have nine significant digits there, which tell any two float32 apart; `featreport export` writes them in full.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Callable
from urllib.parse import quote

from featreport.report.drawn import DataLink
from featreport.results.schema import Results, Run
from featreport.tables import (
    Table,
    buffers,
    csv_text,
    fired,
    histograms,
    layers,
    loads,
    norms,
    overview,
    trajectory_table,
    unmeasured,
    weights,
)

DIGITS = 9
PLAINLY = 4096  # characters of a table that is not packed
_GZIP = 31  # what zlib calls that format, with its widest window
_LONE = re.compile("[\ud800-\udfff]")  # no UTF-8 file holds a lone surrogate
PLAIN = ",;:()[] /"  # what may stand in a data: URI inside quotes as it is


def csv_uri(text: str) -> str:
    """Return CSV text as a `data:` URI."""
    return "data:text/csv;charset=utf-8," + quote(_LONE.sub("\ufffd", text), safe=PLAIN)


def of_run(run: Run, anchor: str) -> tuple[DataLink, ...]:
    """Return the tables of one run; their file names begin with `anchor`."""
    makers: tuple[tuple[str, Callable[[Run], Table]], ...] = (
        ("layers", layers),
        ("parameter tensors", weights),
        ("norms", norms),
        ("buffers", buffers),
        ("histograms", histograms),
        ("channels", fired),
    )
    found = ((label, make(run)) for label, make in makers)
    return tuple(link(label, f"{anchor}-{table.slug}", table) for label, table in found if table.rows)


def of_all(results: Results) -> tuple[DataLink, ...]:
    """Return the tables over all runs."""
    tables = (
        ("runs", overview(results)),
        ("load audits", loads(results)),
        ("what was not measured", unmeasured(results)),
        ("every measure over checkpoints", trajectory_table(results)),
    )
    return tuple(link(label, table.slug, table) for label, table in tables if table.rows)


def _packed(content: bytes) -> bytes:
    """Return bytes as a gzip file: of numbers it is smaller by a 25th where short repetitions are let be."""
    press = zlib.compressobj(9, wbits=_GZIP, strategy=zlib.Z_FILTERED)
    return press.compress(content) + press.flush()


def link(label: str, stem: str, table: Table, digits: int = DIGITS, plainly: int = PLAINLY) -> DataLink:
    """Return a table as a file; a large one packed, in a fraction of its bytes: what reads CSV reads it so, too."""
    text = csv_text(table, digits)
    if len(text) <= plainly:
        return DataLink(label, f"{stem}.csv", csv_uri(text))
    packed = base64.b64encode(_packed(text.encode())).decode("ascii")
    return DataLink(f"{label} (gzip)", f"{stem}.csv.gz", f"data:application/gzip;base64,{packed}")
