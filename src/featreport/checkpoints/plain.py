"""Plain one-line text of the values a file holds beside its tensors; nothing of them is called."""

from __future__ import annotations

import math

import torch

from featreport.checkpoints.reading import one_line
from featreport.checkpoints.tree import attributes
from featreport.checkpoints.values import Opaque

LONGEST = 200
SHOWN = 8  # items of a list
WIDE = 2**63
_PATHS = ("PosixPath", "WindowsPath", "Path", "PurePosixPath", "PureWindowsPath", "PurePath")


def plain(value: object) -> str | None:
    """Return `value` as text of one line, None where it is no single value (or a short list of such)."""
    text = _scalar(value)
    if text is None and isinstance(value, list | tuple) and 0 < len(value) <= SHOWN:
        parts = [_scalar(one) for one in value]
        text = None if None in parts else f"[{', '.join(part for part in parts if part is not None)}]"
    return None if text is None else brief(text)


def brief(text: str) -> str:
    """Return `text` cut short and escaped, so that it takes one line of 200 characters at most."""
    shown = one_line(text[:LONGEST])
    return shown if len(shown) <= LONGEST and len(text) <= LONGEST else shown[: LONGEST - 1] + "…"


def unwrapped(value: object) -> object:
    """Return the value inside a configuration's node (omegaconf's), any other as it is."""
    for _ in range(2):
        held = attributes(value) if isinstance(value, Opaque) else {}
        if "_val" in held:
            value = held["_val"]
        elif "_content" in held:
            value = held["_content"]
    return value


def _scalar(value: object) -> str | None:
    value = unwrapped(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value) if abs(value) < WIDE else "an integer of more than 64 bits"
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, str):
        return value[: 2 * LONGEST]
    if isinstance(value, torch.Tensor):
        return _single(value)
    return _object(value) if isinstance(value, Opaque) else None


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    return f"{value:.6g}".replace("-", "−")


def _single(value: torch.Tensor) -> str | None:
    if value.numel() != 1 or value.is_complex() or value.device.type != "cpu" or value.is_quantized:
        return None
    return _scalar(value.detach().reshape(()).item())


def _object(value: Opaque) -> str | None:
    """Return paths, enumerations, devices and names of classes as people write them."""
    last = value.name.rpartition(".")[2][:LONGEST]
    if not value.called:
        return value.name.removeprefix("torch.")[:LONGEST]
    parts = value.arguments
    if last in _PATHS and len(parts) <= 256 and all(isinstance(part, str) for part in parts):  # noqa: PLR2004
        root = "/" if parts and parts[0] == "/" else ""
        return root + "/".join(str(part) for part in (parts[1:] if root else parts))
    if len(parts) == 1 and isinstance(parts[0], str | int | float) and not attributes(value):
        return f"{last}({_scalar(parts[0])})"
    return None
