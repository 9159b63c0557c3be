"""What shapes the numbers of a run, as one key: the same key, the same numbers."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import json
import os
import platform
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from featreport.plan.types import CheckpointRef, Plan, RunPlan

PACKAGES = ("torch", "torchvision", "numpy", "pillow", "triton", "safetensors")
OWN = Path(__file__).resolve().parent.parent  # featreport's own code: an edit of it may change a number
MOST_FILES = 2000  # of the code that a manifest names


class Hasher:
    """SHA-256 of files by their content, each read once in a build."""

    def __init__(self, known: Mapping[Path, str] | None = None) -> None:
        """Begin with the digests of files that this very build has read already."""
        self._known: dict[Path, str] = dict(known or {})

    def of(self, path: Path) -> str:
        """Return the digest of a file; of one that cannot be read, why: the run will say so itself."""
        if path not in self._known:
            try:
                self._known[path] = _digest(path)
            except OSError as error:
                return f"unreadable: {error.strerror}"
        return self._known[path]

    def of_code(self, file: Path | None, module: str | None) -> list[tuple[str, str]]:
        """Return the Python files a manifest's code can be made of: those in the file's folder, or in its package."""
        if file is not None:
            return self._code(file.parent, file)
        return self._code(*_package(module)) if module is not None else []

    def _code(self, folder: Path | None, file: Path | None) -> list[tuple[str, str]]:
        if folder is None:
            return []
        found = sorted(_python(folder))[:MOST_FILES]
        files = found if file is None or file in found else [*found, file]
        return [(os.path.relpath(path, folder), self.of(path)) for path in files]


def key_of(plan: Plan, run: RunPlan, budget: int, hasher: Hasher) -> str:
    """Return the key of a run: 64 hex digits over everything that shapes its numbers and pictures.

    Bytes of the checkpoint (every shard), of the images in their order and of the code the manifest names; the
    manifest's words for this run; statistics, precision, batch and what is shown; versions, featreport's own code, and
    which kind of accelerator is here, and how many threads compute where the CPU may. No absolute path, time or name
    of a machine.
    """
    told = {
        "run": _without_paths(dataclasses.asdict(_nowhere(run))),
        "checkpoint": _checkpoint(run.checkpoint, hasher),
        "images": [(image.name, hasher.of(image.path)) for image in run.images],
        "source code": hasher.of_code(run.source.file, run.source.module),
        "transform code": hasher.of_code(run.transform.python_file, run.transform.python_module),
        "settings": [plan.dead, plan.near_zero, plan.constant, plan.alpha, plan.precision, plan.batch_size],
        "shown": [plan.shown_channels, plan.shown_images, dataclasses.asdict(plan.showing), budget],
        "grams": plan.cka,
        "made by": made_by(timm=run.source.kind == "timm"),
        "device": [plan.device, accelerator()],
        "threads": threads() if plan.device in {"auto", "cpu"} else "",
    }
    return hashlib.sha256(canonical(told).encode()).hexdigest()


def _nowhere(run: RunPlan) -> RunPlan:
    """Return a run without where its files were fetched from, and how long it may take: neither shapes a number."""
    here = tuple(dataclasses.replace(image, url=None) for image in run.images)
    checkpoint = dataclasses.replace(run.checkpoint, url=None)
    return dataclasses.replace(run, timeout=None, checkpoint=checkpoint, images=here)


def canonical(value: object) -> str:
    """Return a value as JSON, the same text for the same value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)


@cache
def made_by(*, timm: bool = False) -> dict[str, str]:
    """Return the versions that shape numbers, and a digest of featreport's own code; nothing of them is imported."""
    found = {name: _version(name) for name in (*PACKAGES, *(("timm",) if timm else ()))}
    own = hashlib.sha256()
    for path in sorted([*OWN.rglob("*.py"), *OWN.rglob("reading-*")]):  # these were compiled
        own.update(path.relative_to(OWN).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return found | {"python": platform.python_version(), "featreport": own.hexdigest()}


@cache
def accelerator() -> str:
    """Return what kind of accelerator seems to be here, without asking torch: it takes seconds to import."""
    if sys.platform == "darwin":
        return f"darwin {platform.machine()}"
    nvidia, visible = _nvidia(), os.environ.get("CUDA_VISIBLE_DEVICES", "")
    render = (
        sorted(path.name for path in Path("/dev/dri").glob("renderD*")) if Path("/dev/dri").is_dir() else []
    )
    return f"nvidia {nvidia} {visible!r} render {render}"


def threads() -> str:
    """Return what decides how many threads torch takes on the CPU, without asking it: last bits depend on it."""
    asked = [os.environ.get(name, "") for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")]
    affinity = getattr(os, "sched_getaffinity", None)
    return " ".join(asked) if any(asked) else str(len(affinity(0)) if affinity else os.cpu_count())


def _nvidia() -> list[str]:
    return sorted(path.name for path in Path("/dev").glob("nvidia[0-9]*"))


def _python(folder: Path) -> Iterable[Path]:
    """Yield the Python files below a folder; hidden folders, the store among them, hold no code to import.

    A folder that vanishes meanwhile, or may not be looked into, is passed over: nothing can be imported from it.
    """
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if name.endswith(".py"):
                yield Path(place, name)


def _checkpoint(ref: CheckpointRef, hasher: Hasher) -> list[tuple[str, str]]:
    if ref.path is None:
        return []
    found = [(ref.path.name, hasher.of(ref.path))]
    if ref.path.suffix == ".json":  # an index of shards
        found += [(name, hasher.of(ref.path.parent / name)) for name in _shards(ref.path)]
    return found


def _shards(index: Path) -> Iterable[str]:
    try:
        names = json.loads(index.read_bytes())["weight_map"].values()
        return sorted({name for name in names if isinstance(name, str) and Path(name).name == name})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def _package(module: str) -> tuple[Path | None, Path | None]:
    try:
        spec = importlib.util.find_spec(module.partition(".")[0])
    except (ImportError, ValueError):
        return None, None
    if spec is None or spec.origin is None:
        return None, None
    origin = Path(spec.origin)
    return (origin.parent, None) if origin.name == "__init__.py" else (origin.parent, origin)


def _without_paths(value: Any) -> Any:
    """Drop what is where: contents count, not places."""
    if isinstance(value, dict):
        return {key: _without_paths(part) for key, part in value.items() if not isinstance(part, Path)}
    if isinstance(value, (list, tuple)):
        return [_without_paths(part) for part in value]
    return value


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
