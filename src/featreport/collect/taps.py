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
from torch.nn.modules import activation
from torch.nn.utils import parametrize
from torch.overrides import TorchFunctionMode

from featreport.collect.passed import Passed

ROOT = "(model)"
RECTIFIERS = (nn.ReLU, nn.ReLU6, nn.Threshold)
RECTIFIER_FUNCTIONS = {"relu", "relu6", "threshold"}
# torch's own activation modules compute by calling an activation function: that call is no tap of its own
ACTIVATIONS = tuple(
    kind
    for kind in (getattr(activation, name) for name in activation.__all__)
    if kind is not nn.MultiheadAttention
)
UPPER_BOUNDS = {
    name: bound
    for names, bound in (
        (("relu6",), 6.0),
        (("Hardsigmoid", "hardsigmoid", "Sigmoid", "sigmoid", "Tanh", "tanh", "Softsign", "softsign"), 1.0),
    )
    for name in names
}
WRITING = {"__iadd__", "__isub__", "__imul__", "__itruediv__", "__ipow__", "__setitem__"}
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
    batch: int | None = (
        None  # the axis of the images in [T, N, C] or [N, T, C], where the module around declares it
    )
    upper: float | None = None  # the greatest value its activation function can give, where it has one


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


def is_rectifier(module: nn.Module) -> bool:
    """Whether a module cuts off at zero from below: ReLU and its kin, and a hard tanh from 0."""
    return isinstance(module, RECTIFIERS) or (isinstance(module, nn.Hardtanh) and module.min_val == 0)


def upper_bound(module: nn.Module | None, kind: str) -> float | None:
    """Return the greatest value an activation function can give, by module or by function name; None without one."""
    if isinstance(module, nn.Hardtanh):  # ReLU6 is one
        return float(module.max_val)
    return UPPER_BOUNDS.get(kind.removeprefix("F."))


def declared_batch_first(module: nn.Module) -> bool | None:
    """What a torch module says of the order of its tokens, or None."""
    if isinstance(module, (nn.TransformerEncoder, nn.TransformerDecoder)) and len(module.layers):
        module = module.layers[0]
    if isinstance(module, (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)):
        module = module.self_attn
    if isinstance(module, (nn.MultiheadAttention, nn.RNNBase, nn.Transformer)):
        return bool(module.batch_first)
    return None


@dataclass
class _Frame:
    """A module that is running now."""

    name: str
    module: nn.Module
    batch_first: bool | None
    silent: bool  # it computes a weight, not an activation
    ran_children: bool = False

    def batch(self, output: str | None) -> int | None:
        """Which axis of an output with three axes holds the images, where that is declared."""
        if isinstance(self.module, nn.RNNBase) and output != "0":  # the last states: [layers, N, C]
            return 1
        if isinstance(self.module, nn.MultiheadAttention) and output == "1":  # the attention: [N, T, T]
            return 0
        return None if self.batch_first is None else int(not self.batch_first)


