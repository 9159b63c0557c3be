"""Which of these is which of those: by name, then by position and shape. The same pairs from either side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from featreport.judge.compare.types import Match

Item = TypeVar("Item")
Form = Callable[[Item], Hashable]


@dataclass(frozen=True)
class Pairing(Generic[Item]):
    """Pairs in the order of the first side, and what is left over of each."""

    pairs: tuple[tuple[Item, Item, Match], ...]
    removed: tuple[Item, ...]
    added: tuple[Item, ...]


def pair(
    before: Sequence[Item], after: Sequence[Item], name: Form[Item], forms: Sequence[Form[Item]]
) -> Pairing[Item]:
    """Match two sequences.

    What has the same name is the same. What is left is matched where, after the same named neighbour, both sides have
    equally many of a form (most particular form first): the first with the first, and so on. Where their numbers
    differ nothing tells which is which, and they count as removed and added.
    """
    named = [_numbered(side, name) for side in (before, after)]
    places = [{key: place for place, key in enumerate(keys)} for keys in named]
    found: dict[int, tuple[int, Match]] = {
        place: (places[1][key], "name") for key, place in places[0].items() if key in places[1]
    }
    contexts = [_contexts(keys, places[1 - side]) for side, keys in enumerate(named)]
    for form in forms:
        taken = {after_place for after_place, _ in found.values()}
        groups = [
            _groups(before, contexts[0], form, found.keys()),
            _groups(after, contexts[1], form, taken),
        ]
        for key, mine in groups[0].items():
            theirs = groups[1].get(key, [])
            if len(theirs) == len(mine):
                found.update({one: (other, "position") for one, other in zip(mine, theirs, strict=True)})
    taken = {place for place, _ in found.values()}
    return Pairing(
        tuple((before[one], after[found[one][0]], found[one][1]) for one in sorted(found)),
        tuple(item for place, item in enumerate(before) if place not in found),
        tuple(item for place, item in enumerate(after) if place not in taken),
    )


def _numbered(items: Sequence[Item], name: Form[Item]) -> list[Hashable]:
    """Return a key for each: its name, and how many of that name came before."""
    seen: Counter[Hashable] = Counter()
    keys: list[Hashable] = []
    for item in items:
        key = name(item)
        keys.append((key, seen[key]))
        seen[key] += 1
    return keys


def _contexts(keys: Sequence[Hashable], others: dict[Hashable, int]) -> list[Hashable]:
    """Return for each the nearest key before it that both sides have."""
    contexts, last = [], None
    for key in keys:
        last = key if key in others else last
        contexts.append(last)
    return contexts


def _groups(
    items: Sequence[Item], contexts: Sequence[Hashable], form: Form[Item], taken: Container[int]
) -> dict[Hashable, list[int]]:
    """Return the places of those that have no partner yet, by context and form."""
    groups: dict[Hashable, list[int]] = {}
    for place, item in enumerate(items):
        if place not in taken:
            groups.setdefault((contexts[place], form(item)), []).append(place)
    return groups
