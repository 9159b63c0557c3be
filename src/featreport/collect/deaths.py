"""Why a channel is dead: proved from the weights where they prove it, else only silent on these images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd
from torchvision.ops.misc import FrozenBatchNorm2d

from featreport.collect.kinds import dense
from featreport.collect.sites import ROOT
from featreport.results.schema import Activation, Death

Key = tuple[str, int, str | None]  # layer, call, output
Producers = Mapping[Key, Key | None]
Array = NDArray[np.float64]

# What a proof may lead through is what torch's own code computes: a class derived from these may compute anything.
PASSING = {nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout}  # in eval mode
RECTIFYING = {nn.ReLU, nn.ReLU6}
RECTIFYING_FUNCTIONS = {"F.relu", "F.relu6"}
WEIGHTED = {
    *(nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
}
NORMS = {nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm, FrozenBatchNorm2d}
STILL = 1e-6  # |γ| at most this scales any usual input away
FAR = 100.0  # standard deviations: usual inputs do not reach further
SILENT = 1.0  # of eps: a running variance up to it counts for nothing beside eps
MOST_STEPS = 8


@dataclass
class _Chain:
    """What computes one channel of a tap, from the tap backwards: rectifiers and dropouts, a norm, a weight."""

    rectified: bool = False
    norm: tuple[str, nn.Module] | None = None
    weight: tuple[str, nn.Module] | None = None


@dataclass(frozen=True)
class _Norm:
    """A batch norm's numbers per channel, on the host."""

    scale: Array
    shift: Array
    mean: Array
    variance: Array
    eps: float


