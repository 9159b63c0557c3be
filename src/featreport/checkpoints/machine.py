"""Follows the instructions of a pickle on plain data alone: a pickle's every call becomes a record of the call.

The standard library's `pickletools.genops` parses the instructions; this module gives them their meaning. No class
or function that a file names is ever looked up. A handful of names that build tensors and containers mean one of
our own bounded `Builder`s, every other name becomes an `Opaque`.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from torch import Tensor

from featreport.checkpoints.values import Converted, Opaque
from featreport.errors import CheckpointError

MAX_STEPS = 3_000_000  # a training file of 10,000 tensors with optimizer has a tenth
MAX_DEPTH = 512
MAX_MEMO = MAX_STEPS
WIDE_INT = 2**61 - 1  # from here on integers can be made to collide in a dict
HOSTILE = "the file is damaged or hostile; get it from another place"

Builder = Callable[["Machine", tuple[Any, ...]], Any]
Persistent = Callable[[Any], Any]


@dataclass(eq=False)
class Reference:
    """A name that stands for a builder."""

    name: str
    build: Builder


@dataclass(eq=False)
class Unfinished:
    """A value whose content comes with its state; `finish` returns what then takes its place."""

    finish: Callable[[Machine, Any], Any]
    index: int | None = None


@dataclass
class Machine:
    """One pickle's interpreter. `spend` keeps what builders copy within a budget that grows with the file."""

    builders: Mapping[str, Builder]
    persistent: Persistent
    budget: int
    stack: list[Any] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)
    names: dict[str, None] = field(default_factory=dict)

    def run(self, stream: IO[bytes]) -> Any:
        """Return the value of the pickle that starts at `stream`'s position, and leave `stream` behind it.

        Raises:
            CheckpointError: it is larger than any checkpoint's, or asks for what a file cannot give.
            Exception: it is not a well-formed pickle; the caller reports it as damage.
        """
        for step, (op, arg, _) in enumerate(pickletools.genops(stream)):
            if step > MAX_STEPS:
                raise CheckpointError(f"describes its values in more than {MAX_STEPS:,} steps", HOSTILE)
            if op.name == "STOP":
                return self.pop()
            _STEPS[op.name](self, arg)
        raise ValueError("the pickle does not end")

    def spend(self, cost: int) -> None:
        """Count `cost` bytes of copies.

        Raises:
            CheckpointError: they add up to far more than the file holds.
        """
        self.budget -= cost
        if self.budget < 0:
            raise CheckpointError("unpacks to far more than it holds", HOSTILE)

    def pop(self) -> Any:
        """Take the topmost value."""
        if self.marks and len(self.stack) <= self.marks[-1]:
            raise ValueError("a value is missing below a mark")
        return self.stack.pop()

    def pop_mark(self) -> list[Any]:
        """Take every value above the last mark."""
        start = self.marks.pop()
        taken = self.stack[start:]
        del self.stack[start:]
        return taken

    def call(self, function: Any, arguments: Any, keywords: Any = None) -> Any:
        """Return what a call means here: a builder's value, or the record of the call."""
        if not isinstance(arguments, tuple):
            raise TypeError("a call's arguments are not a tuple")
        if isinstance(function, Reference):
            return function.build(self, arguments)
        if isinstance(function, Opaque) and not function.called:
            named = keywords if isinstance(keywords, dict) else {}
            return Opaque(function.name, arguments, named)
        return Opaque("(call of a value)", (function, *arguments))

    def name(self, module: Any, name: Any) -> Any:
        """Return what a global name means here."""
        if not isinstance(module, str) or not isinstance(name, str):
            raise TypeError("a global's name is not a text")
        full = f"{_MODULES.get(module, module)}.{name}"
        if builder := self.builders.get(full):
            return Reference(full, builder)
        self.names[full] = None
        return Opaque(full, called=False)


def key_of(value: Any) -> Any:
    """Return `value` as a dict key that hashes quickly whatever the file wants: scalars, else a record by identity."""
    if isinstance(value, tuple) and len(value) <= 8 and all(_plain(part) for part in value):  # noqa: PLR2004
        return value
    return value if _plain(value) or isinstance(value, Opaque | Reference) else Opaque("(key)", (value,))


