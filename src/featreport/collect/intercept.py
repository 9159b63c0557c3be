"""Torch functions seen as a network calls them, and what that says of the tensors they give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

from featreport.collect.flow import given_tensors
from featreport.collect.functions import MAKERS, RULES, Rule, writes, written_by_position

if TYPE_CHECKING:
    from featreport.collect.taps import Call, Taps


class Functions(TorchFunctionMode):
    """Sees torch functions as they are called. What a function calls inside is not seen."""

    def __init__(self, taps: Taps, before: Callable[[], None] = lambda: None) -> None:
        """Show `taps` what is called, after `before` was called."""
        super().__init__()
        self._taps, self._before = taps, before

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        taps = self._taps
        site = taps.running()
        if site is None or site.silent:
            return func(*args, **given)
        self._before()
        rule, flow = RULES.get(func), taps.flow
        writing = writes(func, given) or written_by_position(rule, args)
        if site.opaque and not writing:
            return func(*args, **given)
        if writing:
            taps.settle()
        call = None
        if rule is not None and not (site.quiet or site.picker):
            call = self._tap(rule, args, given)
        output = func(*args, **given)
        several = isinstance(output, (tuple, list)) and output and isinstance(output[0], Tensor)
        if several or writing or isinstance(output, Tensor):
            derived = func not in MAKERS and any(tensor in flow for tensor in given_tensors(args, given))
            if writing:
                out = given.get("out")
                for tensor in given_tensors((*args[:1], given.get("input")) if out is None else (out,)):
                    taps.passed.written(tensor)
                    if derived:
                        flow.filled(tensor)
            flow.note(output, derived=derived)
            if rule is not None and call is not None and (rule.anywhere or several or flow.step(output)):
                taps.gave(call, output)
        return output

    def _tap(self, rule: Rule, args: tuple[Any, ...], given: Mapping[str, Any]) -> Call | None:
        """Decide before the call whether it gives a tap: afterwards its operands may be overwritten."""
        taps = self._taps
        if rule.only_rectifier and not (rule.rectifies and rule.rectifies(args, given)):
            return None
        operands = list(given_tensors(args, given))
        count = taps.flow.count(operands)
        if count < rule.needs or (rule.needs > 1 and not any(tensor in taps.passed for tensor in operands)):
            return None
        return taps.function(rule, args, given, taps.fed(operands) if taps.tracing else ())
