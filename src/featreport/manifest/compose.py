"""Text → plain values with a line and a column for each: YAML read by events, so that nothing in it can bite.

Duplicate keys, tags, merge keys, several documents, deep nesting and alias bombs are refused; anchors and
aliases of whole values work. PyYAML's pure-Python parser only: its C loader dies on deep nesting.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from featreport.manifest.scalars import Loc, describe, quote, resolve_plain, spell

MAX_DEPTH = 32
MAX_VALUES = 20_000  # after expanding aliases

Mark = tuple[int, int]  # line, column; both from 1


@dataclass(frozen=True, order=True)
class Slip:
    """One mistake in the YAML itself: where it is, in which mapping or list, and what is wrong."""

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


@dataclass(frozen=True)
class Tree:
    """The whole document as plain values, and where each value and each key stands."""

    value: Any
    marks: dict[Loc, Mark]
    keys: dict[Loc, Mark]
    slips: tuple[Slip, ...]


def compose(text: str) -> Tree:
    """Return the one document in `text`.

    Raises:
        UnreadableError: not YAML, or beyond the limits; carries the first place where reading had to stop.
    """
    composer = _Composer(_events(text))
    root = composer.document()
    marks: dict[Loc, Mark] = {}
    keys: dict[Loc, Mark] = {}
    value = _expand(root, (), marks, keys)
    return Tree(value, marks, keys, tuple(composer.slips))


def _expand(node: Node, loc: Loc, marks: dict[Loc, Mark], keys: dict[Loc, Mark]) -> Any:
    marks[loc] = node.mark
    if node.items is not None:
        return [_expand(item, (*loc, index), marks, keys) for index, item in enumerate(node.items)]
    if node.entries is not None:
        keys.update({(*loc, key): mark for key, mark, _ in node.entries})
        return {key: _expand(child, (*loc, key), marks, keys) for key, _, child in node.entries}
    return node.scalar


def _events(text: str) -> Iterator[Event]:
    """Yield the parser's events; whatever it raises comes out as `UnreadableError`."""
    mark: Mark = (1, 1)
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            mark = _mark(event)
            yield event
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        mark = (before.count("\n") + 1, len(before) - before.rfind("\n"))
        raise UnreadableError(
            Slip(mark, "", f"the character U+{ord(text[error.position]):04X} is not allowed in YAML")
        ) from error
    except yaml.MarkedYAMLError as error:
        place: Any = error.problem_mark or error.context_mark
        raise UnreadableError(
            Slip((place.line + 1, place.column + 1) if place else mark, "", _plain(error))
        ) from error
    except (ValueError, OverflowError) as error:
        raise UnreadableError(
            Slip(mark, "", "not valid YAML: an escape in this text names no character")
        ) from error


def _plain(error: yaml.MarkedYAMLError) -> str:
    """Return PyYAML's complaint, with what to do about the common ones."""
    problem = " ".join((error.problem or error.context or "it cannot be read").split())
    if "'\\t'" in problem:
        return "a tab cannot indent YAML: use spaces"
    if problem == "mapping values are not allowed here":
        return (
            "not valid YAML: a ':' is not allowed here (text with ': ' needs quotes; check the indentation)"
        )
    return f"not valid YAML: {problem}"


def _mark(event: Any) -> Mark:
    return (event.start_mark.line + 1, event.start_mark.column + 1)


