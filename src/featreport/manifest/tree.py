"""A manifest as nodes, each with the place it was written at, and as plain values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from featreport.manifest.scalars import Loc, spell

MAX_DEPTH = 32
MAX_VALUES = 20_000  # after expanding aliases


@dataclass(frozen=True, order=True)
class Mark:
    """Where something stands: in a file, or in an option of the command line, which has no lines."""

    file: str  # as messages name it
    line: int  # from 1; 0 in an option
    column: int


@dataclass(frozen=True, order=True)
class Slip:
    """One mistake: where it is, in which mapping or list, and what is wrong."""

    mark: Mark
    path: str
    message: str


class UnreadableError(Exception):
    """The YAML cannot be read any further."""

    def __init__(self, slip: Slip) -> None:
        super().__init__(slip.message)
        self.slip = slip


@dataclass(frozen=True)
class Node:
    """A composed value: a scalar, a list of nodes, or a mapping's (key, key mark, node) entries."""

    mark: Mark
    size: int  # how many values it is, aliases expanded
    height: int  # how many levels it is deep
    scalar: Any = None
    items: tuple[Node, ...] | None = None
    entries: tuple[tuple[str, Mark, Node], ...] | None = None
    wrong: tuple[str, ...] = ()  # why a scalar has no value; said only where it still stands in the end
    unknown: bool = False  # it has none: what it is says nothing

    def at(self, mark: Mark) -> Node:
        """Return the same value at another place, as an alias has it; what is wrong is said at the first."""
        return replace(self, mark=mark, wrong=())

    def get(self, key: str) -> Node | None:
        """Return the value of a mapping's key."""
        return next((child for name, _, child in self.entries or () if name == key), None)


@dataclass(frozen=True)
class Tree:
    """The whole document as plain values, and where each value and each key stands."""

    value: Any
    marks: dict[Loc, Mark]
    keys: dict[Loc, Mark]
    unknown: frozenset[Loc]  # values that there are none of
    slips: tuple[Slip, ...]  # why


def listed(mark: Mark, items: tuple[Node, ...]) -> Node:
    """Return a list of nodes."""
    size = 1 + sum(item.size for item in items)
    return Node(mark, size, 1 + max((item.height for item in items), default=0), items=items)


def mapped(mark: Mark, entries: tuple[tuple[str, Mark, Node], ...]) -> Node:
    """Return a mapping of nodes."""
    children = [child for _, _, child in entries]
    size = 1 + sum(child.size for child in children)
    return Node(mark, size, 1 + max((child.height for child in children), default=0), entries=entries)


def beyond(root: Node, mark: Mark) -> Node:
    """Return a document that was put together, if it is no larger and deeper than one may be.

    Raises:
        UnreadableError: it is; at `mark`.
    """
    if root.size > MAX_VALUES:
        raise UnreadableError(Slip(mark, "", f"more than {MAX_VALUES:,} values in all"))
    if root.height > MAX_DEPTH:
        raise UnreadableError(Slip(mark, "", f"nested more than {MAX_DEPTH} levels deep"))
    return root


def expand(root: Node) -> Tree:
    """Return a document as plain values."""
    marks: dict[Loc, Mark] = {}
    keys: dict[Loc, Mark] = {}
    unknown: set[Loc] = set()
    slips: dict[tuple[Mark, str], Slip] = {}

    def plain(node: Node, loc: Loc) -> Any:
        marks[loc] = node.mark
        if node.unknown:
            unknown.add(loc)
        for message in node.wrong:
            slips.setdefault((node.mark, message), Slip(node.mark, spell(loc), message))
        if node.items is not None:
            return [plain(item, (*loc, index)) for index, item in enumerate(node.items)]
        if node.entries is not None:
            keys.update({(*loc, key): mark for key, mark, _ in node.entries})
            return {key: plain(child, (*loc, key)) for key, _, child in node.entries}
        return node.scalar

    value = plain(root, ())
    return Tree(value, marks, keys, frozenset(unknown), tuple(slips.values()))