def _plain(value: Any) -> bool:
    if isinstance(value, int) and not isinstance(value, bool):
        return abs(value) < WIDE_INT
    return value is None or isinstance(value, str | bytes | bool | float)


def put(container: Any, pairs: list[Any]) -> None:
    """Set `pairs` (key, value, key, value, …) in a dict or in the record of one."""
    if len(pairs) % 2:
        raise ValueError("a key has no value")
    target = container.pairs if isinstance(container, Opaque) else container
    if not isinstance(target, dict):
        raise TypeError(f"items are set in a {type(container).__name__}")
    target.update((key_of(key), value) for key, value in zip(pairs[::2], pairs[1::2], strict=True))


def _extend(container: Any, values: list[Any]) -> None:
    target = container.items if isinstance(container, Opaque) else container
    if not isinstance(target, list):
        raise TypeError(f"values are appended to a {type(container).__name__}")
    target.extend(values)


def _build(machine: Machine) -> None:
    state = machine.pop()
    target = machine.stack[-1]
    if isinstance(target, Unfinished):
        machine.stack[-1] = target.finish(machine, state)
        if target.index is not None:
            machine.memo[target.index] = machine.stack[-1]
    elif isinstance(target, Opaque):
        target.state = state if target.state is None else (target.state, state)
    elif not isinstance(
        target, dict | list | set | Tensor | Converted
    ):  # theirs is decoration, e.g. _metadata
        raise TypeError(f"a {type(target).__name__} is given a state")


def _memoize(machine: Machine, index: int) -> None:
    if not 0 <= index <= MAX_MEMO:
        raise CheckpointError(f"keeps its value number {index:,} for later, more than it can have", HOSTILE)
    value = machine.memo[index] = machine.stack[-1]
    if isinstance(value, Unfinished):
        value.index = index


def _tuple(machine: Machine, count: int) -> None:
    values = tuple(machine.pop() for _ in range(count))[::-1]
    machine.stack.append(values)


def _reduce(machine: Machine) -> None:
    arguments = machine.pop()
    machine.stack.append(machine.call(machine.pop(), arguments))


def _new(machine: Machine, *, with_keywords: bool) -> None:
    keywords = machine.pop() if with_keywords else None
    arguments = machine.pop()
    machine.stack.append(machine.call(machine.pop(), arguments, keywords))


def _stack_global(machine: Machine) -> None:
    name = machine.pop()
    machine.stack.append(machine.name(machine.pop(), name))


def _global(machine: Machine, arg: str) -> None:
    module, _, name = arg.partition(" ")
    machine.stack.append(machine.name(module, name))


def _instance(machine: Machine, arg: str) -> None:
    module, _, name = arg.partition(" ")
    arguments = tuple(machine.pop_mark())
    machine.stack.append(machine.call(machine.name(module, name), arguments))


def _object(machine: Machine) -> None:
    function, *arguments = machine.pop_mark()
    machine.stack.append(machine.call(function, tuple(arguments)))


def _set_item(machine: Machine) -> None:
    value = machine.pop()
    key = machine.pop()
    put(machine.stack[-1], [key, value])


def _set_items(machine: Machine) -> None:
    pairs = machine.pop_mark()
    put(machine.stack[-1], pairs)


def _append(machine: Machine) -> None:
    value = machine.pop()
    _extend(machine.stack[-1], [value])


def _appends(machine: Machine) -> None:
    values = machine.pop_mark()
    _extend(machine.stack[-1], values)


def _add_items(machine: Machine) -> None:
    values = machine.pop_mark()
    target = machine.stack[-1]
    if isinstance(target, set):
        target.update(key_of(value) for value in values)
    else:
        _extend(target, values)


def _dict(machine: Machine) -> None:
    found: dict[Any, Any] = {}
    put(found, machine.pop_mark())
    machine.stack.append(found)


def _pop_one(machine: Machine) -> None:
    if machine.marks and len(machine.stack) <= machine.marks[-1]:
        machine.marks.pop()
    else:
        machine.stack.pop()


