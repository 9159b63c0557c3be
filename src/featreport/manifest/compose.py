"""Text → nodes with a line and a column for each: YAML read by events, so that nothing in it can bite.

Duplicate keys, tags, merge keys, several documents, deep nesting and alias bombs are refused; anchors and
aliases of whole values work. PyYAML's pure-Python parser only: its C loader dies on deep nesting.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
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
from featreport.manifest.tree import MAX_DEPTH, MAX_VALUES, Mark, Node, Slip, UnreadableError, listed, mapped
from featreport.manifest.variables import LARGEST, Filled, TooMuchError, Variables

IN_FLOW = (
    "inside { } or [ ] a variable needs quotes: '${NAME}' (which makes it text; for a number give its key "
    "a line of its own)"
)


@dataclass(frozen=True)
class Composed:
    """A document as nodes, and the mistakes that did not stop the reading."""

    root: Node
    slips: tuple[Slip, ...]


def compose(text: str, file: str = "", variables: Variables | None = None, loc: Loc = ()) -> Composed:
    """Return the one document in `text`.

    Args:
        text: YAML.
        file: its name in messages.
        variables: what stands for `${NAME}` in its values; keys are taken as written. None: no variable is set.
        loc: where in a larger document it will stand.

    Raises:
        UnreadableError: not YAML, or beyond the limits; carries the first place where reading had to stop.
    """
    composer = _Composer(_events(text, file), file, variables or Variables())
    root = composer.document(loc)
    return Composed(root, tuple(composer.slips))


def _events(text: str, file: str) -> Iterator[Event]:
    """Yield the parser's events; whatever it raises comes out as `UnreadableError`."""
    mark = Mark(file, 1, 1)
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            mark = _mark(event, file)
            yield event
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        mark = Mark(file, before.count("\n") + 1, len(before) - before.rfind("\n"))
        raise UnreadableError(
            Slip(mark, "", f"the character U+{ord(text[error.position]):04X} is not allowed in YAML")
        ) from error
    except yaml.MarkedYAMLError as error:
        place: Any = error.problem_mark or error.context_mark
        if place:
            mark = Mark(file, place.line + 1, place.column + 1)
            if text[max(place.index - 1, 0) : place.index + 1] == "${":
                raise UnreadableError(Slip(replace(mark, column=place.column), "", IN_FLOW)) from error
        raise UnreadableError(Slip(mark, "", _plain(error))) from error
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


def _mark(event: Any, file: str) -> Mark:
    return Mark(file, event.start_mark.line + 1, event.start_mark.column + 1)


@dataclass
class _Composer:
    """Builds nodes from events, one level of recursion for each level of the document."""

    events: Iterator[Event]
    file: str
    variables: Variables
    slips: list[Slip] = field(default_factory=list)
    anchors: dict[str, Node] = field(default_factory=dict)
    open_anchors: set[str] = field(default_factory=set)
    values: int = 0

    def mark(self, event: Event) -> Mark:
        return _mark(event, self.file)

    def document(self, loc: Loc) -> Node:
        root: Node | None = None
        for event in self.events:
            if isinstance(event, DocumentStartEvent):
                if root is not None:
                    raise UnreadableError(
                        Slip(self.mark(event), "", "expected one document, got a second one after '---'")
                    )
                root = self.node(next(self.events), loc)
        if root is None:
            raise UnreadableError(
                Slip(
                    Mark(self.file, 1, 1),
                    "",
                    "the file is empty ('featreport init' writes a starter manifest)",
                )
            )
        return root

    def node(self, event: Event, loc: Loc, *, key: bool = False) -> Node:
        mark = self.mark(event)
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
            node = self.scalar(event, loc, key=key)
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
        mark = self.mark(event)
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
        return target.at(mark)

    def scalar(self, event: ScalarEvent, loc: Loc, *, key: bool) -> Node:
        mark = self.mark(event)
        try:
            filled = Filled(event.value, whole=False) if key else self.variables.fill(event.value)
        except TooMuchError:
            raise UnreadableError(
                Slip(mark, spell(loc), f"the variables hold more than {LARGEST:,} characters")
            ) from None
        if filled.wrong:
            return Node(mark, 1, 0, scalar=event.value, wrong=filled.wrong, unknown=True)
        plain = event.style is None and event.tag is None and (filled.whole or filled.text == event.value)
        value = resolve_plain(filled.text) if plain else filled.text
        if isinstance(value, str) and any("\ud800" <= char <= "\udfff" for char in value):
            self.slip(mark, loc, f"expected text, got half a character: {quote(value)}")
            value = value.encode("utf-8", "replace").decode()
        return Node(mark, 1, 0, scalar=value)

    def sequence(self, mark: Mark, loc: Loc) -> Node:
        items: list[Node] = []
        while not isinstance(event := next(self.events), SequenceEndEvent):
            items.append(self.node(event, (*loc, len(items))))
        return listed(mark, tuple(items))

    def mapping(self, mark: Mark, loc: Loc) -> Node:
        entries: dict[str, tuple[str, Mark, Node]] = {}
        while not isinstance(event := next(self.events), MappingEndEvent):
            key_mark = self.mark(event)
            key = self.key(self.node(event, (*loc, "?"), key=True), key_mark, loc)
            child = self.node(next(self.events), (*loc, key or "?"))
            if key is None:
                continue
            if key in entries:
                first = entries[key][1].line
                self.slip(key_mark, loc, f"duplicate key {quote(key)} (first on line {first})")
            else:
                entries[key] = (key, key_mark, child)
        return mapped(mark, tuple(entries.values()))

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
