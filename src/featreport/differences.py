"""Two results files or reports → their comparison, and that in files. No torch, no checkpoint unless they are named."""

from __future__ import annotations

import json as json_module
from collections.abc import Callable, Sequence
from pathlib import Path

from featreport.errors import ManifestError, OutputError, ResultsError
from featreport.judge.compare import Comparison, compare
from featreport.judge.compare.runs import Exact
from featreport.results import codec
from featreport.results.schema import Results
from featreport.results.store import check_writable, write_atomically

SCRIPT = f'<script type="application/json" id="{codec.SCRIPT_ID}">'


def diff(
    before: str | Path,
    after: str | Path,
    *,
    mapped: Sequence[str] = (),
    force: bool = False,
    only: str | None = None,
    checkpoints: Sequence[str | Path] = (),
    html: Path | None = None,
    markdown: Path | None = None,
    json: Path | None = None,
) -> Comparison:
    """Return what differs between the baseline `before` and the candidate `after`, and write it where asked.

    Args:
        before: results JSON or a report, A.
        after: results JSON or a report, B.
        mapped: "A_ID=B_ID" for runs that are the same although their ids differ.
        force: compare numbers although images, transform, precision, kind of device or thresholds differ.
        only: glob over run ids.
        checkpoints: files, or folders below which they lie, told by their SHA-256: drift is exact then. Imports torch.
        html: page to write.
        markdown: Markdown to write, as for a pull request.
        json: the whole comparison to write, in full precision.

    Raises:
        ManifestError: `mapped` or `only` name no run, no run of A is one of B, or a place in `checkpoints` is not
            there; nothing is written.
        ResultsError: A or B cannot be read.
        OutputError: a file cannot be written.
    """
    outputs = {"--html": html, "--markdown": markdown, "--json": json}
    given = [path.absolute() for path in outputs.values() if path is not None]
    if len({*given}) < len(given) or {Path(before).absolute(), Path(after).absolute()} & {*given}:
        raise ManifestError("each output needs a file of its own, and neither A nor B; nothing was written.")
    for option, path in outputs.items():
        if path is not None:
            _guarded(option, check_writable, path)
    places = _places(checkpoints)
    one, other = read(before), read(after)
    found = compare(
        one,
        other,
        names=_names(Path(before), Path(after)),
        mapped=mapped,
        force=force,
        only=only,
        exact=_at_hand(places),
    )
    if json is not None:
        _guarded("--json", write_atomically, json, _text(found))
    if markdown is not None:
        from featreport.report.markdown import markdown as in_markdown

        _guarded("--markdown", write_atomically, markdown, in_markdown(found))
    if html is not None:
        from featreport.report.differences import render

        _guarded("--html", write_atomically, html, render(found))
    return found


def _places(checkpoints: Sequence[str | Path]) -> list[Path]:
    """Return the files and folders in which checkpoints lie.

    Raises:
        ManifestError: one is not there.
    """
    found = []
    for given in checkpoints:
        try:
            place = Path(given).expanduser()
            there = place.is_file() or place.is_dir()
        except (OSError, RuntimeError, ValueError):  # a name too long, nobody's home, a null byte
            there = False
        if not there:
            raise ManifestError(
                f"--checkpoints: expected a file or a folder, got {str(given)!r}, which is neither; name the folder in"
                " which A's and B's checkpoints lie. Nothing was compared."
            )
        found.append(place)
    return found


def _at_hand(places: Sequence[Path]) -> Exact | None:
    if not places:
        return None
    from featreport.at_hand import AtHand  # with torch

    return AtHand(places)


def exit_code(comparison: Comparison) -> int:
    """Return 0 where the runs could be compared, or that was forced, whatever differs; 2 where not or none was."""
    anything = not comparison.runs or any(run.status == "compared" for run in comparison.runs)
    return 0 if anything and (comparison.comparable or comparison.forced) else ManifestError.exit_code


def read(path: str | Path) -> Results:
    """Read results, of a report only the part that holds them: pictures are not compared.

    Raises:
        ResultsError: it is neither, is damaged, or is of a later version.
    """
    text = codec.read(path)
    start = text.rfind(SCRIPT) if codec.is_report(text) else -1
    if start >= 0:
        end = text.find("</script>", start)
        try:
            return codec.decode(text[start : end + len("</script>")], str(path))
        except ResultsError:
            pass  # read it whole: the message is then about the whole file
    return codec.decode(text, str(path))


def _text(comparison: Comparison) -> str:
    """Return the comparison as ASCII JSON: a lone surrogate in a name stays what it is, as an escape."""
    return json_module.dumps(comparison.model_dump(), indent=1, allow_nan=False) + "\n"


def _names(before: Path, after: Path) -> tuple[str, str]:
    """Return what tells the two files apart: their names, with the folder they are in where those are the same."""
    if before.name != after.name:
        return before.name, after.name
    folders = before.absolute().parent.name, after.absolute().parent.name
    return f"{folders[0]}/{before.name}", f"{folders[1]}/{after.name}"


def _guarded(option: str, write: Callable[..., None], *arguments: object) -> None:
    try:
        write(*arguments)
    except OutputError as error:
        raise OutputError(str(error).replace("--output", option)) from error
