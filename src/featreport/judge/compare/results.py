"""Results → Comparison: which runs are which, and each pair compared."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from featreport.errors import ManifestError
from featreport.judge.compare.comparable import version_notes
from featreport.judge.compare.runs import Exact, run_change
from featreport.judge.compare.types import Comparison, Side
from featreport.judge.compare.verdict import verdict
from featreport.results.schema import Results, Run

Pair = tuple[Run, Run, str]


def compare(
    before: Results,
    after: Results,
    *,
    names: tuple[str, str] = ("A", "B"),
    mapped: Sequence[str] = (),
    force: bool = False,
    only: str | None = None,
    exact: Exact | None = None,
) -> Comparison:
    """Return the comparison of the candidate `after` with the baseline `before`.

    Args:
        before: the baseline, A.
        after: the candidate, B.
        names: what the two files are called.
        mapped: "A_ID=B_ID": runs that are the same although their ids differ.
        force: compare the numbers of runs although something forbids it; what, stays named.
        only: glob over run ids of either side; the others are left out.
        exact: measures drift from both checkpoints; what it leaves out is estimated.

    Raises:
        ManifestError: `mapped` or `only` name no run, or no run of one side is one of the other.
    """
    pairs, removed, added = _match(before, after, mapped)
    if only is not None:
        pairs = [pair for pair in pairs if any(fnmatchcase(run.id, only) for run in pair[:2])]
        removed, added = ([run for run in runs if fnmatchcase(run.id, only)] for runs in (removed, added))
        if not (pairs or removed or added):
            raise ManifestError(f"--only: no run id matches {only!r} ({_known(before, after)}).")
    if not pairs and (before.runs or after.runs):
        raise ManifestError(
            f"no run of A is one of B ({_known(before, after)}); name pairs with --map A_ID=B_ID."
        )
    runs = [
        run_change((before, one), (after, other), match, force=force, exact=exact)
        for one, other, match in pairs
    ]
    found = Comparison(
        before=_side(before, names[0]),
        after=_side(after, names[1]),
        comparable=not any(run.obstacles for run in runs),
        forced=force and any(run.obstacles for run in runs),
        differs=any(run.differs for run in runs) or bool(removed or added),
        runs=runs,
        runs_added=[run.id for run in added],
        runs_removed=[run.id for run in removed],
        notes=[*_only(pairs), *version_notes(before, after)],
    )
    return found.model_copy(update={"verdict": verdict(found)})


def _side(results: Results, name: str) -> Side:
    return Side(name=name, title=results.title, versions=results.provenance.versions)


def _match(before: Results, after: Results, mapped: Sequence[str]) -> tuple[list[Pair], list[Run], list[Run]]:
    """Return pairs in the order of the baseline, and the runs of either side that have no partner."""
    if not mapped and len(before.runs) == len(after.runs) == 1 and before.runs[0].id != after.runs[0].id:
        return [(before.runs[0], after.runs[0], "only")], [], []
    mine, theirs = ({run.id: run for run in side.runs} for side in (before, after))
    named = dict(_mapping(text, mine, theirs, before, after) for text in mapped)
    if len(named) != len(mapped) or len({*named.values()}) != len(mapped):
        raise ManifestError("--map: a run is mapped twice.")
    taken = {*named.values()}
    found: list[Pair] = []
    for name, run in mine.items():
        if name in named:
            found.append((run, theirs[named[name]], "map"))
        elif name in theirs and name not in taken:
            found.append((run, theirs[name], "id"))
    used = {pair[0].id for pair in found}, {pair[1].id for pair in found}
    removed = [run for name, run in mine.items() if name not in used[0]]
    return found, removed, [run for name, run in theirs.items() if name not in used[1]]


def _mapping(
    text: str, mine: dict[str, Run], theirs: dict[str, Run], before: Results, after: Results
) -> tuple[str, str]:
    """Return the two ids of "A_ID=B_ID"; an id may itself hold "="."""
    cuts = [place for place, letter in enumerate(text) if letter == "="]
    fits = [(text[:cut], text[cut + 1 :]) for cut in cuts]
    fits = [(one, other) for one, other in fits if one in mine and other in theirs]
    if len(fits) == 1:
        return fits[0]
    wrong = "can be read in more than one way" if fits else "names no run of A and one of B"
    raise ManifestError(f"--map: expected A_ID=B_ID, got {text!r}, which {wrong} ({_known(before, after)}).")


def _known(before: Results, after: Results) -> str:
    sides = (", ".join(run.id for run in side.runs) or "no run" for side in (before, after))
    return "A holds {}; B holds {}".format(*sides)


def _only(pairs: Sequence[Pair]) -> list[str]:
    """Say which runs were matched although their ids differ, and nobody said so."""
    return [
        f"Either file holds one run, so {one.id} in A was taken for {other.id} in B."
        for one, other, match in pairs
        if match == "only"
    ]
