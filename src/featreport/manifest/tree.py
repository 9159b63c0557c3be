"""A manifest as nodes, each with the place it was written at, and as plain values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from featreport.manifest.scalars import Loc

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
    unknown: bool = False  # a scalar that was complained about already: what it is says nothing

    def at(self, mark: Mark) -> Node:
        """Return the same value at another place, as an alias has it."""
        return replace(self, mark=mark)

    def get(self, key: str) -> Node | None:
        """Return the value of a mapping's key."""
        return next((child for name, _, child in self.entries or () if name == key), None)


@dataclass(frozen=True)
class Tree:
    """The whole document as plain values, and where each value and each key stands."""

    value: Any
    marks: dict[Loc, Mark]
    keys: dict[Loc, Mark]
    unknown: frozenset[Loc]  # values that were complained about already


def listed(mark: Mark, items: tuple[Node, ...]) -> Node:
    """Return a list of nodes."""
    size = 1 + sum(item.size for item in items)
    return Node(mark, size, 1 + max((item.height for item in items), default=0), items=items)


def mapped(mark: Mark, entries: tuple[tuple[str, Mark, Node], ...]) -> Node:
    """Return a mapping of nodes."""
    children = [child for _, _, child in entries]
    size = 1 + sum(child.size for child in children)
    return Node(mark, size, 1 + max((child.height for child in children), default=0), entries=entries)


def expand(root: Node) -> Tree:
    """Return a document as plain values."""
    marks: dict[Loc, Mark] = {}
    keys: dict[Loc, Mark] = {}
    unknown: set[Loc] = set()

    def plain(node: Node, loc: Loc) -> Any:
        marks[loc] = node.mark
        if node.unknown:
            unknown.add(loc)
        if node.items is not None:
            return [plain(item, (*loc, index)) for index, item in enumerate(node.items)]
        if node.entries is not None:
            keys.update({(*loc, key): mark for key, mark, _ in node.entries})
            return {key: plain(child, (*loc, key)) for key, _, child in node.entries}
        return node.scalar

    value = plain(root, ())
    return Tree(value, marks, keys, frozenset(unknown))
