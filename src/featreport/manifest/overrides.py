"""`--set PATH=VALUE`: single values of the command line, put into a manifest before it is validated."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from featreport.manifest.complaints import known_keys, unknown_key
from featreport.manifest.compose import compose
from featreport.manifest.scalars import Loc, describe, spell
from featreport.manifest.tree import Mark, Node, Slip, UnreadableError, beyond, listed, mapped
from featreport.manifest.variables import Variables

_PATH = re.compile(r"[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*|\[[0-9]{1,5}\])*")
_STEP = re.compile(r"([A-Za-z_][\w-]*)|\[([0-9]+)\]")
_SHOWN = 60  # characters of an option in a message
EXAMPLE = "such as batch_size=8 or 'models[0].checkpoints[0]=new.pt'"


class _NoSuchPathError(Exception):
    """The path leads nowhere in this manifest."""


def put(root: Node, options: Sequence[str], variables: Variables) -> tuple[Node, list[Slip]]:
    """Return a document with the values of `--set` options in place, and what is wrong with the options.

    Args:
        root: the document, a mapping.
        options: `PATH=VALUE` each, in order: of two for one path the later holds.
        variables: what stands for `${NAME}` in their values.
    """
    slips: list[Slip] = []
    for text in options:
        mark = Mark(_named(text), 0, 0)
        path, equals, value = text.partition("=")
        path = path.strip()
        if not equals or not _PATH.fullmatch(path):
            slips.append(Slip(mark, "", f"expected PATH=VALUE {EXAMPLE}"))
            continue
        loc: Loc = tuple(key or int(index) for key, index in _STEP.findall(path))
        try:
            node, wrong = _value(value, loc, mark, variables)
            changed = _put(root, loc, 0, node)
            slips += [replace(slip, mark=mark) for slip in wrong]
            root = beyond(changed, mark)
        except _NoSuchPathError as error:
            slips.append(Slip(mark, "", str(error)))
        except UnreadableError as stop:
            slips.append(replace(stop.slip, mark=mark))
    return root, slips


def _named(text: str) -> str:
    """Return an option as messages name it, on one line."""
    shown = text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
    return f"--set {shown}" if shown.isprintable() else f"--set {shown!r}"


def _value(text: str, loc: Loc, mark: Mark, variables: Variables) -> tuple[Node, tuple[Slip, ...]]:
    """Return what is written after the `=`: one value as a manifest has it, lists and mappings in flow style.

    Raises:
        UnreadableError: it is not YAML.
    """
    if loc[0] == "extends":
        raise UnreadableError(Slip(mark, "extends", "cannot be set: build the manifest that extends another"))
    if not text.strip():
        return Node(mark, 1, 0), ()
    if text.lstrip().startswith("#"):
        raise UnreadableError(Slip(mark, spell(loc), "a '#' begins a comment: put the value in quotes"))
    composed = compose(text, mark.file, variables, loc)
    node = composed.root
    if (node.items is not None or node.entries is not None) and text.lstrip()[0] not in "[{&":
        what = "write a list as [a, b], a mapping as {a: b}, and text with ': ' in quotes"
        raise UnreadableError(Slip(mark, spell(loc), what))
    return _moved(node, mark), composed.slips


def _moved(node: Node, mark: Mark) -> Node:
    items = node.items and tuple(_moved(item, mark) for item in node.items)
    entries = node.entries and tuple((key, mark, _moved(child, mark)) for key, _, child in node.entries)
    return replace(node, mark=mark, items=items, entries=entries)


def _put(node: Node, loc: Loc, depth: int, value: Node) -> Node:
    """Return `node`, which stands at `loc[:depth]`, with `value` at `loc`.

    Raises:
        _NoSuchPathError: there is no such place, and none may be.
    """
    if depth == len(loc):
        return value
    step, here = loc[depth], loc[:depth]
    if isinstance(step, int):
        if node.items is None:
            raise _NoSuchPathError(f"{spell(here)} is {_kind(node)} here, not a list")
        if step >= len(node.items):
            count = len(node.items)
            entries = f"1 entry, {spell((*here, 0))}" if count == 1 else f"{count} entries, from [0]"
            raise _NoSuchPathError(f"there is no {spell(loc[: depth + 1])}: {spell(here)} has {entries}")
        items = list(node.items)
        items[step] = _put(items[step], loc, depth + 1, value)
        return listed(node.mark, tuple(items))
    return _in_mapping(node, loc, depth, value)


def _in_mapping(node: Node, loc: Loc, depth: int, value: Node) -> Node:
    step, here = str(loc[depth]), loc[:depth]
    if node.items is not None:
        raise _NoSuchPathError(f"{spell(here)} is a list here: name an entry, {spell((*here, 0))}.{step}")
    if node.entries is None and node.scalar is not None:
        raise _NoSuchPathError(
            f"{spell(here)} is {_kind(node)} here, not a mapping: set it whole, {spell(here)}={{{step}: …}}"
        )
    entries, child = node.entries or (), node.get(step)
    if child is not None:
        place = [key for key, _, _ in entries].index(step)
        mark = value.mark if depth == len(loc) - 1 else entries[place][1]
        changed = (step, mark, _put(child, loc, depth + 1, value))
        return mapped(node.mark, (*entries[:place], changed, *entries[place + 1 :]))
    known = known_keys(here)
    if known and step not in known:
        raise _NoSuchPathError((f"{spell(here)}: " if here else "") + unknown_key((*here, step)))
    if depth + 1 < len(loc) and isinstance(loc[depth + 1], int):
        whole = spell(loc[: depth + 1])
        raise _NoSuchPathError(f"there is no list {whole} here: set it whole, {whole}=[…]")
    new = _put(mapped(value.mark, ()), loc, depth + 1, value)
    return mapped(node.mark, (*entries, (step, value.mark, new)))


def _kind(node: Node) -> str:
    if node.items is not None:
        return "a list"
    return "a mapping" if node.entries is not None else describe(node.scalar)
