"""The one Jinja environment: autoescape on, undefined names are errors, every text cleaned on its way out."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import BaseLoader, ChoiceLoader, Environment, FileSystemLoader, PrefixLoader, StrictUndefined
from jinja2.exceptions import TemplateError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup, escape

from featreport.errors import OutputError
from featreport.report import formats
from featreport.report.where import templates_folder

_WORDS = re.compile(r"(\s+)")
_BREAK = Markup("<wbr>")
_ENDS = re.compile(r"</(?:style|script)", re.IGNORECASE)


class Asset(NamedTuple):
    """A style or script of ours with the hash the policy admits it by."""

    text: Markup
    hash: str


def environment(own: Path | None = None) -> Environment:
    """Return the environment that pages are made with; ours is made once, one with templates of its own each time.

    Args:
        own: a folder of templates that go before ours; `featreport/NAME` is ours all the same, to inherit from.
            They are run in Jinja's sandbox: they can read the page model and nothing else.
    """
    return _ours() if own is None else _environment(own)


@lru_cache(maxsize=1)
def _ours() -> Environment:
    return _environment(None)


def _environment(own: Path | None) -> Environment:
    ours = FileSystemLoader(templates_folder(), encoding="utf-8")
    loader: BaseLoader = ours
    if own is not None:
        theirs = FileSystemLoader(own, encoding="utf-8")
        loader = ChoiceLoader([theirs, ours, PrefixLoader({"featreport": ours})])
    kind = Environment if own is None else ImmutableSandboxedEnvironment
    made = kind(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {"breaks": _breaks, "joined": _joined}
    return made


def asset(name: str, own: Path | None = None, more: str = "") -> Asset:
    """Return a style or script that goes into the page as it stands: the folder `own`'s before ours, then `more` of it.

    Raises:
        OutputError: it holds what ends the element it stands in.
    """
    folder = own if own is not None and (own / name).is_file() else templates_folder()
    text = (folder / name).read_text(encoding="utf-8").strip()
    if own is not None and more and (own / more).is_file():
        text += "\n" + (own / more).read_text(encoding="utf-8").strip()
    if _ENDS.search(text):
        raise OutputError(f"{folder / name}: a style or script of the page may not hold </style or </script")
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Asset(Markup(text), f"'sha256-{digest}'")  # noqa: S704 - a file of ours or of the manifest's author


def faults(own: Path) -> list[str]:
    """Return what keeps the templates of a folder from being read, a line each."""
    found = []
    for path in sorted(own.rglob("*")):
        try:
            if path.suffix == ".jinja":
                environment(own).get_template(path.relative_to(own).as_posix())
            elif path.suffix in {".css", ".js"}:
                path.read_text(encoding="utf-8")
        except TemplateSyntaxError as error:
            found.append(f"{path}:{error.lineno}: {error.message}")
        except (OSError, ValueError, TemplateError) as error:
            found.append(f"{path}: cannot be read ({error})")
    return found


@lru_cache(maxsize=4096)  # a name stands in many places, and a page is made several times until it fits
def _joined(pieces: tuple[str, ...]) -> Markup:
    return _BREAK.join(pieces)


@lru_cache(maxsize=1024)
def _breaks(text: str, longest: int = 24) -> Markup:
    """Return words in which the names of `longest` characters and more may break where their parts end."""
    text = formats.clean(text)
    if len(text) < longest:
        return escape(text)
    cut = (_BREAK.join(formats.breaks(part)) if len(part) >= longest else part for part in _WORDS.split(text))
    return Markup().join(cut)


def _finalize(value: Any) -> Any:
    """Return what is written: text that HTML may hold, and a whole length without its ".0"."""
    if type(value) is str:
        return formats.clean(value)
    return int(value) if type(value) is float and value.is_integer() else value