@dataclass
class _Composer:
    """Builds nodes from events, one level of recursion for each level of the document."""

    events: Iterator[Event]
    slips: list[Slip] = field(default_factory=list)
    anchors: dict[str, Node] = field(default_factory=dict)
    open_anchors: set[str] = field(default_factory=set)
    values: int = 0

    def document(self) -> Node:
        root: Node | None = None
        for event in self.events:
            if isinstance(event, DocumentStartEvent):
                if root is not None:
                    raise UnreadableError(
                        Slip(_mark(event), "", "expected one document, got a second one after '---'")
                    )
                root = self.node(next(self.events), ())
        if root is None:
            raise UnreadableError(
                Slip((1, 1), "", "the file is empty ('featreport init' writes a starter manifest)")
            )
        return root

    def node(self, event: Event, loc: Loc) -> Node:
        mark = _mark(event)
        if isinstance(event, AliasEvent):
            return self.alias(event, loc)
        self.count(1, mark)
        if len(loc) > MAX_DEPTH:
            raise UnreadableError(Slip(mark, "", f"nested more than {MAX_DEPTH} levels deep"))
        if not isinstance(event, SequenceStartEvent | MappingStartEvent | ScalarEvent):
            raise UnreadableError(Slip(mark, "", "not valid YAML: expected a value"))
        anchor = event.anchor
        if anchor is not None:
            self.open_anchors.add(anchor)
        if event.tag is not None:
            self.slip(mark, loc, f"tags are not used in manifests, got {quote(event.tag)}: remove it")
        if isinstance(event, SequenceStartEvent):
            node = self.sequence(mark, loc)
        elif isinstance(event, MappingStartEvent):
            node = self.mapping(mark, loc)
        else:
            node = Node(mark, 1, 0, scalar=self.scalar(event, loc))
        if anchor is not None:
            self.open_anchors.discard(anchor)
            self.anchors[anchor] = node
        return node

    def count(self, size: int, mark: Mark) -> None:
        self.values += size
        if self.values > MAX_VALUES:
            raise UnreadableError(
                Slip(mark, "", f"more than {MAX_VALUES:,} values (aliases counted as often as used)")
            )

    def slip(self, mark: Mark, loc: Loc, message: str) -> None:
        self.slips.append(Slip(mark, spell(loc), message))

    def alias(self, event: AliasEvent, loc: Loc) -> Node:
        mark = _mark(event)
        if event.anchor in self.open_anchors:
            raise UnreadableError(Slip(mark, spell(loc), f"the alias '*{event.anchor}' contains itself"))
        if event.anchor not in self.anchors:
            raise UnreadableError(
                Slip(
                    mark, spell(loc), f"the alias '*{event.anchor}' has no anchor '&{event.anchor}' before it"
                )
            )
        target = self.anchors[event.anchor]
        self.count(target.size, mark)
        if len(loc) + target.height > MAX_DEPTH:
            raise UnreadableError(Slip(mark, "", f"nested more than {MAX_DEPTH} levels deep"))
        return Node(mark, target.size, target.height, target.scalar, target.items, target.entries)

    def scalar(self, event: ScalarEvent, loc: Loc) -> Any:
        value = resolve_plain(event.value) if event.style is None and event.tag is None else event.value
        if isinstance(value, str) and any("\ud800" <= char <= "\udfff" for char in value):
            self.slip(_mark(event), loc, f"expected text, got half a character: {quote(value)}")
            return value.encode("utf-8", "replace").decode()
        return value

    def sequence(self, mark: Mark, loc: Loc) -> Node:
        items: list[Node] = []
        while not isinstance(event := next(self.events), SequenceEndEvent):
            items.append(self.node(event, (*loc, len(items))))
        size = 1 + sum(item.size for item in items)
        return Node(mark, size, 1 + max((item.height for item in items), default=0), items=tuple(items))

    def mapping(self, mark: Mark, loc: Loc) -> Node:
        entries: dict[str, tuple[str, Mark, Node]] = {}
        while not isinstance(event := next(self.events), MappingEndEvent):
            key_mark = _mark(event)
            key = self.key(self.node(event, (*loc, "?")), key_mark, loc)
            child = self.node(next(self.events), (*loc, key or "?"))
            if key is None:
                continue
            if key in entries:
                first = entries[key][1][0]
                self.slip(key_mark, loc, f"duplicate key {quote(key)} (first on line {first})")
            else:
                entries[key] = (key, key_mark, child)
        children = [child for _, _, child in entries.values()]
        size = 1 + sum(child.size for child in children)
        height = 1 + max((child.height for child in children), default=0)
        return Node(mark, size, height, entries=tuple(entries.values()))

    def key(self, node: Node, mark: Mark, loc: Loc) -> str | None:
        """Return the key if it is usable; a mistake about it is noted."""
        if not isinstance(node.scalar, str):
            got = "a list or a mapping" if node.scalar is None and node.height else describe(node.scalar)
            self.slip(mark, loc, f"expected a key of text, got {got} (put it in quotes)")
            return None
        if node.scalar == "<<":
            self.slip(
                mark,
                loc,
                "merge keys ('<<') are not supported: use an alias for a whole value, or write it out",
            )
            return None
        return node.scalar
