"""File names from run ids and layers: short, unique, and never a way out of the folder."""

from __future__ import annotations

import re
import unicodedata

_OTHER = re.compile(r"[^a-z0-9]+")
_LONGEST = 60
_DEVICES = {"con", "prn", "aux", "nul"} | {
    f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10)
}  # of Windows


class Slugs:
    """Gives out names of files; the same requests in the same order give the same names."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, *words: str) -> str:
        """Return a new name of lower-case ASCII letters, digits and hyphens that reads like `words`."""
        text = unicodedata.normalize("NFKD", "-".join(words)).encode("ascii", "ignore").decode().lower()
        base = _OTHER.sub("-", text).strip("-")
        if len(base) > _LONGEST:
            base = f"{base[: _LONGEST // 2].strip('-')}--{base[-_LONGEST // 2 :].strip('-')}"
        base = base or "name"
        base = f"{base}-0" if base in _DEVICES else base
        slug, number = base, 1
        while slug in self._taken:
            number += 1
            slug = f"{base}-{number}"
        self._taken.add(slug)
        return slug
