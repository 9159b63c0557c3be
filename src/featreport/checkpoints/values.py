"""What a checkpoint's tree is made of once it is read: plain containers, tensors, and two records of our own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass(eq=False)  # compared and hashed by identity: its content is the file's and may contain itself
class Opaque:
    """An object whose class was not called: what the file says of it, as plain data.

    `name` is the dotted name of its class or function ("argparse.Namespace"); `arguments` what it would have been
    called with; `state` what its `__setstate__` or `__dict__` would have been given (a dict for most objects, None
    where there was none); `items` and `pairs` what would have been appended to it or set in it. A bare reference
    to a class or function is an Opaque with `called` False.
    """

    name: str
    arguments: tuple[Any, ...] = ()
    keywords: dict[str, Any] = field(default_factory=dict)
    state: Any = None
    items: list[Any] = field(default_factory=list)
    pairs: dict[Any, Any] = field(default_factory=dict)
    called: bool = True


@dataclass(frozen=True, eq=False)
class Converted:
    """A tensor that the file holds in another form than dense numbers, and from which one it was converted.

    `tensor` is dense; `origin` reads after "converted from", e.g. "qint8 (per tensor)" or "sparse COO".
    """

    tensor: Tensor
    origin: str
