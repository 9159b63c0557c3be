"""Calls somebody's factory and says in one line what went wrong, with the place."""

from __future__ import annotations

import contextlib
import difflib
import inspect
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from featreport.errors import SourceError
from featreport.sources.seeding import seeded

_CLASS_TYPE_ERROR = re.compile(r"(\w+)\.__init__\(\) (got an unexpected|missing|takes|got multiple)")


def call(label: str, factory: object, args: dict[str, Any], seed: int, home: Path | None = None) -> nn.Module:
    """Return `factory(**args)`, built with random numbers from `seed`; `label` names it in messages.

    `home` is the folder of the user's own file: a place inside it is named beside the place of the raise.

    Raises:
        SourceError: it is no factory, does not take `args`, raised, or gave something other than a module.
    """
    if isinstance(factory, nn.Module):
        raise SourceError(
            f"{label} is a built model, not something that builds one", "name a class or a function"
        )
    if not callable(factory):
        raise SourceError(
            f"{label} is {_a(factory)}, not something that can be called", "name a class or a function"
        )
    _verify_args(label, factory, args)
    try:
        with seeded(seed), contextlib.redirect_stdout(sys.stderr):
            model = factory(**args)
    except (Exception, SystemExit) as error:
        raise SourceError(f"{label} {raised(error, home)}", _advice(error, factory)) from error
    if not isinstance(model, nn.Module):
        hint = "name something that returns the built network"
        raise SourceError(f"{label} returned {_a(model)}, not a torch.nn.Module", hint)
    return model


def raised(error: BaseException, home: Path | None = None) -> str:
    """Return `raised ValueError: text (net.py, line 3)`: the place of the raise, and the user's line."""
    if isinstance(error, SystemExit):
        what = f"called sys.exit({error.code!r})"
    else:
        text = " ".join(str(error).split())[:300]
        what = f"raised {type(error).__name__}" + (f": {text}" if text else "")
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _ours(frame.filename)]
    if not frames:
        return what
    place = _place(frames[-1])
    own = [frame for frame in frames if home is not None and Path(frame.filename).parent == home]
    if own and own[-1] is not frames[-1]:
        place = f"{place}, called from {_place(own[-1])}"
    return f"{what} ({place})"


def nearest(name: str, names: list[str]) -> str:
    """Return a hint with the name most like `name`, or the first few there are."""
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"there are: {', '.join(names[:10])}" if names else ""


def _verify_args(label: str, factory: Callable[..., Any], args: dict[str, Any]) -> None:
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(**args)
    except TypeError as error:
        raise SourceError(
            f"{label} does not take these args: {error}", f"it accepts {_plain(signature)}"
        ) from None


def _advice(error: BaseException, factory: Callable[..., Any]) -> str:
    """Return the signature of the class that refused its arguments, if it stands beside the factory."""
    found = _CLASS_TYPE_ERROR.search(str(error)) if isinstance(error, TypeError) else None
    owner = getattr(sys.modules.get(getattr(factory, "__module__", "")), found[1], None) if found else None
    if found and inspect.isclass(owner):
        with contextlib.suppress(TypeError, ValueError):
            return f"{found[1]} accepts {_plain(inspect.signature(owner))}"
    if isinstance(error, ImportError):
        return "install what it imports into the environment featreport runs in"
    return "check 'args', and that the code builds the model outside featreport"


def _plain(signature: inspect.Signature) -> str:
    """Write a signature without annotations, whose names are long and may hold addresses."""
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    text = str(inspect.Signature(bare))
    return re.sub(r"<(\w+ )?([\w.]+)[^>]*>", r"\2", text)[:300]


def _a(value: object) -> str:
    name = type(value).__name__
    return (
        f"the class {value.__name__}"
        if isinstance(value, type)
        else f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
    )


def _ours(filename: str) -> bool:
    return Path(filename).parent == Path(__file__).parent or filename.startswith("<frozen importlib")


def _place(frame: traceback.FrameSummary) -> str:
    return f"{Path(frame.filename).name}, line {frame.lineno}"
