"""What the manifest says of the page's look → paths that exist and sections that there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from importlib.metadata import entry_points
from pathlib import Path

from featreport.manifest import Report
from featreport.manifest.scalars import did_you_mean, join_words, quote
from featreport.plan.files import absolute
from featreport.plan.packages import NotFoundError
from featreport.plan.types import Look

SECTIONS = ("verdict", "runs", "comparison", "details", "method")
PLUGINS = "featreport.sections"  # the group of entry points
LOGOS = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".svg")
LARGEST_LOGO = 500_000  # bytes
At = Callable[[str], AbstractContextManager[None]]
FolderOf = Callable[[str], Path]


def templates(text: str | None, folder: Path) -> tuple[Path | None, str]:
    """Return the folder of the page's own templates and its name as written.

    Raises:
        NotFoundError: there is no such folder, or nothing in it is a template.
    """
    if text is None:
        return None, ""
    path = absolute(text, folder)
    if not path.is_dir():
        raise NotFoundError(f"expected a folder of templates, got {quote(text)}, which is none")
    if not any(file.suffix in {".jinja", ".css", ".js"} for file in path.iterdir()):
        raise NotFoundError(f"{quote(text)} holds no template (*.jinja), page.css, extra.css or page.js")
    return path, text


def logo(text: str | None, folder: Path) -> Path | None:
    """Return the path of the logo.

    Raises:
        NotFoundError: there is no such picture, or it is too large.
    """
    if text is None:
        return None
    path = absolute(text, folder)
    if path.suffix.lower() not in LOGOS:
        raise NotFoundError(f"expected a picture ({', '.join(LOGOS)}), got {quote(text)}")
    if not path.is_file():
        raise NotFoundError(f"no such file: {quote(text)}")
    if path.stat().st_size > LARGEST_LOGO:
        size = path.stat().st_size
        raise NotFoundError(
            f"{quote(text)} has {size:,} bytes; a logo may have {LARGEST_LOGO:,}: make it smaller"
        )
    return path


def section(name: str, before: tuple[str, ...]) -> str:
    """Return the name of a section.

    Raises:
        NotFoundError: there is none of that name, or it stands in the list before.
    """
    plugins = plugin_names()
    if name not in SECTIONS and name not in plugins:
        known = join_words([*SECTIONS, *plugins])
        raise NotFoundError(f"expected {known}, got {quote(name)}{did_you_mean(name, [*SECTIONS, *plugins])}")
    if name in before:
        raise NotFoundError(f"{quote(name)} stands twice")
    return name


def plugin_names() -> list[str]:
    """Return the names of the sections that installed distributions offer."""
    return sorted({entry.name for entry in entry_points(group=PLUGINS)} - set(SECTIONS))


def plugins(names: Sequence[str]) -> list[str]:
    """Return which versions of which distributions make the sections that are plug-ins."""
    found = {entry.name: entry.dist for entry in entry_points(group=PLUGINS)}
    dists = [(name, found.get(name)) for name in names if name not in SECTIONS]
    return [f"{name}: {dist.name} {dist.version}" if dist else f"{name}: –" for name, dist in dists]


def look(report: Report, at: At, folder_of: FolderOf) -> Look:
    """Return the look of the page; `at` notes what is wrong where, `folder_of` tells where a place's paths start."""
    found, text, picture = None, "", None
    kept: tuple[str, ...] = ()
    with at("report.templates"):
        found, text = templates(report.templates, folder_of("report.templates"))
    with at("report.logo"):
        picture = logo(report.logo, folder_of("report.logo"))
    for index, name in enumerate(report.sections):
        with at(f"report.sections[{index}]"):
            kept = (*kept, section(name, kept))
    return Look(found, text, picture, kept)
