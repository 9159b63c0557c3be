"""A built module serves the next run of its source, where that provably changes no number.

A network's tensors are put back as they were built. Everything else that its code can see and change (attributes of
its modules, of their classes, globals of their files) is written down after building and compared after the run. What
differs, or cannot be compared, is built anew.
"""

from __future__ import annotations

import enum
import functools
import sys
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

TRUSTED = frozenset({"torch", "torchvision", "timm", "numpy", *sys.stdlib_module_names})
HOLDERS = (dict, list, tuple, set, frozenset, deque)
PLAIN = (int, float, complex, str, bytes, bool, type(None), type(...), range, slice)
FIXED = (
    *(torch.dtype, torch.device, torch.layout, torch.memory_format, enum.Enum),
    *(types.MethodDescriptorType, types.WrapperDescriptorType),
    *(types.MemberDescriptorType, types.GetSetDescriptorType),
)
PARTS: tuple[tuple[type | tuple[type, ...], Callable[[Any], Iterable[object]]], ...] = (
    (functools.partial, lambda one: (one.func, one.args, one.keywords)),
    ((staticmethod, classmethod), lambda one: (one.__func__,)),
    (property, lambda one: (one.fget, one.fset, one.fdel)),
    (types.MethodType, lambda one: (one.__func__, one.__self__)),
    (types.BuiltinFunctionType, lambda one: (one.__self__,)),  # may be bound to an object: `calls.append`
)
MOST = 200_000  # values looked at
State = list[tuple[object, ...]]


class NotComparable(Exception):  # noqa: N818 - an answer, not a failure
    """The network holds a value of which it cannot be told whether it changed."""


@dataclass(frozen=True)
class Built:
    """A module as it came from its source, its own tensors apart."""

    model: nn.Module
    state: State
    kept: list[object]  # what the state names by its address, so that nothing else takes that
    tensors: dict[tuple[int, str], Tensor]  # copies, by module and name
    training: list[bool]

    @classmethod
    def of(cls, model: nn.Module) -> Built | None:
        """Return what is needed to use a freshly built `model` again; None where nothing can promise that it serves."""
        if any(isinstance(module, torch.jit.ScriptModule) for module in model.modules()):
            return None  # a program keeps its tensors where nothing can be put back
        tensors = {place: tensor for place, tensor in _tensors(model) if tensor is not None}
        if any(tensor.layout != torch.strided or tensor.is_quantized for tensor in tensors.values()):
            return None
        storages = {
            id(tensor): tensor.untyped_storage().data_ptr() for tensor in tensors.values() if tensor.numel()
        }
        if len(set(storages.values())) != len(storages):
            return None  # views of one storage: putting each back would part them
        try:
            state, kept = _state(model)
        except NotComparable:
            return None
        copies = {place: tensor.detach().clone() for place, tensor in tensors.items()}
        return cls(model, state, kept, copies, [module.training for module in model.modules()])

    def restored(self) -> nn.Module | None:
        """Return the module as it was built, or None where its run changed more than its tensors."""
        try:
            if _state(self.model)[0] != self.state:
                return None
            self._put_back()
        except (NotComparable, RuntimeError):  # a parameter that has become of another kind
            return None
        return self.model

    def _put_back(self) -> None:
        modules = list(self.model.modules())
        for (index, name), copy in self.tensors.items():
            module = modules[index]
            parameter = module._parameters.get(name)  # noqa: SLF001 - both kinds by the names they are registered by
            if (
                parameter is not None
            ):  # also after a move to a device or another precision, which works the same way
                parameter.data = copy.clone()
                parameter.grad = None
            else:
                module._buffers[name] = copy.clone()  # noqa: SLF001 - as registered
        for module, training in zip(modules, self.training, strict=True):
            module.training = training


def _tensors(model: nn.Module) -> Iterator[tuple[tuple[int, str], Tensor | None]]:
    for index, module in enumerate(model.modules()):
        for name, tensor in (*module._parameters.items(), *module._buffers.items()):  # noqa: SLF001 - as registered
            yield (index, name), tensor