def _refused(machine: Machine, arg: Any) -> None:  # noqa: ARG001
    raise CheckpointError("uses an instruction of pickle that no checkpoint uses", HOSTILE)


Step = Callable[[Machine, Any], None]


def _value(machine: Machine, arg: Any) -> None:
    machine.stack.append(arg)


def _push(make: Callable[[Machine], Any]) -> Step:
    return lambda machine, _: machine.stack.append(make(machine))


def _do(step: Callable[[Machine], None]) -> Step:
    return lambda machine, _: step(machine)


_MODULES = {"__builtin__": "builtins", "copy_reg": "copyreg"}  # Python 2's names
_VALUES = (
    "INT BININT BININT1 BININT2 LONG LONG1 LONG4 STRING BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES "
    "BINBYTES8 BYTEARRAY8 UNICODE SHORT_BINUNICODE BINUNICODE BINUNICODE8 FLOAT BINFLOAT"
)
_STEPS: dict[str, Step] = {
    **dict.fromkeys(_VALUES.split(), _value),
    **dict.fromkeys(("PROTO", "FRAME"), lambda _machine, _arg: None),
    **dict.fromkeys(("EXT1", "EXT2", "EXT4", "PERSID", "NEXT_BUFFER", "READONLY_BUFFER"), _refused),
    "NONE": _push(lambda _: None),
    "NEWTRUE": _push(lambda _: True),
    "NEWFALSE": _push(lambda _: False),
    "EMPTY_TUPLE": _push(lambda _: ()),
    "EMPTY_LIST": _push(lambda _: []),
    "EMPTY_DICT": _push(lambda _: {}),
    "EMPTY_SET": _push(lambda _: set()),
    "LIST": _push(Machine.pop_mark),
    "TUPLE": _push(lambda machine: tuple(machine.pop_mark())),
    "FROZENSET": _push(lambda machine: frozenset(key_of(value) for value in machine.pop_mark())),
    "TUPLE1": _do(lambda machine: _tuple(machine, 1)),
    "TUPLE2": _do(lambda machine: _tuple(machine, 2)),
    "TUPLE3": _do(lambda machine: _tuple(machine, 3)),
    "DICT": _do(_dict),
    "MARK": _do(lambda machine: machine.marks.append(len(machine.stack))),
    "POP": _do(_pop_one),
    "POP_MARK": lambda machine, _: machine.pop_mark().clear(),
    "DUP": _do(lambda machine: machine.stack.append(machine.stack[-1])),
    "APPEND": _do(_append),
    "APPENDS": _do(_appends),
    "SETITEM": _do(_set_item),
    "SETITEMS": _do(_set_items),
    "ADDITEMS": _do(_add_items),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _memoize),
    "MEMOIZE": _do(lambda machine: _memoize(machine, len(machine.memo))),
    **dict.fromkeys(
        ("GET", "BINGET", "LONG_BINGET"), lambda machine, arg: machine.stack.append(machine.memo[arg])
    ),
    "GLOBAL": _global,
    "STACK_GLOBAL": _do(_stack_global),
    "INST": _instance,
    "OBJ": _do(_object),
    "REDUCE": _do(_reduce),
    "NEWOBJ": _do(lambda machine: _new(machine, with_keywords=False)),
    "NEWOBJ_EX": _do(lambda machine: _new(machine, with_keywords=True)),
    "BUILD": _do(_build),
    "BINPERSID": _push(lambda machine: machine.persistent(machine.pop())),
}


def measure_depth(tree: Any) -> None:
    """Check that no value lies deeper than any walk should go; containers are visited once, level by level.

    Raises:
        CheckpointError: one does.
    """
    seen: set[int] = set()
    level: list[Any] = [tree]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for node in level:
            if not isinstance(node, dict | list | tuple | Opaque) or id(node) in seen:
                continue
            seen.add(id(node))
            if isinstance(node, dict):
                below += node.values()
            elif isinstance(node, Opaque):
                below += (node.arguments, node.keywords, node.state, node.items, node.pairs)
            else:
                below += node
        if not below:
            return
        level = below
    raise CheckpointError(f"nests its values more than {MAX_DEPTH} deep", HOSTILE)
