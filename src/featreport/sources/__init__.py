"""Where an architecture comes from. Light to import: torch is loaded by the kind that builds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from featreport.errors import SourceError

if TYPE_CHECKING:
    from torch import nn

    from featreport.plan.types import SourceRef

__all__ = ["build_model"]


def build_model(source: SourceRef, *, seed: int, weights: str | None = None) -> nn.Module:
    """Build the architecture `source` names with random numbers drawn from `seed`; downloads nothing.

    `weights` names the published weights that will be loaded afterwards, so that the architecture is built as
    they need it (number of classes, input transform). The global random generators are left as they were.

    Raises:
        SourceError: the architecture could not be built.
    """
    if source.kind == "torchvision":
        from featreport.sources import torchvision

        return torchvision.build(source, seed, weights)
    if source.kind == "timm":
        from featreport.sources import timm

        return timm.build(source, seed, weights)
    if weights is not None:
        raise SourceError(f"{source.text} has no published weights", "name a checkpoint file instead")
    from featreport.sources import python

    return python.build(source, seed)
