"""What the manifest says about checkpoints → named `CheckpointRef`s, globs expanded."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from featreport.manifest import CheckpointEntry
from featreport.manifest.scalars import quote
from featreport.plan.elsewhere import Find
from featreport.plan.files import checkpoints, told
from featreport.plan.order import printable
from featreport.plan.packages import NotFoundError
from featreport.plan.types import CheckpointRef

LEVELS = 6  # parent folders that may be added to tell two names apart


@dataclass(frozen=True)
class Named:
    """A checkpoint, its name in the run id, and where the manifest asks for it."""

    ref: CheckpointRef
    name: str
    place: str
    explicit: bool
    matched: bool


def checkpoints_of(entry: str | CheckpointEntry, place: str, folder: Path, find: Find) -> list[Named]:
    """Return the checkpoints one entry stands for; `find` tells what an address names.

    Raises:
        NotFoundError: it names nothing, or one name would stand for several files.
    """
    given = CheckpointEntry(path=entry) if isinstance(entry, str) else entry
    kind, _, rest = given.path.partition(":")
    if kind == "random":
        name = given.name or f"random-{int(rest)}"
        return [
            Named(CheckpointRef("random", given.path, seed=int(rest)), name, place, bool(given.name), False)
        ]
    if kind == "weights":
        ref = _allowing(CheckpointRef("weights", given.path, weights=rest), given)
        return [Named(ref, given.name or rest, place, bool(given.name), False)]
    found = checkpoints(given.path, folder, find)
    if any(file.url and file.path.suffix == ".json" for file in found):
        raise NotFoundError(
            f"{quote(told(given.path))}: an index of shards is not read from elsewhere; fetch its folder first"
        )
    if given.name and len(found) > 1:
        count = len(found)
        raise NotFoundError(
            f"a name stands for one checkpoint, but {quote(told(given.path))} matches {count} files"
        )
    if given.sha256 and len(found) > 1:
        count = len(found)
        raise NotFoundError(
            f"a sha256 is of one checkpoint, but {quote(told(given.path))} matches {count} files"
        )
    return [
        Named(
            _allowing(
                CheckpointRef(
                    "file", file.name, path=file.path, key=given.key, sha256=given.sha256, url=file.url
                ),
                given,
            ),
            given.name or _stem(file.path),
            place,
            bool(given.name),
            file.matched,
        )
        for file in found
    ]


def _allowing(ref: CheckpointRef, given: CheckpointEntry) -> CheckpointRef:
    """Return `ref` with what the manifest allows to be missing or left over."""
    return replace(
        ref,
        strict=given.strict,
        allow_missing=given.allow_missing,
        allow_unexpected=given.allow_unexpected,
    )


def distinct(named: list[Named]) -> list[Named]:
    """Return the checkpoints without repetitions, and with names that tell them apart where folders can."""
    outright = {one.ref.path for one in named if not one.matched}
    unique: dict[object, Named] = {}
    for one in named:
        if one.matched and one.ref.path in outright:
            continue
        ref = one.ref
        what = (ref.kind, ref.path, ref.url, ref.sha256, ref.weights, ref.seed, ref.key)
        allowed = (ref.strict, ref.allow_missing, ref.allow_unexpected)
        unique.setdefault((what, allowed, one.name if one.explicit else None), one)
    kept = list(unique.values())
    counts = Counter(one.name for one in kept)
    clashing = [one for one in kept if counts[one.name] > 1 and not one.explicit and one.ref.path]
    for group in {one.name for one in clashing}:
        members = [one for one in clashing if one.name == group]
        taken = {one.name for one in kept if one not in members} | {group}
        names = _told_apart([_told_by(one.ref) for one in members], taken)
        for one, name in zip(members, names, strict=False):
            kept[kept.index(one)] = Named(one.ref, name, one.place, one.explicit, one.matched)
    return kept


def _told_by(ref: CheckpointRef) -> Path:
    """Return the path whose folders tell a checkpoint from others: of a file elsewhere its address."""
    return Path(ref.text) if ref.url is not None or ref.path is None else ref.path


def _told_apart(paths: list[Path], taken: set[str]) -> list[str]:
    """Return names that differ: the file names if these do, else with as many parent folders as it takes."""
    tries = [[printable(path.name) for path in paths]]
    for level in range(1, LEVELS):
        parents = ["/".join(path.parent.parts[1:][-level:]) for path in paths]
        tries.append(
            [f"{printable(parent)}/{_stem(path)}" for parent, path in zip(parents, paths, strict=True)]
        )
    for names in tries:
        if len(set(names)) == len(names) and not taken & set(names):
            return names
    return []


def _stem(path: Path) -> str:
    stem = path.with_suffix("") if path.suffix == ".tar" else path
    return printable(stem.stem)
