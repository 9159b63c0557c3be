"""Architectures from Python code that the manifest's author names: this runs that code."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from torch import nn

from featreport.errors import SourceError
from featreport.plan.types import SourceRef
from featreport.sources.calling import call, nearest, raised
from featreport.sources.seeding import seeded


def build(source: SourceRef, seed: int) -> nn.Module:
    """Run the file or import the module, and call what `source.name` names there.

    Raises:
        SourceError: the code cannot be found, read or run, or gives no model.
    """
    if source.kind == "python-file" and source.file is not None:
        return _from_file(source, source.file, seed)
    if source.kind == "python-module" and source.module:
        with seeded(seed), contextlib.redirect_stdout(sys.stderr):
            module = _import(source.module)
        label = f"{source.module}:{source.name}"
        return call(label, _find(label, module, source.name), source.args, seed)
    raise SourceError(f"{source.text} names no Python file or module", "write python:FILE.py:NAME")


def _from_file(source: SourceRef, file: Path, seed: int) -> nn.Module:
    label = f"{file.name}:{source.name}"
    with _beside(file.parent):
        with seeded(seed), contextlib.redirect_stdout(sys.stderr):
            module = _run(file)
        return call(label, _find(label, module, source.name), source.args, seed, home=file.parent)


@contextlib.contextmanager
def _beside(folder: Path) -> Iterator[None]:
    """Let code import its neighbours; forget those after: another folder's `blocks.py` is another module."""
    before, path, no_bytecode = set(sys.modules), list(sys.path), sys.dont_write_bytecode
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True  # no __pycache__ in the user's folder
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = path
        sys.dont_write_bytecode = no_bytecode
        fresh = set(sys.modules) - before
        neighbours = {name for name in fresh if _lies_in(sys.modules[name], folder)}
        for name in fresh:
            if name.partition(".")[0] in neighbours:
                del sys.modules[name]


def _lies_in(module: ModuleType, folder: Path) -> bool:
    file = getattr(module, "__file__", None)
    if module.__name__.startswith("_featreport_source_") or "." in module.__name__ or not file:
        return False
    return Path(file).parent == folder or (
        Path(file).stem == "__init__" and Path(file).parent.parent == folder
    )


def _run(file: Path) -> ModuleType:
    """Run `file` as a module under a name of its own; it stays known: classes look their module up."""
    name = f"_featreport_source_{hashlib.sha256(str(file).encode(errors='surrogateescape')).hexdigest()[:16]}"
    try:
        code = compile(file.read_bytes(), str(file), "exec")
    except FileNotFoundError:
        raise SourceError(f"{file.name} does not exist", "check the path in the manifest") from None
    except OSError as error:
        raise SourceError(f"{file.name} cannot be read: {error.strerror}", "name a Python file") from error
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise SourceError(
            f"{file.name} is not valid Python: {reason} ({file.name}{line})", "correct the file"
        ) from error
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None:
        raise SourceError(f"{file.name} is not a Python file", "its name must end with .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        exec(code, module.__dict__)  # noqa: S102 – the manifest's author named this code; see README
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise SourceError(f"{file.name} {raised(error, file.parent)}", _import_advice(error)) from error
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            hint = "install it into the environment featreport runs in, or write python:PATH/TO/FILE.py:NAME"
            raise SourceError(f"no module named {error.name!r}", hint) from None
        raise SourceError(f"{name} {raised(error)}", _import_advice(error)) from error
    except (Exception, SystemExit) as error:
        raise SourceError(f"{name} {raised(error)}", _import_advice(error)) from error


def _import_advice(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"install {error.name or 'it'} into the environment featreport runs in"
    return "the file itself must import cleanly; try it with python alone"


def _find(label: str, module: ModuleType, dotted: str) -> object:
    """Return the attribute `dotted` names, step by step."""
    here: object = module
    for part in dotted.split("."):
        try:
            here = getattr(here, part)
        except AttributeError:
            names = (
                [name for name in vars(here) if not name.startswith("_")] if hasattr(here, "__dict__") else []
            )
            where = module.__spec__.origin if module.__spec__ and module.__spec__.origin else module.__name__
            raise SourceError(f"{label}: {Path(where).name} has no {part!r}", nearest(part, names)) from None
    return here
