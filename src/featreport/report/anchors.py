"""Ids for the page's places: made from content, each given out once."""

from __future__ import annotations

import re

_OTHER = re.compile(r"[^a-z0-9.]+")
_LONGEST = 60


class Anchors:
    """Gives out ids; the same requests in the same order give the same ids."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}

    def take(self, *words: str | int) -> str:
        """Return a new id that reads like `words`; a number is added where it is taken."""
        name = slug(*words)
        number = self._taken.get(name, 0) + 1
        self._taken[name] = number
        if number == 1:
            return name
        return self.take(name, number)


def slug(*words: str | int) -> str:
    """Return what reads like `words` and may be an id or the name of a file."""
    parts = [_OTHER.sub("-", str(word).lower()).strip("-.")[:_LONGEST] for word in words]
    return "-".join(part for part in parts if part) or "place"
