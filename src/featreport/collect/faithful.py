"""The proof that measuring changed nothing: same output, same state, no hook left; and what was switched off for it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from featreport import memory
from featreport.collect.digest import StateDigest
from featreport.collect.outputs import tensors_of
from featreport.results.schema import Faithfulness

FAST = (nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerEncoder)


@dataclass
class Proof:
    """Looks at a network before, at its first batch, and after.

    The plain forward runs without a hook and without seeing functions, with the same random numbers and the same fast
    paths off (they are other arithmetic, not other hooks), on a copy of the first batch: networks may write into it.
    """

    model: nn.Module
    device: torch.device
    output_identical: bool | None = None  # None: not compared, or the network does not repeat itself
    repeats: bool | None = None  # whether two plain forwards agree; asked only where the hooked one differs
    differs: list[str] = field(default_factory=list)  # outputs that were not the same
    compared: int = 0
    _plain: list[tuple[str | None, Tensor]] = field(default_factory=list)
    _inputs: Tensor | None = None
    _numbers: Any = None

    def __post_init__(self) -> None:
        self._hooks = _hooks(self.model)
        self._training = [(module, module.training) for module in self.model.modules()]
        self._state = StateDigest(self.model)

    def plain(self, forward: Callable[[Tensor], object], inputs: Tensor) -> None:
        """Run the first batch as nobody watches; afterwards the random numbers stand where they stood."""
        self._numbers = _random_state(self.device)
        self._plain = self._unwatched(forward, inputs)
        self._inputs = memory.copy(inputs)  # the watched forward may write into its own
        self.compared = len(inputs)

    def compare(self, output: object) -> None:
        """Compare what the watched forward gave with what the plain one did."""
        found = list(tensors_of(output))
        if found or self._plain:
            self.differs = differing(self._plain, found)
            self.output_identical = not self.differs
        if not self.differs:
            self._plain, self._inputs = [], None

    def _unwatched(
        self, forward: Callable[[Tensor], object], inputs: Tensor
    ) -> list[tuple[str | None, Tensor]]:
        fast = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            return list(tensors_of(forward(inputs.clone())))
        finally:
            torch.backends.mha.set_fastpath_enabled(fast)
            _set_random_state(self.device, self._numbers)

    def value(self, forward: Callable[[Tensor], object]) -> Faithfulness:
        """Return what was proved, once no hook is on; training flags that the network changed are set back.

        Only where the watched output differed is the plain forward repeated: does it agree with itself?
        """
        if self.differs and self._inputs is not None:
            self.repeats = not differing(self._plain, self._unwatched(forward, self._inputs))
            if not self.repeats:
                self.output_identical = None
            self._plain, self._inputs = [], None
        flags = [module for module, training in self._training if module.training != training]
        for module, training in self._training:
            module.training = training
        changed = StateDigest(self.model).changed(self._state)
        return Faithfulness(
            output_identical=self.output_identical,
            repeats=self.repeats,
            differs=self.differs,
            state_unchanged=not changed,
            changed=changed,
            hooks_left=_hooks(self.model) - self._hooks,
            flags_changed=len(flags),
            switched_off=switched_off(self.model),
            compared_images=self.compared,
        )


def differing(first: list[tuple[str | None, Tensor]], second: list[tuple[str | None, Tensor]]) -> list[str]:
    """Return the outputs that are not the same bit for bit, NaN equal to NaN, and those only one side has."""
    mine, other = dict(first), dict(second)
    return [
        "output" if name is None else name
        for name in {**mine, **other}
        if name not in mine or name not in other or not _same(mine[name], other[name])
    ]


def _same(a: Tensor, b: Tensor) -> bool:
    if a.dtype != b.dtype or a.layout != b.layout or a.device != b.device or a.is_nested != b.is_nested:
        return False
    if a.is_nested:
        parts = list(zip(a.unbind(), b.unbind(), strict=False))
        return a.size(0) == b.size(0) and all(_same(x, y) for x, y in parts)
    if a.shape != b.shape:
        return False
    if a.layout != torch.strided:
        a, b = a.to_dense(), b.to_dense()
    if a.is_quantized:
        a, b = a.int_repr(), b.int_repr()
    if torch.equal(a, b):
        return True
    return (a.is_floating_point() or a.is_complex()) and bool(((a == b) | (a.isnan() & b.isnan())).all())


def switched_off(model: nn.Module) -> list[str]:
    """Name the fast paths that this network has and that are off while it is measured."""
    found = []
    modules = list(model.modules())
    if any(isinstance(module, FAST) for module in modules):
        found.append("transformer fast path")
    compiled = (getattr(module, "_compiled_call_impl", None) is not None for module in modules)
    if any(compiled) or any(type(module).__name__ == "OptimizedModule" for module in modules):
        found.append("torch.compile")
    return found


def _hooks(model: nn.Module) -> int:
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return sum(len(getattr(module, kind)) for module in model.modules() for kind in kinds)


def _random_state(device: torch.device) -> Any:
    there = None if device.type == "cpu" else torch.get_device_module(device).get_rng_state(device)
    return torch.get_rng_state(), there, random.getstate(), np.random.get_state()  # noqa: NPY002 - the network's


def _set_random_state(device: torch.device, state: Any) -> None:
    here, there, python, numpy = state
    torch.set_rng_state(here)
    if there is not None:
        torch.get_device_module(device).set_rng_state(there, device)
    random.setstate(python)
    np.random.set_state(numpy)  # noqa: NPY002 - the network's
