"""Where the page's own templates are, and what tells one state of them from another; Jinja is not imported."""

from __future__ import annotations

import hashlib
from pathlib import Path

from featreport.errors import OutputError

PACKAGE = Path(__file__).resolve().parent.parent


def templates_folder() -> Path:
    """Return where the templates are: inside the wheel, or at the top of the repository.

    Raises:
        OutputError: neither folder exists, the installation is incomplete.
    """
    inside, beside = PACKAGE / "_templates", PACKAGE.parent.parent / "templates"
    for folder in (inside, beside):
        if (folder / "report.html.jinja").is_file():
            return folder
    raise OutputError(
        f"the page's templates are missing: neither {inside} nor {beside} holds report.html.jinja"
    )


def templates_digest() -> str:
    """Return a digest of the names and contents of all templates."""
    told = hashlib.sha256()
    for path in sorted(path for path in templates_folder().iterdir() if path.is_file()):
        told.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return told.hexdigest()
