"""The one Jinja environment: autoescape on, undefined names are errors, every text cleaned on its way out."""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from featreport.errors import OutputError
from featreport.report import formats

PACKAGE = Path(__file__).resolve().parent.parent


class Asset(NamedTuple):
    """A style or script of ours with the hash the policy admits it by."""

    text: Markup
    hash: str


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


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Return the environment that every page is made with."""
    return Environment(
        loader=FileSystemLoader(templates_folder(), encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )


def asset(name: str) -> Asset:
    """Return a file of ours that goes into the page as it stands."""
    text = (templates_folder() / name).read_text(encoding="utf-8").strip()
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Asset(Markup(text), f"'sha256-{digest}'")  # noqa: S704 - our own file, never a user's text


def _finalize(value: Any) -> Any:
    return formats.clean(value) if type(value) is str else value