@dataclass
class Proofs:
    """Looks up what the weights prove of the dead channels of a run; each module is read once."""

    model: nn.Module
    producers: Producers
    kinds: Mapping[Key, str]
    borrowed: Set[str]
    dead: float
    _modules: dict[str, nn.Module] = field(init=False)
    _filters: dict[str, tuple[Array, Array] | None] = field(default_factory=dict)
    _norms: dict[str, _Norm | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Look up the modules by name."""
        self._modules = {name or ROOT: module for name, module in self.model.named_modules()}

    def explain(self, tap: Activation) -> Activation:
        """Return the tap with the cause of each of its dead channels."""
        if not tap.dead:
            return tap
        chain = self._chain(_key(tap), last=tap.channel_axis == len(tap.shape) - 1)
        causes = [self._cause(chain, channel, tap.channels) for channel in tap.dead]
        return tap.model_copy(
            update={
                "deaths": [
                    Death(channel=channel, cause=cause, proved=proved, at=at)
                    for channel, (cause, at, proved) in zip(tap.dead, causes, strict=True)
                ]
            }
        )

    def _chain(self, key: Key, *, last: bool) -> _Chain:
        """Return what computes a tap's channels, which lie along its last axis or before it."""
        chain = _Chain()
        place: Key | None = key
        for _ in range(MOST_STEPS):
            if place is None:
                break
            module = self._modules.get(place[0])
            kind = None if module is None or place[0] in self.borrowed or not _plain(module) else type(module)
            if module is not None and kind in WEIGHTED:
                # a batch norm of tokens has other channels than the layer before it
                if last or kind is not nn.Linear:
                    chain.weight = (place[0], module)
                break
            if module is not None and kind in NORMS and chain.norm is None:
                chain.norm = (place[0], module)
            elif chain.norm is None and (kind in RECTIFYING or self._function(place, module)):
                chain.rectified = True
            elif kind not in PASSING:
                break
            place = self.producers.get(place)
        return chain

    def _function(self, place: Key, module: nn.Module | None) -> bool:
        """Whether a tap is what F.relu gave, called by a module that runs others or hands on something else."""
        return module is None and self.kinds.get(place) in RECTIFYING_FUNCTIONS

    def _cause(self, chain: _Chain, channel: int, channels: int) -> tuple[str, str | None, bool]:
        """Return the cause, the module whose numbers show it, and whether they prove it for every input."""
        for proof in (self._zero_filter, self._norm):
            found = proof(chain, channel, channels)
            if found is not None:
                return found
        return "never above the threshold on these images", None, False

    def _numbers_of(self, name: str, module: nn.Module) -> _Norm | None:
        if name not in self._norms:
            self._norms[name] = _norm_numbers(module)
        return self._norms[name]

    def _quiet(self, value: float, chain: _Chain) -> bool:
        """Whether a channel that always has this value is dead."""
        return (value <= self.dead) if chain.rectified else (abs(value) <= self.dead)

    def _zero_filter(self, chain: _Chain, channel: int, channels: int) -> tuple[str, str, bool] | None:
        if chain.weight is None:
            return None
        name, module = chain.weight
        if name not in self._filters:
            self._filters[name] = _peaks(module)
        found = self._filters[name]
        if found is None or found[0].size != channels or found[0][channel] != 0:
            return None
        value = float(found[1][channel])
        if chain.norm is not None:
            norm = self._numbers_of(*chain.norm)
            if norm is None or norm.scale.size != channels:
                return None
            spread = np.sqrt(norm.variance[channel] + norm.eps)
            value = norm.scale[channel] * (value - norm.mean[channel]) / spread + norm.shift[channel]
        return ("zero filter", name, True) if self._quiet(value, chain) else None

    def _norm(self, chain: _Chain, channel: int, channels: int) -> tuple[str, str, bool] | None:
        if chain.norm is None:
            return None
        norm = self._numbers_of(*chain.norm)
        if norm is None or norm.scale.size != channels:
            return None
        scale, shift = abs(float(norm.scale[channel])), float(norm.shift[channel])
        if self._quiet(shift, chain) and (scale <= STILL or (chain.rectified and FAR * scale <= -shift)):
            return "batch norm scale", chain.norm[0], scale == 0
        if norm.variance[channel] <= SILENT * norm.eps:
            return "batch norm variance", chain.norm[0], False  # a still input, in training
        return None


def _key(tap: Activation) -> Key:
    return tap.layer, tap.call, tap.output


def _plain(module: nn.Module) -> bool:
    """Whether what a module gives is what its class computes in eval mode: nobody hooked it or replaced its forward."""
    hooks = (module._forward_hooks, module._forward_pre_hooks)  # noqa: SLF001 - ours are off by now
    return not any(hooks) and "forward" not in module.__dict__ and not module.training


def _norm_numbers(module: nn.Module) -> _Norm | None:
    tensors = [getattr(module, name, None) for name in ("weight", "bias", "running_mean", "running_var")]
    arrays = [_host(tensor) for tensor in tensors if isinstance(tensor, Tensor)]
    if len(arrays) != len(tensors):
        return None
    scale, shift, mean, variance = arrays
    return _Norm(scale, shift, mean, variance, float(getattr(module, "eps", 1e-5)))


def _peaks(module: nn.Module) -> tuple[Array, Array] | None:
    """Return max |w| of each output channel, and its bias."""
    weight = module.weight
    if not isinstance(weight, Tensor):
        return None
    weight = dense(weight.detach())
    if isinstance(module, _ConvTransposeNd):  # [in, out / groups, …]
        grouped = torch.unflatten(weight, 0, (module.groups, weight.shape[0] // module.groups))
        weight = grouped.transpose(1, 2).flatten(0, 1)
    peaks = np.zeros(len(weight))
    if weight.numel():  # the infinity norm copies nothing, as |w| would
        peaks = _host(torch.linalg.vector_norm(weight.reshape(weight.shape[0], -1), float("inf"), dim=1))
    bias = getattr(module, "bias", None)
    return peaks, _host(bias) if isinstance(bias, Tensor) else np.zeros_like(peaks)


def _host(tensor: Tensor) -> Array:
    array: Array = tensor.detach().to("cpu", torch.float64).numpy()
    return array


def explain_deaths(
    model: nn.Module,
    taps: Sequence[Activation],
    producers: Producers,
    dead: float,
    borrowed: Set[str] = frozenset(),
) -> list[Activation]:
    """Return every tap with the causes of its dead channels.

    Args:
        model: whose weights are asked.
        taps: what was measured.
        producers: which tap gave each tap's input, where it was one alone.
        dead: the threshold of death.
        borrowed: layers whose weights another module computed with: nothing is proved of what bears their names.
    """
    proofs = Proofs(model, producers, {_key(tap): tap.module for tap in taps}, borrowed, dead)
    return [proofs.explain(tap) for tap in taps]
