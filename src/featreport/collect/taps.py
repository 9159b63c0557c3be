"""Taps: every point of a forward pass where an activation can be measured, by (layer, call, output)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

ROOT = "(model)"
RECTIFIERS = (nn.ReLU, nn.ReLU6, nn.Threshold)
RECTIFIER_FUNCTIONS = {"relu", "relu6", "threshold"}
ACTIVATION_FUNCTIONS = (
    *(
        "relu",
        "relu6",
        "threshold",
        "hardtanh",
        "leaky_relu",
        "prelu",
        "rrelu",
        "elu",
        "selu",
        "celu",
        "gelu",
        "silu",
    ),
    *("mish", "hardswish", "hardsigmoid", "sigmoid", "tanh", "softplus", "softsign", "logsigmoid", "glu"),
)


@dataclass(frozen=True)
class Tap:
    """A place in the forward pass. `module` is None for a functional activation."""

    layer: str
    call: int
    output: str | None
    kind: str  # the module's class, or "F.relu"
    rectifier: bool


Observer = Callable[[Tap, nn.Module | None, Tensor], None]


def _functions() -> dict[Any, str]:
    """Every spelling of an activation function (F.relu, torch.relu_, Tensor.relu …) with its plain name."""
    found: dict[Any, str] = {}
    for name in ACTIVATION_FUNCTIONS:
        for room in (F, torch, Tensor, torch.nn.functional):
            for spelling in (name, name + "_"):
                function = getattr(room, spelling, None)
                if callable(function):
                    found[function] = name
    return found


FUNCTIONS = _functions()


def tensors_of(output: object) -> Iterator[tuple[str | None, Tensor]]:
    """Yield every tensor of an output with its name: "0" in a tuple, the key in a dict, the field in a dataclass."""
    if isinstance(output, Tensor):
        yield None, output
        return
    if isinstance(output, Mapping):
        parts: list[tuple[str, object]] = [(str(key), value) for key, value in output.items()]
    elif dataclasses.is_dataclass(output) and not isinstance(output, type):
        parts = [(f.name, getattr(output, f.name)) for f in dataclasses.fields(output)]
    elif isinstance(output, tuple) and hasattr(output, "_fields"):
        parts = list(zip(output._fields, output, strict=True))
    elif isinstance(output, (tuple, list)):
        parts = [(str(index), value) for index, value in enumerate(output)]
    else:
        return
    for name, value in parts:
        for inner, tensor in tensors_of(value):
            yield (name if inner is None else f"{name}.{inner}"), tensor


@dataclass
class _Frame:
    """A module that is running now."""

    name: str
    module: nn.Module
    ran_children: bool = False


@dataclass
class Taps:
    """Watches a model's forward passes and shows every tap to `observe`, before the next op can overwrite it.

    A module is tapped when it runs no other module: leaves, and those like `nn.MultiheadAttention` that use the
    parameters of their children without calling them. Activation functions called from `forward()` are taps of the
    module that calls them: `layer.relu`. Inside the hooks nothing waits for the device.
    """

    model: nn.Module
    observe: Observer
    called: set[str] = field(default_factory=set)
    skipped: dict[str, str] = field(default_factory=dict)
    _frames: list[_Frame] = field(default_factory=list)
    _calls: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Hooks on, the transformer fast path off; both restored whatever happens."""
        names = {id(module): name or ROOT for name, module in self.model.named_modules()}
        fast = torch.backends.mha.get_fastpath_enabled()
        handles = []
        try:
            for module in self.model.modules():
                name = names[id(module)]
                handles.append(module.register_forward_pre_hook(self._entering(name)))
                handles.append(module.register_forward_hook(self._leaving))
            torch.backends.mha.set_fastpath_enabled(False)
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fast)
            for handle in handles:
                handle.remove()

    @contextmanager
    def one_pass(self) -> Iterator[None]:
        """Around each forward pass: calls count from 0 again, functional activations are seen."""
        self._calls.clear()
        self._frames.clear()
        with _Functional(self):
            yield

    def _entering(self, name: str) -> Callable[[nn.Module, Any], None]:
        def hook(module: nn.Module, _args: Any) -> None:
            self.called.add(name)
            if self._frames:
                self._frames[-1].ran_children = True
            self._frames.append(_Frame(name, module))

        return hook

    def _leaving(self, module: nn.Module, _args: Any, output: object) -> None:
        frame = self._frames.pop()
        while frame.module is not module:  # an exception that the model itself caught skipped some exits
            frame = self._frames.pop()
        if not frame.ran_children:
            self._show(frame.name, type(module).__name__, isinstance(module, RECTIFIERS), module, output)

    def function(self, name: str, output: object) -> None:
        """Take a functional activation's output, unless it is a built-in leaf's own way of computing."""
        frame = self._frames[-1] if self._frames else None
        if frame is None:
            return
        leaf = next(frame.module.children(), None) is None
        if leaf and type(frame.module).__module__.startswith("torch.nn.modules."):
            return
        layer = name if frame.name == ROOT else f"{frame.name}.{name}"
        self._show(layer, f"F.{name}", name in RECTIFIER_FUNCTIONS, None, output)

    def _show(self, layer: str, kind: str, rectifier: bool, module: nn.Module | None, output: object) -> None:
        call = self._calls.get(layer, 0)
        self._calls[layer] = call + 1
        empty = True
        for name, tensor in tensors_of(output):
            empty = False
            place = layer if name is None else f"{layer} output {name}"
            if tensor.is_quantized or tensor.layout != torch.strided:
                self.skipped[place] = (
                    f"its output is a {'quantized' if tensor.is_quantized else 'sparse'} tensor"
                )
            elif not tensor.is_floating_point():
                self.skipped[place] = (
                    f"its output is not floating point ({str(tensor.dtype).removeprefix('torch.')})"
                )
            elif tensor.numel() == 0:
                self.skipped.setdefault(place, "its output was empty")
            else:
                self.observe(Tap(layer, call, name, kind, rectifier), module, tensor)
        if empty:
            self.skipped[layer] = "its output holds no tensor"


class _Functional(TorchFunctionMode):
    """Sees activation functions as they are called."""

    def __init__(self, taps: Taps) -> None:
        super().__init__()
        self._taps = taps

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        name = FUNCTIONS.get(func)
        if name is not None:
            self._taps.function(name, output)
        return output
