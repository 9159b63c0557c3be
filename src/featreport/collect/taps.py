"""Taps: every point of a forward pass where an activation can be measured, by (layer, call, output)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from featreport.collect.flow import Flow, given_tensors
from featreport.collect.functions import Rule
from featreport.collect.intercept import Functions
from featreport.collect.outputs import tensors_of, unfit
from featreport.collect.passed import Fed, Key, Passed, form_of, same_elements
from featreport.collect.rectifiers import Kinds, upper_bound
from featreport.collect.sites import ROOT, Site, owners, sites

OUT_PROJ = (
    "nn.MultiheadAttention reads its packed parameters (weight and bias) without calling it: "
    "what it gives is output 0 of {}"
)
IN_PROJ = (
    "queries, keys and values are computed inside F.multi_head_attention_forward from packed parameters and "
    "never leave it"
)
WEIGHTS = (
    "the attention weights never exist as a tensor: scaled_dot_product_attention computes with them at once"
)
PICKED = "boxes, scores, anchors or inputs, picked or resized image by image: no activation"


@dataclass(frozen=True)
class Tap:
    """A place in the forward pass: what a module gave, or a function called in a module's `forward()`."""

    layer: str
    call: int
    output: str | None
    kind: str  # the module's class, or "F.relu"
    rectifier: bool
    batch: int | None = None  # the axis of the images in [T, N, C] or [N, T, C], where it is declared around
    channel: int | None = None  # the axis of the channels, where a function fixes it
    same_as: Key | None = None  # this very tensor, in this shape, was observed before as that tap
    upper: float | None = None  # the greatest value its activation function can give, where it has one
    fed: tuple[
        Fed | None, ...
    ] = ()  # in the first pass: what it was computed from; None for what no tap gave
    turned: Fed | None = None  # this very tensor, its axes in another order, was observed before

    @property
    def key(self) -> Key:
        """What tells taps apart."""
        return (self.layer, self.call, self.output)


Observer = Callable[[Tap, nn.Module | None, Tensor], None]


@dataclass(frozen=True)
class Call:
    """What gave an output, and what it was computed from."""

    layer: str
    kind: str
    rectifier: bool
    module: nn.Module | None
    fed: tuple[Fed | None, ...]
    frame: _Frame
    channel: int | None = None
    upper: float | None = None
    joins: bool = False  # it joins several tensors

    @property
    def source(self) -> Key | None:
        """The one tap it was computed from, as that gave its tensor; None for none, several or one turned around."""
        keys = {None if one is None or not one.unturned else one.key for one in self.fed}
        return keys.pop() if len(keys) == 1 and not self.joins else None


@dataclass
class _Frame:
    """A module that is running now."""

    site: Site
    fed: tuple[Fed | None, ...] = ()
    shown: set[Key] = field(default_factory=set)  # what its functions gave
    derived: bool = False  # it was given something of the images
    ran_children: bool = False
    waiting: tuple[Call, Tensor] | None = (
        None  # the latest functional tensor: perhaps what the module hands on
    )

    def batch(self, output: str | None) -> int | None:
        """Which axis of an output with three axes holds the images, where that is declared."""
        if isinstance(self.site.module, nn.RNNBase) and output != "0":  # the last states: [layers, N, C]
            return 1
        if isinstance(self.site.module, nn.MultiheadAttention) and output == "1":  # the attention: [N, T, T]
            return 0
        return None if self.site.batch_first is None else int(not self.site.batch_first)


