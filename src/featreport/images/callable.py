"""Find the function that `transform: python:…` names. This runs the code of the file or module."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from featreport.errors import ImagesError, Terminated
from featreport.plan.types import TransformSpec


def load_callable(spec: TransformSpec) -> Callable[..., Any]:
    """Import the file or module of `spec` and return the callable it names.

    Raises:
        ImagesError: it cannot be imported, or holds no callable of that name.
    """
    name = spec.python_name or ""
    where = spec.python_file.name if spec.python_file else spec.python_module or "?"
    try:
        with contextlib.redirect_stdout(sys.stderr):
            module = _from_file(spec.python_file) if spec.python_file else importlib.import_module(where)
    except FileNotFoundError:
        raise ImagesError(
            f"transform: no such file: {where}", "paths are relative to the manifest's folder"
        ) from None
    except (KeyboardInterrupt, Terminated):
        raise
    except BaseException as error:
        raise ImagesError(
            f"transform: importing {where} {raised(error)}",
            "the file or module must import without errors on its own",
        ) from error
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        functions = sorted(key for key, value in vars(module).items() if callable(value) and key[0] != "_")
        hint = f"callables in it: {', '.join(functions[:8])}" if functions else "it holds no callables"
        raise ImagesError(f"transform: {where} has no callable {name!r}", hint)
    return found  # type: ignore[no-any-return]


def raised(error: BaseException) -> str:
    """Return what code that is not ours did, in one line."""
    if isinstance(error, SystemExit):
        return f"called sys.exit({error.code!r})"
    first = (str(error).splitlines() or [""])[0][:200]
    return f"raised {type(error).__name__}" + (f": {first}" if first else "")


def _from_file(path: Path) -> ModuleType:
    """Run a Python file as a module of its own name; its folder can be imported from while it runs."""
    name = f"featreport_transform_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path.name} is not a Python file (.py)")
    module = importlib.util.module_from_spec(spec)
    folder = str(path.parent)
    sys.modules[name] = module  # dataclasses and pickle look their module up there
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    finally:
        sys.path.remove(folder)
    return module
