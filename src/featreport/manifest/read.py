"""A manifest file → a `Manifest`, or every problem of it at once."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from featreport.errors import ManifestError, Problem
from featreport.manifest.complaints import about_a_key, misspelt, place, sentence, spurious
from featreport.manifest.inherit import MAX_BYTES, Chain, why
from featreport.manifest.overrides import put
from featreport.manifest.rules import broken
from featreport.manifest.salvage import salvage
from featreport.manifest.scalars import Loc, describe, spell
from featreport.manifest.schema import Document, Manifest
from featreport.manifest.tree import Mark, Slip, Tree, UnreadableError, expand
from featreport.manifest.variables import Variables


def load(path: Path | str) -> Manifest:
    """Return the manifest in a file.

    Raises:
        ManifestError: with every problem found, each at its line and column.
    """
    return _whole(*read(path))


def read(path: Path | str, overrides: Sequence[str] = ()) -> tuple[Manifest | None, list[Problem]]:
    """Return the manifest in a file and its problems; where there are any, only its parts that are right count.

    Args:
        path: the file.
        overrides: `PATH=VALUE` each, put in before anything is validated.

    Raises:
        ManifestError: the file cannot be read, or holds nothing that could be looked at.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise ManifestError(f"{path}: {why(error)}; nothing was run.") from None
    return _parts(content, str(path), os.environ, overrides)


def parse(
    content: bytes, file: str, environ: Mapping[str, str] | None = None, overrides: Sequence[str] = ()
) -> Manifest:
    """Return the manifest written in `content`; `file` is its name in messages and where its paths start.

    Args:
        content: UTF-8 text.
        file: its name.
        environ: what its variables stand for; None: the process's environment.
        overrides: `PATH=VALUE` each, put in before anything is validated.

    Raises:
        ManifestError: with every problem found, each at its line and column.
    """
    return _whole(*_parts(content, file, os.environ if environ is None else environ, overrides))


def _whole(manifest: Manifest | None, problems: list[Problem]) -> Manifest:
    if manifest is None or problems:
        raise ManifestError(problems)
    return manifest


def _parts(
    content: bytes, file: str, environ: Mapping[str, str], overrides: Sequence[str]
) -> tuple[Manifest | None, list[Problem]]:
    chain = Chain(Variables(environ))
    try:
        root, slips = put(chain.whole(content, file), overrides, chain.variables)
    except UnreadableError as stop:
        raise ManifestError([_problem(slip) for slip in (*chain.slips, stop.slip)]) from None
    tree = expand(root)
    document, wrong = _validate(tree)
    problems = [_problem(slip) for slip in (*chain.slips, *slips, *tree.slips, *wrong)]
    if document is None:
        return None, problems
    written = {name: getattr(document, name) for name in Document.model_fields}
    marks = {spell(loc): mark for loc, mark in tree.marks.items()}
    more: dict[str, Any] = {
        "file": file,
        "text": chain.text,
        "marks": {path: (mark.line, mark.column) for path, mark in marks.items()},
        "homes": {path: mark.file for path, mark in marks.items() if mark.file != file},
        "digest": _digest(tree.value),
        "variables": tuple(sorted(chain.variables.used)),
        "overrides": tuple(overrides),
        "bases": tuple((base.name, base.text) for base in chain.bases),
    }
    return Manifest.model_construct(**written, **more), problems


def _problem(slip: Slip) -> Problem:
    mark = slip.mark
    return Problem(mark.file, mark.line, mark.column, slip.path, slip.message)


def _digest(value: Any) -> str:
    """Return a digest of the document with everything put in that stands elsewhere."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


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
    slips = [_complaint(tree, detail) for detail in details if place(detail) not in tree.unknown]
    if _of_another_version(tree.value):  # its other keys mean nothing here
        return None, [slip for slip in slips if slip.path == "version"]
    for breach in (one for one in broken(tree.value) if one.loc not in tree.unknown):
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
