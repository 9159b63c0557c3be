"""Which modules cut off at zero, and which activation functions end at a greatest value."""

from __future__ import annotations

from torch import nn
from torch.nn.utils import parametrize

RECTIFIERS = (nn.ReLU, nn.ReLU6, nn.Threshold)
UPPER_BOUNDS = {"relu6": 6.0, "hardsigmoid": 1.0, "sigmoid": 1.0, "tanh": 1.0, "softsign": 1.0}


def is_rectifier(module: nn.Module) -> bool:
    """Whether a module cuts off at zero from below: ReLU and its kin, and a hard tanh from 0."""
    if isinstance(module, nn.LeakyReLU):
        return module.negative_slope == 0
    return isinstance(module, RECTIFIERS) or (isinstance(module, nn.Hardtanh) and module.min_val == 0)


def upper_bound(module: nn.Module | None, kind: str) -> float | None:
    """Return the greatest value an activation function can give, by module or by function name; None without one."""
    if isinstance(module, nn.Hardtanh):  # ReLU6 is one
        return float(module.max_val)
    return UPPER_BOUNDS.get(kind.removeprefix("F.").removeprefix("torch.").lower())


class Kinds:
    """What each module of a network is, found out once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[str, bool, float | None]] = {}

    def of(self, module: nn.Module) -> tuple[str, bool, float | None]:
        """Return the name of a module's class before parametrizations, whether it rectifies, and its bound."""
        known = self._known.get(id(module))
        if known is None:
            kind: str = parametrize.type_before_parametrizations(module).__name__
            known = self._known[id(module)] = kind, is_rectifier(module), upper_bound(module, kind)
        return known
