"""Results to text and back: from a results file, or from a report's own HTML."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import lzma
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from featreport.errors import ResultsError
from featreport.results.schema import FORMAT, VERSION, Results

OF_HISTORY = '{"format":"featreport/history"'  # what the first of two lines begins with there
SCRIPT_ID = "featreport-results"
MOST = 200_000_000  # bytes of JSON that a page may unpack to,
LEAST, TIMES = 16_000_000, 100  # and so many at least, or so many times what is packed: results give 5 to 20
MEMORY = 2**27  # bytes that unpacking may take
FEW = 4  # edges that are not worth packing


def encode(results: Results) -> str:
    """Return the results file's text: ASCII JSON, full precision, a line for each run."""
    fields = _fields(results)
    runs = fields.pop("runs")
    head = [f"{json.dumps(key)}:{_compact(value)}" for key, value in fields.items()]
    body = ",\n".join(_compact(run) for run in runs)
    return "{" + ",\n".join([*head, f'"runs":[\n{body}\n]']) + "}\n"


def embedded(results: Results) -> str:
    """Return the results as the page carries them, JSON: compressed, without the pictures, which the page shows anyway.

    `{"format", "version", "xz"}`, the last the results' JSON, compressed and in base64; an array of equal bins' edges
    stands there as `{"linspace": [first, last, bins]}` where NumPy's `linspace` gives these very numbers again.
    """
    fields = _fields(results, exclude={"pictures"})  # a lone surrogate is kept, as \udc80
    for histogram in _histograms(fields):
        edges = histogram["edges"]
        if len(edges) > FEW and linspace(edges[0], edges[-1], len(edges) - 1) == edges:
            histogram["edges"] = {"linspace": [edges[0], edges[-1], len(edges) - 1]}
    packed = lzma.compress(_compact(fields).encode("ascii"))
    head = {"format": FORMAT, "version": VERSION, "xz": base64.b64encode(packed).decode("ascii")}
    return _compact(head)


def digest(uri: str) -> str:
    """Return the key of a picture that is named after its bytes: the start of their SHA-256; nothing for no bytes."""
    try:
        content = base64.b64decode(uri.partition(";base64,")[2], validate=True)
    except ValueError:
        return ""
    return hashlib.sha256(content).hexdigest()[:16] if content else ""


def _fields(results: Results, exclude: set[str] | None = None) -> dict[str, Any]:
    """Return the results as plain data, without the part that a network saw of photos that nobody is shown."""
    fields = results.model_dump(mode="python", exclude=exclude)
    for file in (file for run in fields["runs"] for file in run["images"]["files"]):
        if file["picture"] is None:
            del file["seen"], file["stretched"]
    return fields


def linspace(first: float, last: float, bins: int) -> list[float]:
    """Return the edges of equal bins, as NumPy's `linspace` computes them."""
    import numpy as np

    edges: list[float] = np.linspace(first, last, bins + 1).tolist()
    return edges


def _unpacked(fields: dict[str, Any], where: str) -> dict[str, Any]:
    """Return the results that `embedded` packed."""
    if "xz" not in fields:
        return fields
    try:
        stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY)
        packed = base64.b64decode(fields["xz"], validate=True)
        most = min(MOST, max(LEAST, TIMES * len(packed)))
        text = stream.decompress(packed, most)
    except (ValueError, TypeError, lzma.LZMAError) as error:
        raise ResultsError(f"{where}: its embedded results are damaged: {error}") from error
    if not stream.eof:
        raise ResultsError(f"{where}: its embedded results are cut off, or larger than {most // 10**6} MB")
    found = _parse(text.decode("utf-8", "replace"), where)
    try:
        for histogram in _histograms(found):
            edges = histogram["edges"]
            if isinstance(edges, dict):
                first, last, bins = edges["linspace"]
                if bins != len(histogram["counts"]):
                    raise ValueError("a histogram with other bins than counts")  # noqa: TRY301 - said just below
                histogram["edges"] = linspace(first, last, bins)
    except (KeyError, TypeError, ValueError) as error:
        raise ResultsError(f"{where}: its embedded results are damaged: {error!r}") from error
    return found


def _histograms(fields: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for run in fields["runs"]:
        for row in (*run["activations"], *run["weights"]):
            yield row["histogram"]


def load(path: str | Path) -> Results:
    """Read results from a `.json` file or a report's HTML, told apart by content.

    Raises:
        ResultsError: the file is neither, is damaged, or is of a later version.
    """
    return decode(read(path), str(path))


def read(path: str | Path) -> str:
    """Return the text of a results file or a report.

    Raises:
        ResultsError: it cannot be read as text.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ResultsError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise ResultsError(f"{path}: is a folder, expected results JSON or a report") from None
    except UnicodeDecodeError:
        raise ResultsError(f"{path}: neither results JSON nor a featreport report (it is not text)") from None
    except OSError as error:
        raise ResultsError(f"{path}: cannot be read ({error.strerror or error})") from error
    except ValueError:
        raise ResultsError(f"{str(path)!r}: not a usable file name") from None


def is_report(text: str) -> bool:
    """Say whether a text is a report rather than a results file: whether it can be JSON decides."""
    return text.lstrip()[:1] != "{"


def decode(text: str, where: str) -> Results:
    """Read results from the text of a results file, of a report or of a history's build; `where` names it."""
    if text.startswith(OF_HISTORY):
        text = text.partition("\n")[2]
    if is_report(text):
        reader = _ReportReader()
        with contextlib.suppress(AssertionError):  # what HTMLParser gives up on is no report
            reader.feed(text)
        if reader.payload is None:
            raise ResultsError(
                f"{where}: neither results JSON nor a featreport report (it holds no embedded results)"
            )
        fields = _unpacked(_parse("".join(reader.payload), where), where)
        fields["pictures"] = reader.pictures
    else:
        fields = _unpacked(_parse(text, where), where)
    if "results_file" in fields:
        beside = fields["results_file"]
        raise ResultsError(
            f"{where}: its results were left out of the page to keep it small; they are in {beside}, "
            f"which was written beside it: name that file"
        )
    if fields.get("format") != FORMAT:
        raise ResultsError(f"{where}: expected format {FORMAT!r}, got {fields.get('format')!r}")
    if fields.get("version") != VERSION:
        raise ResultsError(
            f"{where}: results version {fields.get('version')!r}; this featreport reads version {VERSION}"
        )
    try:
        results = Results.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ResultsError(
            f"{where}: {place}: {first['msg']} ({error.error_count()} faults in all)"
        ) from error
    ids = [run.id for run in results.runs]
    if len({*ids}) < len(ids):
        twice = next(name for name in ids if ids.count(name) > 1)
        raise ResultsError(f"{where}: two runs are called {twice!r}")
    return results


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _parse(text: str, where: str) -> dict[str, Any]:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ResultsError(f"{where}: broken JSON: {error}") from error
    if not isinstance(fields, dict):
        raise ResultsError(f"{where}: expected a JSON object, got {type(fields).__name__}")
    return fields


class _ReportReader(HTMLParser):
    """Collects a report's embedded results and its pictures."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.payload: list[str] | None = None
        self.pictures: dict[str, str] = {}
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        facts = dict(attrs)
        if tag == "script" and facts.get("id") == SCRIPT_ID:
            self.payload, self._inside = [], True
        uri = facts.get("src") or facts.get("href")
        if not uri or not uri.startswith("data:"):
            return
        key = facts.get("data-picture") or (digest(uri) if tag == "image" else "")
        if key:
            self.pictures[key] = uri

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside and self.payload is not None:
            self.payload.append(data)
