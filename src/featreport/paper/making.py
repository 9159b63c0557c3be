"""What was run, in sentences: checkpoints, versions, images, and how the networks were run."""

from __future__ import annotations

import re
from collections.abc import Sequence

from featreport.judge.findings import lacking
from featreport.paper import latex, references, sentences
from featreport.paper.headlines import EACH
from featreport.paper.references import Reference
from featreport.paper.sentences import Name, Piece, Sentence, cite
from featreport.report import formats
from featreport.results.schema import Results, Run

_LABELS = {"python": "Python", "numpy": "NumPy", "pillow": "Pillow"}
_TOLD_APART = {"featreport", "torch", "reduction"}
_PROVED = (
    "On the first batch the output was bit for bit that of a forward pass without hooks; parameters and buffers were "
    "the same before and after."
)
_IN_DOUBT = "gave other outputs while being read"
_ACCELERATOR = re.compile(r"cuda \((.+)\)", re.DOTALL)


def what(results: Results, used: set[Reference]) -> list[Sentence]:
    """Return what was examined with which versions, what failed, and what was loaded only in part."""
    versions = results.provenance.versions
    models = len({run.model for run in results.runs})
    made: list[Piece] = [
        f"We examined {formats.plural(len(results.runs), 'checkpoint')} of {formats.plural(models, 'model')} with "
        f"featreport {versions.get('featreport', '')}".rstrip(),
        cite(references.featreport(latex.escape(versions.get("featreport", "unknown")))),
    ]
    if references.PASZKE in used:
        made += [f" and PyTorch {versions['torch']}", cite(references.PASZKE)]
    others = ", ".join(
        f"{_LABELS.get(name, name)} {version}"
        for name, version in versions.items()
        if name not in _TOLD_APART and version[:1].isdigit()
    )
    read = versions.get("reduction", "")
    if read:
        others += f"{'; ' if others else ''}activations reduced by {'PyTorch' if read == 'torch' else read}"
    made.append(f" ({others})." if others else ".")
    untrained = [run.id for run in results.runs if run.load and run.load.format == "random"]
    failed = [run.id for run in results.runs if run.status == "failed"]
    partial = [run.id for run in results.runs if run.load and run.status == "ok" and _lost(run)]
    return [
        tuple(made),
        *_of(
            untrained,
            "checkpoint",
            "has random weights from a fixed seed",
            "have random weights from fixed seeds",
        ),
        *_of(
            partial,
            "checkpoint",
            "was loaded only in part; the rest kept its initial values",
            "were loaded only in part; the rest kept its initial values",
        ),
        *_of(failed, "run", "failed and has no numbers", "failed and have no numbers"),
    ]


def _lost(run: Run) -> int:
    return len(lacking(run.load)) + len(run.load.mismatched) if run.load else 0


def _of(runs: Sequence[str], noun: str, one: str, many: str) -> list[Sentence]:
    """Return a sentence about runs, by their names where they are few; none about none."""
    if not runs:
        return []
    said = f" {one if len(runs) == 1 else many}."
    if len(runs) <= EACH:
        return [(*sentences.names(runs), said)]
    return [(f"{formats.plural(len(runs), noun)}{said}",)]


def images(networks: Sequence[Run]) -> list[Sentence]:
    """Return how many images each network saw, how they were prepared, and how many could not be used."""
    groups: dict[tuple[int, str], list[str]] = {}
    for run in networks:
        models = groups.setdefault((run.images.count, run.transform), [])
        if run.model not in models:
            models.append(run.model)
    said: list[Sentence] = []
    if len(groups) > EACH:
        counts = [count for count, _ in groups]
        said.append(
            (
                f"The networks saw {_span(counts)} images; overview.csv says how those of each run were prepared.",
            )
        )
    else:
        for (count, transform), models in groups.items():
            who: list[Piece] = [Name(models[0])] if len(models) == 1 else sentences.names(models)
            if len(groups) == 1:
                who = ["The network" if len(models) == 1 else "Each network"]
            elif len(models) > EACH:
                who = [f"{formats.integer(len(models))} models"]
            said.append(
                (*who, f" saw {formats.plural(count, 'image')}, prepared as follows: ", transform, ".")
            )
    lost = sum(len(run.images.failed) for run in networks)
    if lost:
        said.append((f"{formats.plural(lost, 'image')} could not be used; images.csv lists them.",))
    return said


def forward(networks: Sequence[Run]) -> list[Sentence]:
    """Return how the networks were run and read, and what was proved of the reading."""
    devices = sorted({run.device for run in networks if run.device})
    sums = "float32" if any(device.startswith("mps") for device in devices) else "float64"
    sizes = [run.batch_size for run in networks if run.batch_size is not None]
    most = max(sizes, default=0)
    batches = (
        ", one image at a time"
        if most == 1
        else f", in batches of at most {formats.integer(most)} images"
        if most
        else ""
    )
    where: list[Piece] = []
    for place, device in enumerate(devices):
        where += [
            " and " if place else " on ",
            "the CPU" if device == "cpu" else Name(_ACCELERATOR.sub(r"\1", device)),
        ]
    who = "The network" if len(networks) == 1 else "The networks"
    ran = f"{who} ran in evaluation mode without gradients, in "
    precisions = sentences.names(sorted({run.precision for run in networks}))
    said: list[Sentence] = [
        (ran, *precisions, *where, f"{batches}."),
        (f"Outputs were read before an in-place operation could overwrite them, and summed in {sums}.",),
    ]
    proofs = [run.faithfulness for run in networks]
    if all(proof is not None and proof.output_identical and proof.state_unchanged for proof in proofs):
        said.append((_PROVED,))
    changed = [run.id for run in networks if run.faithfulness and run.faithfulness.output_identical is False]
    said += _of(changed, "run", _IN_DOUBT, _IN_DOUBT)
    unread = sum(len(run.unmeasured) for run in networks)
    if unread:
        layers = formats.plural(unread, "layer or output", "layers or outputs")
        said.append((f"{layers} have no numbers; unmeasured.csv says why.",))
    return said


def _span(values: Sequence[int]) -> str:
    first, last = formats.integer(min(values)), formats.integer(max(values))
    return first if first == last else f"{first} to {last}"