@dataclass
class Taps:
    """Watches a model's forward passes and shows every tap to `observe`, before the next op can overwrite it.

    A module is tapped when it runs no other module, when it gives a tensor that no tap before it gave (a layer with
    modules inside), and when `include` asks for it (see `asked_blocks`). A block that hands on its last child's output
    is otherwise no tap. Functions called in `forward()` (see `functions`) are taps of the module that calls them:
    `layer.relu`, `layer.add`, or `layer.relu()` where a module has that name. One tensor is one tap: what a module
    without modules inside hands on bears the module's name, not the function's; what a layer's weight was used for
    without calling the layer (`F.linear(x, self.proj.weight)`) bears that layer's name.

    Calls count from 0 in every pass, by name: a layer called three times for one batch and twice for the next has
    calls 0 and 1 over both, call 2 over the first. Inside the hooks nothing waits for the device.
    """

    model: nn.Module
    observe: Observer
    include: tuple[str, ...] = ()
    called: set[str] = field(default_factory=set)
    skipped: dict[str, str] = field(default_factory=dict)
    # filled by the first pass: the tap whose output a tap was computed from; None: none, or more than one
    producers: dict[Key, Key | None] = field(default_factory=dict)
    borrowed: set[str] = field(default_factory=set)  # layers whose weights another module computed with
    passed: Passed = field(default_factory=Passed)
    _frames: list[_Frame] = field(default_factory=list)
    _calls: dict[str, int] = field(default_factory=dict)
    _passes: int = 0

    def __post_init__(self) -> None:
        self.flow = Flow(self.model)
        self._owners: dict[int, Site] = {}
        self._kinds = Kinds()

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Hooks on, the transformer fast path off; both restored whatever happens."""
        every = list(sites(self.model, self.include))
        self._owners = owners(every)
        fast = torch.backends.mha.get_fastpath_enabled()
        handles = []
        try:
            for site in every:
                entering = self._entering(site)
                handles.append(site.module.register_forward_pre_hook(entering, with_kwargs=True))
                handles.append(site.module.register_forward_hook(self._leaving))
            torch.backends.mha.set_fastpath_enabled(False)
            yield
            self._name_uncalled(every)
        finally:
            torch.backends.mha.set_fastpath_enabled(fast)
            for handle in handles:
                handle.remove()
            self._frames.clear()

    @contextmanager
    def one_pass(self, before: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Around each forward pass: calls count from 0 again, functions are seen; `before` each, that is called."""
        self._calls.clear()
        self._frames.clear()
        self.passed.clear()
        self.flow.begin()
        self._passes += 1
        with Functions(self, before):
            yield

    @property
    def tracing(self) -> bool:
        """Whether this pass says what was computed from what: the first does."""
        return self._passes <= 1

    def running(self) -> Site | None:
        """Return the module that is running now."""
        return self._frames[-1].site if self._frames else None

    def _name_uncalled(self, every: Iterable[Site]) -> None:
        """A layer with computed weights that never ran is listed itself; what computes them is not missed."""
        for site in every:
            if parametrize.is_parametrized(site.module) and site.name not in self.called:
                self.skipped[site.name] = "never called in the forward pass"
            if site.silent:
                self.called.add(site.name)

    def _entering(self, site: Site) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, args: tuple[Any, ...], given: dict[str, Any]) -> None:
            self.called.add(site.name)
            frame = _Frame(site)
            if site.silent:
                self._frames.append(frame)
                return
            with torch._C.DisableTorchFunction():  # noqa: SLF001 - what we ask of tensors is no call of the network
                tensors = list(given_tensors(args, given))
                if self._frames:
                    self.settle()
                    self._frames[-1].ran_children = True
                    weights = module.parameters() if site.opaque else ()  # may be made of the images
                    frame.derived = any(tensor in self.flow for tensor in chain(tensors, weights))
                else:
                    frame.derived = True
                    self._begin(args, given)
                if self.tracing and (site.leaf or site.quiet):
                    frame.fed = self.fed(tensors)
            self._frames.append(frame)

        return hook

    def _begin(self, args: tuple[Any, ...], given: dict[str, Any]) -> None:
        """The network itself was called: everything it was given is of the images."""
        first = next((value for value in (*args, *given.values()) if value is not None), None)
        for _, tensor in tensors_of([args, given]):
            self.flow.note(tensor, derived=True)
        if isinstance(first, (list, tuple)):
            self.flow.images = len(first)
        else:
            batch = next((tensor for _, tensor in tensors_of(first)), None)
            self.flow.images = batch.shape[0] if batch is not None and batch.ndim else 0

    def fed(self, tensors: Iterable[Tensor]) -> tuple[Fed | None, ...]:
        """Return where those of some tensors came from that derive from the images."""
        return tuple(self.passed.fed(tensor) for tensor in tensors if tensor in self.flow)

    def _leaving(self, module: nn.Module, _args: Any, output: object) -> None:
        if not self._frames:
            return
        frame = self._frames.pop()
        while frame.site.module is not module:  # an exception that the model itself caught skipped some exits
            frame = self._frames.pop()
        if frame.site.silent:
            return
        with torch._C.DisableTorchFunction():  # noqa: SLF001 - as in the hook above
            outputs = list(tensors_of(output))
            if frame.derived or frame.site.opaque:
                for _, tensor in outputs:
                    self.flow.note_unseen(tensor, derived=frame.derived)
            self._left(frame, module, output, outputs)

    def _left(
        self, frame: _Frame, module: nn.Module, output: object, outputs: list[tuple[str | None, Tensor]]
    ) -> None:
        site, handed = frame.site, None
        if frame.waiting is not None and any(same_elements(t, frame.waiting[1]) for _, t in outputs):
            handed, frame.waiting = frame.waiting, None
        self.settle(frame)
        if site.picker and not site.asked:
            self.skipped[site.name] = PICKED
            return
        kind, rectifier, upper = self._kinds.of(module)
        self._show(Call(site.name, kind, rectifier, module, frame.fed, frame, upper=upper), outputs, handed)
        if not outputs and not (frame.ran_children and output is None):
            self.skipped[site.name] = "its output holds no tensor"
        if site.quiet and isinstance(module, nn.MultiheadAttention):
            self.skipped[f"{site.name}.in_proj"] = IN_PROJ
            self.skipped[f"{site.name}.out_proj"] = OUT_PROJ.format(site.name)
            if not any(name == "1" for name, _ in outputs):
                self.skipped[f"{site.name}.scaled_dot_product_attention output weights"] = WEIGHTS

    def settle(self, frame: _Frame | None = None) -> None:
        """Show the functional tensor that waits in a frame: it was not what its module hands on."""
        frame = frame or self._frames[-1]
        if frame.waiting is not None:
            call, tensor = frame.waiting
            frame.waiting = None
            self._show(call, [(None, tensor)])

    def function(
        self, rule: Rule, args: tuple[Any, ...], given: Mapping[str, Any], fed: tuple[Fed | None, ...]
    ) -> Call:
        """Say under which name the output of a function of the running module is a tap."""
        frame = self._frames[-1]
        rectifier = rule.rectifies is not None and rule.rectifies(args, given)
        joins = rule.needs > 1
        if rule.owned and (owner := self._owner(args, given)) is not None and owner is not frame.site:
            self.called.add(owner.name)
            self.borrowed.add(owner.name)
            return Call(owner.name, type(owner.module).__name__, rectifier, owner.module, fed, frame)
        taken = frame.site.module._modules.get(rule.name) is not None  # noqa: SLF001 - a module of that name
        place = f"{rule.name}()" if taken else rule.name
        layer = place if frame.site.name == ROOT else f"{frame.site.name}.{place}"
        upper = upper_bound(None, rule.kind) if rule.bound is None else rule.bound(args, given)
        return Call(layer, rule.kind, rectifier, None, fed, frame, rule.channel, upper, joins)

    def _owner(self, args: tuple[Any, ...], given: Mapping[str, Any]) -> Site | None:
        for value in (*args[1:], *given.values()):
            if isinstance(value, Tensor) and (site := self._owners.get(id(value))) is not None:
                return site
        return None

    def gave(self, call: Call, output: object) -> None:
        """Take a function's output: at once, or when it is known whether its module hands it on."""
        frame = call.frame
        if call.module is None and frame.site.leaf and isinstance(output, Tensor):
            self.settle(frame)
            frame.waiting = (call, output)
            return
        floating = [(name, tensor) for name, tensor in tensors_of(output) if unfit(tensor) is None]
        self._show(call, floating)
        if call.kind == "F.scaled_dot_product_attention":
            self.skipped[f"{call.layer} output weights"] = WEIGHTS

    def _show(
        self,
        call: Call,
        outputs: Sequence[tuple[str | None, Tensor]],
        handed: tuple[Call, Tensor] | None = None,
    ) -> None:
        """Show outputs; `handed` is the one that a function in the module gave last, and its call."""
        count = self._calls.get(call.layer, 0)
        self._calls[call.layer] = count + 1
        site = call.frame.site
        own = call.module is site.module  # what a module hands on, not what a function in it gives
        identity = own and site.identity
        for name, tensor in outputs:
            before = self.passed.given(tensor) if own else None
            view = self.passed.fed(tensor) if before is not None else None
            if site.leaf and not identity and before is not None and before.key not in call.frame.shown:
                before = None  # a layer's outputs are its own, also where it hands on what it was given
            if before is not None and not (identity or site.asked):
                continue
            key = (call.layer, count, name)
            if not own:
                call.frame.shown.add(key)
            if before is None:
                self.passed.add(tensor, key)
            place = call.layer if name is None else f"{call.layer} output {name}"
            if tensor.numel() == 0:
                self.skipped.setdefault(place, "its output was empty")
            elif (why := unfit(tensor)) is not None:
                self.skipped[place] = why
            else:
                if self.tracing:
                    self.producers[key] = call.source
                same = None
                if before is not None and before.form is not None and before.form == form_of(tensor):
                    same = before.key
                last = handed[0] if handed is not None and same_elements(tensor, handed[1]) else call
                rectifier, upper = (
                    call.rectifier or last.rectifier,
                    call.upper if last.upper is None else last.upper,
                )
                tap = Tap(
                    *(call.layer, count, name, call.kind, rectifier, call.frame.batch(name), call.channel),
                    *(same, upper, call.fed, view if view is not None and view.turned else None),
                )
                self.observe(tap, call.module, tensor)
