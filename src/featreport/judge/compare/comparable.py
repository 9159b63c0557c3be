"""Whether the numbers of two runs may be compared, and what else was not the same when they were measured."""

from __future__ import annotations

from collections.abc import Iterator

from featreport.judge.compare.types import Difference
from featreport.report import formats
from featreport.results.schema import ImageFile, Results, Run, weights_alone

Two = tuple[Results, Run]


def obstacles(before: Two, after: Two, *, weights_only: bool = False) -> list[Difference]:
    """Return what forbids a comparison: other images, transform, precision, kind of device, or thresholds.

    Where only weights are compared (`weights_only`, or either side has no network), the near-zero threshold alone
    counts of all these.
    """
    alone = weights_only or weights_alone(before[1]) or weights_alone(after[1])
    found = [] if alone else [*_images(before[1], after[1]), *_conditions(before, after)]
    thresholds = ("near_zero",) if alone else ("dead", "near_zero", "constant")
    for name in thresholds:
        one, other = (getattr(side[0].thresholds, name) for side in (before, after))
        if one != other:
            what = f"{name.replace('_', '-')} threshold"
            found.append(Difference(what=what, before=repr(one), after=repr(other)))
    return found


def _images(before: Run, after: Run) -> Iterator[Difference]:
    one, other = before.images, after.images
    if one.count != other.count:
        sizes = [formats.plural(side.count, "image") for side in (one, other)]
        yield Difference(what="images", before=sizes[0], after=sizes[1])
        return
    sums = [[file.sha256 for file in side.files] for side in (one, other)]
    if sums[0] == sums[1]:
        return
    if sorted(sums[0]) == sorted(sums[1]):
        place = next(i for i, (a, b) in enumerate(zip(*sums, strict=True)) if a != b)
        order = "the same ones in another order"
        yield Difference(
            what="images",
            before=f"{order}, number {place} is {_named(one.files[place])}",
            after=f"{order}, number {place} is {_named(other.files[place])}",
        )
        return
    yield Difference(what="images", before=_only(one.files, {*sums[1]}), after=_only(other.files, {*sums[0]}))


def _only(files: list[ImageFile], there: set[str]) -> str:
    """Say which images only one side has."""
    own = [file for file in files if file.sha256 not in there]
    if not own:
        return f"{formats.plural(len(files), 'image')}, none that the other side lacks"
    return f"{formats.plural(len(own), 'image')} of its own, the first {_named(own[0])}"


def _named(file: ImageFile) -> str:
    return f"{formats.shorten(file.name, 48)} (sha256 {formats.clean(file.sha256[:8])}…)"


def _conditions(before: Two, after: Two) -> Iterator[Difference]:
    pairs = {
        "transform": (before[1].transform, after[1].transform),
        "precision": (before[1].precision, after[1].precision),
        "device class": (_device(before), _device(after)),
    }
    for what, (one, other) in pairs.items():
        if one != other:
            yield Difference(what=what, before=one, after=other)


def _device(side: Two) -> str:
    """Return the kind of device: cpu, cuda, mps …, without model and number."""
    words = (side[1].device or side[0].provenance.device).replace(":", " ").split()
    return words[0] if words else "not recorded"


def notes(before: Two, after: Two) -> list[str]:
    """Return what may explain a difference and forbids nothing."""
    found = []
    alone = [weights_alone(side[1]) for side in (before, after)]
    if any(alone):
        sides = " and ".join(side for side, is_alone in zip("AB", alone, strict=True) if is_alone)
        holds = "hold" if all(alone) else "holds"
        found.append(f"Only weights are compared: {sides} {holds} no network (source: none).")
        return found
    sizes = before[1].batch_size, after[1].batch_size
    if sizes[0] != sizes[1]:
        found.append(
            f"Batch size {sizes[0] or 'unknown'} in A, {sizes[1] or 'unknown'} in B: last bits may differ."
        )
    devices = [side[1].device or side[0].provenance.device for side in (before, after)]
    if devices[0] != devices[1] and _device(before) == _device(after):
        found.append(f"Another device of the same kind: {devices[0]} in A, {devices[1]} in B.")
    return found


def version_notes(before: Results, after: Results) -> list[str]:
    """Return a sentence for each program that was of another version."""
    one, other = before.provenance.versions, after.provenance.versions
    return [
        f"{name}: {one.get(name, 'not recorded')} in A, {other.get(name, 'not recorded')} in B."
        for name in sorted({*one, *other})
        if one.get(name) != other.get(name)
    ]
