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
        parts = [_OTHER.sub("-", str(word).lower()).strip("-.")[:_LONGEST] for word in words]
        slug = "-".join(part for part in parts if part) or "place"
        number = self._taken.get(slug, 0) + 1
        self._taken[slug] = number
        if number == 1:
            return slug
        return self.take(slug, number)
