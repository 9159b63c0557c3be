"""Which torch functions give an activation when called in `forward()`, and on which axis its channels are.

The rule, in one place. A functional tensor is a tap where it derives from the images and is a step of the network:

- an activation function (`relu`, `gelu`, `sigmoid` …), softmax, a clamp or maximum that cuts off at exactly 0;
- what joins two tensors that both derive from the images, one of them a tap's own: `+` (residual), `*` (gate), `cat`;
- what a layer would compute: `linear`, `conv*`, norms, pooling, `interpolate`, products of matrices, attention.

Everything else stays untapped unless a module hands it on as its output: arithmetic with constants or parameters
(scaling, position tables, masks), views and permutations, `stack`, dropout, reductions, indexing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - as everybody names it
from torch import Tensor

Cuts = Callable[[tuple[Any, ...], Mapping[str, Any]], bool]
Bound = Callable[[tuple[Any, ...], Mapping[str, Any]], float | None]


@dataclass(frozen=True)
class Rule:
    """What a call of one function gives."""

    name: str  # its plain name: "relu" for F.relu, torch.relu_ and Tensor.relu
    kind: str  # "F.relu", "F.cat": so a report tells it from a module
    needs: int = 1  # how many of its operands must derive from the images
    channel: int | None = None  # the axis of its channels, where the function fixes it
    rectifies: Cuts | None = None  # whether this call cuts off at zero
    only_rectifier: bool = False  # any other call of it is no tap
    anywhere: bool = False  # an activation function: whatever its shape
    bound: Bound | None = None  # the greatest value a call can give, where an argument says it
    owned: bool = False  # computes with the weights of a layer, which may have a name of its own


def _always(_args: tuple[Any, ...], _given: Mapping[str, Any]) -> bool:
    return True


def _zero(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == 0


def _least_is_zero(place: int, name: str) -> Cuts:
    """Whether the lower bound, an argument of the call, is exactly 0."""

    def cuts(args: tuple[Any, ...], given: Mapping[str, Any]) -> bool:
        return _zero(given.get(name, args[place] if len(args) > place else None))

    return cuts


def _upper(place: int, name: str, usual: float | None = None) -> Bound:
    """The upper bound, an argument of the call: a number, or None."""

    def bound(args: tuple[Any, ...], given: Mapping[str, Any]) -> float | None:
        value = given.get(name, args[place] if len(args) > place else usual)
        return float(value) if isinstance(value, (int, float)) else None

    return bound


def _other_is_zero(args: tuple[Any, ...], given: Mapping[str, Any]) -> bool:
    """Whether one side of a maximum is zeros: a tensor on the host, because asking a device would wait for it."""
    sides = [*args[:2], *(given[name] for name in ("input", "other") if name in given)]
    with torch._C.DisableTorchFunction():  # noqa: SLF001 - our own question is no call of the network
        return all(isinstance(side, Tensor) for side in sides) and any(_zeros(side) for side in sides[1:])


def _zeros(side: Tensor) -> bool:
    if side.device.type != "cpu" or side.is_nested or not side.numel():
        return False
    return not side.flatten()[:1].any() and not side.any()


RECTIFIERS: dict[str, Cuts] = {
    "relu": _always,
    "relu6": _always,
    "threshold": _always,
    "hardtanh": _least_is_zero(1, "min_val"),
    "leaky_relu": _least_is_zero(1, "negative_slope"),
}
ACTIVATIONS = (
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
    ),
    *(
        "silu",
        "mish",
        "hardswish",
        "hardsigmoid",
        "sigmoid",
        "tanh",
        "softplus",
        "softsign",
        "logsigmoid",
        "glu",
    ),
    *("hardshrink", "softshrink", "tanhshrink"),
)
CLAMPS: dict[str, Cuts] = {
    "clamp": _least_is_zero(1, "min"),
    "clip": _least_is_zero(1, "min"),
    "clamp_min": _least_is_zero(1, "min"),
    "maximum": _other_is_zero,
    "max": _other_is_zero,
}
BOUNDS: dict[str, Bound] = {
    "hardtanh": _upper(2, "max_val", 1.0),
    "clamp": _upper(2, "max"),
    "clip": _upper(2, "max"),
}
JOINS = {"add": "add", "mul": "mul", "multiply": "mul", "cat": "cat", "concat": "cat", "concatenate": "cat"}
STACKS = ("hstack", "vstack", "dstack")  # unlike `stack` along an axis that is there
POOLS = tuple(
    f"{kind}{axes}d"
    for kind in (
        "max_pool",
        "avg_pool",
        "adaptive_max_pool",
        "adaptive_avg_pool",
        "lp_pool",
        "max_unpool",
        "fractional_max_pool",
    )
    for axes in (1, 2, 3)
)
CHANNELS_FIRST = (
    *(f"conv{transposed}{axes}d" for transposed in ("", "_transpose") for axes in (1, 2, 3)),
    *("batch_norm", "group_norm", "instance_norm"),
)
PLAIN = (  # what needs one operand of the images, and leaves the axis of the channels to be found
    *("softmax", "log_softmax", "softmin", "normalize", "matmul", "bmm", "mm", "baddbmm", "addmm", "einsum"),
    *("scaled_dot_product_attention", "multi_head_attention_forward", "bilinear"),
    *("gumbel_softmax", "local_response_norm", "tensordot", "inner", "addbmm"),
)
HEADS = -3  # of [N, heads, T, T] and [N, windows, heads, T, C]
ATTENTION = ("softmax", "matmul", "einsum", "scaled_dot_product_attention")
OWNED = ("linear", "layer_norm", "rms_norm", "batch_norm", "group_norm", "instance_norm")
ROOMS: tuple[Any, ...] = (F, torch, Tensor, torch.special, torch.linalg)


def _rules() -> dict[Any, Rule]:
    """Every spelling of every function above (F.relu, torch.relu_, Tensor.relu …) with its rule."""
    found: dict[Any, Rule] = {}

    def enter(names: Iterable[str], plain: str, **how: Any) -> None:
        for name in names:
            for place in ROOMS:
                for spelling in (name, f"{name}_"):
                    function = getattr(place, spelling, None)
                    if callable(function):
                        found[function] = Rule(plain, f"F.{plain}", **how)

    for name in ACTIVATIONS:
        enter([name], name, rectifies=RECTIFIERS.get(name), bound=BOUNDS.get(name), anywhere=True)
    enter(["expit"], "sigmoid", anywhere=True)
    for name, cuts in CLAMPS.items():
        enter([name], name, rectifies=cuts, bound=BOUNDS.get(name), only_rectifier=True)
    for name, plain in JOINS.items():
        enter([name], plain, needs=2)
    enter(STACKS, "cat", needs=2)
    for name in (*POOLS, "interpolate", "grid_sample"):
        enter([name, f"{name}_with_indices"], name, channel=1)
    for name in CHANNELS_FIRST:
        enter([name], name, channel=1, owned=name.startswith("conv") or name in OWNED)
    for name in ("linear", "layer_norm", "rms_norm"):
        enter([name], name, channel=-1, owned=True)
    for name in PLAIN:
        enter([name], name, channel=HEADS if name in ATTENTION else None)
    return found


RULES = _rules()
WRITING = {"__iadd__", "__isub__", "__imul__", "__itruediv__", "__ipow__", "__setitem__"}
# they take a tensor for its type and shape alone
MAKERS = {
    getattr(room, name)
    for room in (torch, Tensor)
    for name in (
        *("zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like", "randint_like"),
        *("new_zeros", "new_ones", "new_full", "new_empty", "new_tensor"),
    )
    if hasattr(room, name)
}
_writers: dict[Any, bool] = {}


def writes(function: Any, given: Mapping[str, Any]) -> bool:
    """Whether a call may change its first argument, or its `out`, in place."""
    if given and (given.get("out") is not None or given.get("inplace")):
        return True
    known = _writers.get(function)
    if known is None:
        name = getattr(function, "__name__", "")
        known = _writers[function] = name in WRITING or (name.endswith("_") and not name.endswith("__"))
    return known


def written_by_position(rule: Rule | None, args: tuple[Any, ...]) -> bool:
    """Whether `inplace` may have been given by position: F.relu(x, True)."""
    return rule is not None and rule.anywhere and any(arg is True for arg in args[1:])