def _state(model: nn.Module) -> tuple[State, list[object]]:
    """Write down all that the network's code can change, its tensors' values apart.

    Raises:
        NotComparable: it holds a value that cannot be written down.
    """
    walk = _Walk({id(module) for module in model.modules()})
    for module in model.modules():
        walk.state.append((id(module), type(module)))
        for name, value in vars(module).items():
            walk.path = name
            if name == "training":
                continue
            if name == "_parameters":
                walk.state += [(key, id(tensor), tensor is None) for key, tensor in value.items()]
            elif name == "_buffers":
                walk.state += [(key, tensor is None) for key, tensor in value.items()]
            elif name == "_modules":
                walk.state += [(key, id(inner)) for key, inner in value.items()]
            else:
                walk.value(value)
        walk.value(type(module))
    return walk.state, list(walk.seen.values())


class _Walk:
    """Writes values down, each object once."""

    def __init__(self, inside: set[int]) -> None:
        self.state: State = []
        self.inside = inside
        self.path = ""
        self.seen: dict[int, object] = {}

    def value(self, value: object) -> None:
        """Write down one value and what it holds."""
        if len(self.state) > MOST:
            raise NotComparable
        if isinstance(value, PLAIN):
            self.state.append(
                (self.path, type(value), repr(value))
            )  # repr: NaN equals NaN, and 1 is not True
            return
        # which tuple holds its values makes no difference, which list does: it can be written to
        self.state.append((self.path, len(value) if isinstance(value, tuple) else id(value)))
        if id(value) in self.seen:
            return
        self.seen[id(value)] = value
        if isinstance(value, FIXED) or (isinstance(value, types.ModuleType) and _trusted(value.__name__)):
            return
        if isinstance(value, nn.Module):
            if id(value) not in self.inside:
                raise NotComparable(f"{self.path}: a module that is not registered")
        elif isinstance(value, types.FunctionType):
            self._function(value)
        elif isinstance(value, type):
            self._class(value)
        else:
            for inner in self._parts(value):
                self.value(inner)

    def _parts(self, value: object) -> Iterable[object]:
        """Return what a value consists of.

        Raises:
            NotComparable: it is of a kind that keeps its parts to itself.
        """
        if isinstance(value, HOLDERS) and _trusted(type(value).__module__):
            return (*value, *value.values()) if isinstance(value, dict) else value
        for kind, parts in PARTS:
            if isinstance(value, kind):
                return parts(value)
        if type(value).__module__ in {"_operator", "operator", "re", "__future__"}:  # nothing writes to these
            return ()
        raise NotComparable(f"{self.path}: {type(value).__name__}")

    def _function(self, function: types.FunctionType) -> None:
        if _trusted(function.__module__):
            return
        cells = tuple(cell.cell_contents for cell in function.__closure__ or () if _filled(cell))
        self.value((function.__defaults__, function.__kwdefaults__, cells, tuple(vars(function).items())))
        names = _names(function.__code__)
        scope = function.__globals__
        self.state.append((id(scope),))
        for name in sorted(names & scope.keys()):
            self.path = name
            self.value(scope[name])

    def _class(self, cls: type) -> None:
        if _trusted(cls.__module__):
            return
        for base in cls.__mro__:
            if not _trusted(base.__module__):
                for name, inner in vars(base).items():
                    if name in {"__dict__", "__weakref__", "__doc__", "__annotations__", "__module__"}:
                        continue
                    self.path = name
                    self.value(inner)


def _trusted(module: str | None) -> bool:
    return (module or "").partition(".")[0] in TRUSTED


def _filled(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - raises where it is empty
    except ValueError:
        return False
    return True


def _names(code: types.CodeType) -> set[str]:
    """Every name that code, and the functions inside it, may look up."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= _names(constant)
    return found
