"""What training left beside the tensors: epoch, step, best metric, architecture, settings; as plain text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import torch

from featreport.checkpoints.plain import brief, plain, unwrapped
from featreport.checkpoints.tree import attributes, children, is_module
from featreport.checkpoints.values import Opaque

MOST = 30
LONGEST_NAME = 80
EXAMINED = 2_000  # entries of one mapping

# Settings worth a line of the report, of the hundreds that an argparse.Namespace holds.
_TELLING = re.compile(
    r"(?:(?:max_|num_|n_)?(?:epochs?|steps?|iters?|iterations?)|global_step|arch|architecture|model(?:_name)?|backbone"
    r"|lr|learning_rate|base_lr|weight_decay|momentum|opt|optimizer|sched|scheduler|batch_?size|seed|loss|criterion"
    r"|(?:num_|n_)?classes|data|dataset|data_?dir|data_path|pretrained|resume|input_size|img_size|image_size"
    r"|(?:train_|val_)?crop(?:_size|_pct)?|mean|std|amp|precision|mixup|label_smoothing|dropout|drop(?:_path)?"
    r"|(?:model_)?ema(?:_decay)?|version|name|experiment)",
    re.IGNORECASE,
)
_SETTINGS = (
    "hyper_parameters",
    "hparams",
    "args",
    "config",
    "cfg",
    "options",
    "opts",
    "opt",
    "params",
    "meta",
)
_BEST = re.compile(r"best_.*(?:score|path)|(?:score|best)", re.IGNORECASE)


def facts(tree: object, metadata: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return at most 30 facts, the file's own words for each."""
    found: dict[str, str] = {}
    for name, value in _values(tree, metadata or {}):
        if len(found) == MOST:
            break
        text = plain(value)
        if text:
            found.setdefault(brief(name[:LONGEST_NAME]), text)
    return found


def _values(tree: object, metadata: Mapping[str, str]) -> Iterator[tuple[str, object]]:
    yield from list(metadata.items())[:EXAMINED]
    if not isinstance(tree, dict | Opaque) or is_module(tree):
        return
    top = _entries(tree)
    weights = any(isinstance(value, torch.Tensor) and value.numel() > 1 for _, value in top)
    for name, value in top:
        if not (weights and ("." in name or isinstance(value, torch.Tensor))):
            yield name, value
    for name, value in top:
        if name in _SETTINGS:
            yield from _settings(name, value)
        elif name == "callbacks":
            for callback, state in _entries(value)[:MOST]:
                label = callback.partition("{")[0]
                yield from ((f"{label}.{key}", v) for key, v in _entries(state) if _BEST.fullmatch(key))


def _settings(name: str, value: object) -> Iterator[tuple[str, object]]:
    """Yield the telling settings, those of nested groups (omegaconf's, a config of sections) after them."""
    groups: list[tuple[str, object]] = []
    for key, inner in _entries(value):
        if _TELLING.fullmatch(key):
            yield f"{name}.{key}", inner
        if isinstance(unwrapped(inner), dict | Opaque):
            groups.append((f"{name}.{key}", inner))
    for group, inner in groups[:MOST]:
        yield from ((f"{group}.{key}", one) for key, one in _entries(inner) if _TELLING.fullmatch(key))


def _entries(value: object) -> list[tuple[str, object]]:
    value = unwrapped(value)
    if isinstance(value, Opaque):
        value = attributes(value) | {key: one for key, one in value.pairs.items() if isinstance(key, str)}
    if not isinstance(value, dict):
        return []
    return [pair for _, pair in zip(range(EXAMINED), children(value), strict=False)]
