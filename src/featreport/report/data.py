"""The numbers behind the tables as files in links: CSV in `data:` URIs.

Numbers have nine significant digits there, which tell any two float32 apart; `featreport export` writes them in full.
"""

from __future__ import annotations

import base64
import gzip
import re
from collections.abc import Callable
from urllib.parse import quote

from featreport.report.page import DataLink
from featreport.results.schema import Results, Run
from featreport.tables import (
    Table,
    buffers,
    csv_text,
    layers,
    loads,
    maps,
    norms,
    overview,
    unmeasured,
    weights,
)

DIGITS = 9
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
    )
    tables = [(label, make(run)) for label, make in makers]
    links = tuple(_link(label, f"{anchor}-{table.slug}", table) for label, table in tables if table.rows)
    shown = maps(run)
    return (*links, _packed("feature maps (gzip)", f"{anchor}-{shown.slug}", shown)) if shown.rows else links


def of_all(results: Results) -> tuple[DataLink, ...]:
    """Return the tables over all runs."""
    tables = (
        ("runs", overview(results)),
        ("load audits", loads(results)),
        ("what was not measured", unmeasured(results)),
    )
    return tuple(_link(label, table.slug, table) for label, table in tables if table.rows)


def _packed(label: str, stem: str, table: Table) -> DataLink:
    """Return a long table, a row for each map, in a twentieth of its bytes; what reads CSV reads it so, too."""
    packed = gzip.compress(csv_text(table, DIGITS).encode(), 9, mtime=0)
    href = f"data:application/gzip;base64,{base64.b64encode(packed).decode('ascii')}"
    return DataLink(label, f"{stem}.csv.gz", href)


def _link(label: str, stem: str, table: Table) -> DataLink:
    return DataLink(label, f"{stem}.csv", csv_uri(csv_text(table, DIGITS)))