@dataclass
class Taps:
    """Watches a model's forward passes and shows every tap to `observe`, before the next op can overwrite it.

    A module is tapped when it runs no other module, and when it gives a tensor that no tap before it gave: a layer with
    modules inside, a block that adds to what its children made. A block that hands on its last child's output is no
    tap. Activation functions called from `forward()` are taps of the module that calls them: `layer.relu`, or
    `layer.relu()` where a module has that name. Inside the hooks nothing waits for the device.
    """

    model: nn.Module
    observe: Observer
    called: set[str] = field(default_factory=set)
    skipped: dict[str, str] = field(default_factory=dict)
    _frames: list[_Frame] = field(default_factory=list)
    _calls: dict[str, int] = field(default_factory=dict)
    passed: Passed = field(default_factory=Passed)

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Hooks on, the transformer fast path off; both restored whatever happens."""
        silent = _computing_weights(self.model)
        order: dict[str, bool | None] = {}
        fast = torch.backends.mha.get_fastpath_enabled()
        handles = []
        try:
            for name, module in self.model.named_modules():  # the module around comes before those inside
                own = declared_batch_first(module)
                order[name] = order.get(name.rpartition(".")[0]) if own is None else own
                entering = self._entering(name or ROOT, order[name], silent=id(module) in silent)
                handles.append(module.register_forward_pre_hook(entering))
                handles.append(module.register_forward_hook(self._leaving))
            torch.backends.mha.set_fastpath_enabled(False)
            yield
            self._name_uncalled(silent)
        finally:
            torch.backends.mha.set_fastpath_enabled(fast)
            for handle in handles:
                handle.remove()

    @contextmanager
    def one_pass(self) -> Iterator[None]:
        """Around each forward pass: calls count from 0 again, functional activations are seen."""
        self._calls.clear()
        self._frames.clear()
        self.passed.clear()
        with _Functional(self):
            yield

    def _name_uncalled(self, silent: set[int]) -> None:
        """A layer with computed weights that never ran is listed itself; what computes them is not missed."""
        for name, module in self.model.named_modules():
            if parametrize.is_parametrized(module) and name not in self.called:
                self.skipped[name or ROOT] = "never called in the forward pass"
            if id(module) in silent:
                self.called.add(name)

    def _entering(
        self, name: str, batch_first: bool | None, *, silent: bool
    ) -> Callable[[nn.Module, Any], None]:
        def hook(module: nn.Module, _args: Any) -> None:
            self.called.add(name)
            if self._frames and not silent:
                self._frames[-1].ran_children = True
            self._frames.append(_Frame(name, module, batch_first, silent))

        return hook

    def _leaving(self, module: nn.Module, _args: Any, output: object) -> None:
        frame = self._frames.pop()
        while frame.module is not module:  # an exception that the model itself caught skipped some exits
            frame = self._frames.pop()
        if frame.silent:
            return
        kind: type = parametrize.type_before_parametrizations(module)
        self._show(frame, _Call(frame.name, kind.__name__, is_rectifier(module), module), output)

    def function(self, name: str, rectifier: bool, output: object) -> None:
        """Take a functional activation's output, unless it is a built-in leaf's own way of computing."""
        frame = self._frames[-1] if self._frames else None
        if frame is None or frame.silent or isinstance(frame.module, ACTIVATIONS):
            return
        leaf = next(frame.module.children(), None) is None
        if leaf and type(frame.module).__module__.startswith("torch.nn.modules."):
            return
        taken = frame.module._modules.get(name) is not None  # noqa: SLF001 - a module of the same name
        place = f"{name}()" if taken else name
        layer = place if frame.name == ROOT else f"{frame.name}.{place}"
        self._show(frame, _Call(layer, f"F.{name}", rectifier, None), output)

    def _show(self, frame: _Frame, what: _Call, output: object) -> None:
        call = self._calls.get(what.layer, 0)
        self._calls[what.layer] = call + 1
        again = what.module is not None and frame.ran_children  # then a child may have shown the same tensor
        empty = True
        for name, tensor in tensors_of(output):
            empty = False
            if again and tensor in self.passed:
                continue
            self.passed.add(tensor)
            place = what.layer if name is None else f"{what.layer} output {name}"
            if tensor.numel() == 0:
                self.skipped.setdefault(place, "its output was empty")
            elif (why := unfit(tensor)) is not None:
                self.skipped[place] = why
            else:
                upper = upper_bound(what.module, what.kind)
                tap = Tap(what.layer, call, name, what.kind, what.rectifier, frame.batch(name), upper)
                self.observe(tap, what.module, tensor)
        if empty and not (again and output is None):
            self.skipped[what.layer] = "its output holds no tensor"


@dataclass(frozen=True)
class _Call:
    """What gave an output."""

    layer: str
    kind: str
    rectifier: bool
    module: nn.Module | None


def unfit(tensor: Tensor) -> str | None:
    """Why a tensor cannot be measured, or None."""
    if tensor.is_nested:
        return "its output is a nested tensor"
    if tensor.is_quantized:
        return "its output is a quantized tensor"
    if tensor.layout != torch.strided:
        return "its output is a sparse tensor"
    if not tensor.is_floating_point():
        return f"its output is not floating point ({str(tensor.dtype).removeprefix('torch.')})"
    return None


def _computing_weights(model: nn.Module) -> set[int]:
    """The modules that compute parameters (weight norm, spectral norm): what they give is no activation."""
    found: set[int] = set()
    for module in model.modules():
        if parametrize.is_parametrized(module):
            found |= {id(inner) for inner in module.parametrizations.modules()}  # type: ignore[union-attr]
    return found


class _Functional(TorchFunctionMode):
    """Sees activation functions as they are called."""

    def __init__(self, taps: Taps) -> None:
        super().__init__()
        self._taps = taps

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        output = func(*args, **given)
        if writes(func, given):
            for tensor in (*args[:1], given.get("input"), given.get("out")):
                self._taps.passed.written(tensor)
        name = FUNCTIONS.get(func)
        if name is not None:
            self._taps.function(name, _rectifies(name, args, given), output)
        return output


def writes(function: Any, given: Mapping[str, Any]) -> bool:
    """Whether a call may change its first argument, or its `out`, in place."""
    if given and ("out" in given or given.get("inplace")):
        return True
    name = getattr(function, "__name__", "")
    return name in WRITING or (name.endswith("_") and not name.endswith("__"))


def _rectifies(name: str, args: tuple[Any, ...], given: Mapping[str, Any]) -> bool:
    if name == "hardtanh":
        least = given.get("min_val", args[1] if len(args) > 1 else None)
        return isinstance(least, (int, float)) and least == 0
    return name in RECTIFIER_FUNCTIONS
