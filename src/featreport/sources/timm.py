"""Architectures by timm's names, never with a download. timm is an optional extra: featreport[timm]."""

from __future__ import annotations

import difflib
import functools
from typing import Any

from torch import nn

from featreport.errors import SourceError
from featreport.plan.types import SourceRef
from featreport.sources.calling import call

INSTALL = "pip install 'featreport[timm]'"
DOWNLOADS = ("pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir")


def build(source: SourceRef, seed: int, weights: str | None = None) -> nn.Module:
    """Return timm's model `source.name`, untrained, shaped as its published `weights` (a tag) need it.

    Raises:
        SourceError: timm is not installed, has no such model, or it does not take these args.
    """
    try:
        import timm
    except ImportError as error:
        raise SourceError(f"{source.text} needs timm, which cannot be imported: {error}", INSTALL) from error
    for name in DOWNLOADS:
        if name in source.args:
            raise SourceError(
                f"{source.text}: args.{name} would download or read weights",
                "leave it out and name the weights under 'checkpoints', e.g. weights:DEFAULT or a file",
            )
    architecture = source.name.partition(".")[0]
    if not timm.is_model(architecture):
        near = difflib.get_close_matches(architecture, timm.list_models(), n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "see timm.list_models()"
        raise SourceError(f"timm {timm.__version__} has no model {architecture!r}", hint)
    named = source.name if weights in {None, "DEFAULT"} else f"{architecture}.{weights}"
    factory: Any = functools.partial(timm.create_model, named, pretrained=False)
    return call(source.text, factory, source.args, seed)
