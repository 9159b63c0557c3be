"""What is known of a network's modules before it runs: who computes what, and whose own outputs are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils import parametrize

ROOT = "(model)"
# while evaluating, these give the very tensor they were given
IDENTITIES = (nn.Identity, nn.modules.dropout._DropoutNd)  # noqa: SLF001
DROPPING = {"StochasticDepth", "DropPath"}  # of torchvision and timm
OWNERS = (nn.Linear, _ConvNd, _NormBase, nn.LayerNorm, nn.GroupNorm)
PICKING = "torchvision.models.detection."
# what these give is resized, matched or picked image by image: inputs, anchors, boxes, scores
PICKERS = {
    *(
        "GeneralizedRCNNTransform",
        "AnchorGenerator",
        "DefaultBoxGenerator",
        "RegionProposalNetwork",
        "RoIHeads",
    ),
    *("GeneralizedRCNN", "FasterRCNN", "MaskRCNN", "KeypointRCNN", "RetinaNet", "FCOS", "SSD"),
}


@dataclass(frozen=True)
class Site:
    """A module of the network, under its first name."""

    name: str
    module: nn.Module
    batch_first: bool | None
    silent: bool  # it computes a weight, not an activation
    quiet: bool  # one of torch's own layers: the functions it calls are its way of computing
    leaf: bool  # no module inside: what it gives has its name
    picker: bool  # it picks boxes, and its functions are no steps of the network
    identity: bool  # it hands on what it was given, unless it trains
    asked: bool  # its own output is a tap although one inside gave the same tensor

    @property
    def opaque(self) -> bool:
        """Whether its functions are not looked at: what it gives derives from the images if inputs or weights do."""
        return self.quiet and self.leaf


def sites(model: nn.Module, include: Sequence[str] = ()) -> Iterator[Site]:
    """Yield every module that can be watched once, those around before those inside."""
    silent = computing_weights(model)
    asked = asked_blocks([name for name, _ in model.named_modules()], include)
    order: dict[str, bool | None] = {}
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            continue
        own = declared_batch_first(module)
        order[name] = order.get(name.rpartition(".")[0]) if own is None else own
        kind: type = parametrize.type_before_parametrizations(module)
        yield Site(
            name=name or ROOT,
            module=module,
            batch_first=order[name],
            silent=id(module) in silent,
            quiet=_is_torchs(module, kind),
            leaf=bool(name) and not has_children(module),
            picker=kind.__name__ in PICKERS and kind.__module__.startswith(PICKING),
            identity=isinstance(module, IDENTITIES) or kind.__name__ in DROPPING,
            asked=(name or ROOT) in asked,
        )


def has_children(module: nn.Module) -> bool:
    """Whether a module has modules inside, other than those that compute its weights."""
    return any(name != "parametrizations" for name, _ in module.named_children())


def _is_torchs(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a layer computes by torch's own code. Its transformer blocks add and activate like anybody's."""
    if "forward" in vars(module):
        return False
    home = getattr(kind.forward, "__module__", "") or ""
    return home.startswith(("torch.nn.", "torch.ao.")) and home != "torch.nn.modules.transformer"


def asked_blocks(names: Iterable[str], include: Sequence[str]) -> set[str]:
    """Return the modules whose own output a glob of `layers.include` asks for.

    A glob asks for a block's output where it matches the block and nothing inside it: `layer1.0`, `layer?.?`,
    `*Block`; `layer1*` and `features.*` also match what is inside, and choose among the taps that are there anyway.
    """
    names = list(names)
    asked: set[str] = set()
    for glob in include:
        matching = {name for name in names if name and fnmatchcase(name, glob)}
        around = {part for name in matching for part in _around(name)}
        asked |= matching - around
        if fnmatchcase(ROOT, glob) and not matching:
            asked.add(ROOT)
    return asked


def _around(name: str) -> Iterator[str]:
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def declared_batch_first(module: nn.Module) -> bool | None:
    """Return what a torch module says of the order of its tokens, or None."""
    if isinstance(module, (nn.TransformerEncoder, nn.TransformerDecoder)) and len(module.layers):
        module = module.layers[0]
    if isinstance(module, (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)):
        module = module.self_attn
    if isinstance(module, (nn.MultiheadAttention, nn.RNNBase, nn.Transformer)):
        return bool(module.batch_first)
    return None


def computing_weights(model: nn.Module) -> set[int]:
    """Return the modules that compute parameters (weight norm, spectral norm): what they give is no activation."""
    found: set[int] = set()
    for module in model.modules():
        if parametrize.is_parametrized(module):
            found |= {id(inner) for inner in module.parametrizations.modules()}  # type: ignore[union-attr]  # it is parametrized
    return found


def owners(every: Iterable[Site]) -> dict[int, Site]:
    """Return whose weight a parameter is: a layer may be used without being called, `F.linear(x, layer.weight)`."""
    found: dict[int, Site] = {}
    for site in every:
        weight = site.module._parameters.get("weight")  # noqa: SLF001 - a parametrized weight would be computed
        if weight is not None and isinstance(site.module, OWNERS) and not site.silent:
            found.setdefault(id(weight), site)
    return found
