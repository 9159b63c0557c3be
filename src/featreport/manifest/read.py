"""A manifest file → a `Manifest`, or every problem of it at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from featreport.errors import ManifestError, Problem
from featreport.manifest.complaints import about_a_key, misspelt, place, sentence, spurious
from featreport.manifest.compose import Mark, Slip, Tree, UnreadableError, compose
from featreport.manifest.rules import broken
from featreport.manifest.salvage import salvage
from featreport.manifest.scalars import Loc, describe, spell
from featreport.manifest.schema import Document, Manifest

MAX_BYTES = 2**20


def load(path: Path | str) -> Manifest:
    """Return the manifest in a file.

    Raises:
        ManifestError: with every problem found, each at its line and column.
    """
    return _whole(*read(path))


def read(path: Path | str) -> tuple[Manifest | None, list[Problem]]:
    """Return the manifest in a file and its problems; where there are any, only its parts that are right count.

    Raises:
        ManifestError: the file cannot be read, or holds nothing that could be looked at.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise ManifestError(f"{path}: {_why(error)}; nothing was run.") from None
    return _parts(content, str(path))


def parse(content: bytes, file: str) -> Manifest:
    """Return the manifest written in `content`; `file` is its name in messages and where its paths start.

    Raises:
        ManifestError: with every problem found, each at its line and column.
    """
    return _whole(*_parts(content, file))


def _whole(manifest: Manifest | None, problems: list[Problem]) -> Manifest:
    if manifest is None or problems:
        raise ManifestError(problems)
    return manifest


def _parts(content: bytes, file: str) -> tuple[Manifest | None, list[Problem]]:
    try:
        text = _decode(content)
        tree = compose(text)
    except UnreadableError as stop:
        raise ManifestError([_at(stop.slip, file)]) from None
    document, wrong = _validate(tree)
    problems = [_at(slip, file) for slip in (*tree.slips, *wrong)]
    if document is None:
        return None, problems
    written = {name: getattr(document, name) for name in Document.model_fields}
    marks = {spell(loc): mark for loc, mark in tree.marks.items()}
    return Manifest.model_construct(**written, file=file, text=text, marks=marks), problems


def _at(slip: Slip, file: str) -> Problem:
    return Problem(file, *slip.mark, slip.path, slip.message)


def _why(error: OSError | ValueError) -> str:
    match error:
        case FileNotFoundError():
            return "no such file"
        case IsADirectoryError():
            return "is a folder, expected a manifest file"
        case PermissionError():
            return "cannot be read (no permission)"
        case OSError():
            return f"cannot be read ({error.strerror})"
    return "not a usable file name"


def _decode(content: bytes) -> str:
    if len(content) > MAX_BYTES:
        raise UnreadableError(Slip((1, 1), "", f"larger than {MAX_BYTES:,} bytes: this is not a manifest"))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8", "replace")
        mark = (before.count("\n") + 1, len(before) - before.rfind("\n"))
        raise UnreadableError(Slip(mark, "", "not UTF-8 text: save the file as UTF-8")) from None


def _validate(tree: Tree) -> tuple[Document | None, list[Slip]]:
    """Return the document, or the parts of it that are right, and what is wrong with it."""
    if not isinstance(tree.value, dict):
        empty = "the file is empty ('featreport init' writes a starter manifest)"
        other = f"expected a mapping with 'version' and 'models', got {describe(tree.value)}"
        return None, [Slip(tree.marks[()], "", empty if tree.value is None else other)]
    document, details = None, []
    try:
        document = Document.model_validate(tree.value)
    except ValidationError as error:
        document = salvage(tree.value)
        details = error.errors(include_url=False)
    meant = {(*place(detail)[:-1], misspelt(detail)) for detail in details}
    details = [detail for detail in details if not spurious(detail)]
    details = [detail for detail in details if detail["type"] != "missing" or place(detail) not in meant]
    slips = [_complaint(tree, detail) for detail in details]
    if _of_another_version(tree.value):  # its other keys mean nothing here
        return None, [slip for slip in slips if slip.path == "version"]
    for breach in broken(tree.value):
        mark = tree.keys.get(breach.loc) if breach.at_key else None
        slips.append(Slip(mark or _near(tree, breach.loc), spell(breach.loc), breach.message))
    return document, slips


def _of_another_version(document: dict[str, Any]) -> bool:
    version = document.get("version")
    return isinstance(version, int | float) and not isinstance(version, bool) and version != 1


def _complaint(tree: Tree, detail: ErrorDetails) -> Slip:
    loc = place(detail)
    if about_a_key(detail):
        return Slip(tree.keys.get(loc) or _near(tree, loc[:-1]), spell(loc[:-1]), sentence(detail))
    return Slip(_near(tree, loc), spell(loc), sentence(detail))


def _near(tree: Tree, loc: Loc) -> Mark:
    """Return where the value at `loc`, or the nearest one around it, stands."""
    while loc not in tree.marks:
        loc = loc[:-1]
    return tree.marks[loc]
