"""The methods paragraph: the true settings, versions and numbers, once as LaTeX and once as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from featreport.judge.findings import rectifiers
from featreport.paper import references, sentences
from featreport.paper.headlines import numbers
from featreport.paper.making import forward, images, what
from featreport.paper.references import Reference
from featreport.paper.sentences import Cite, Formula, Name, Piece, Sentence, at_most, cite, number
from featreport.report import formats
from featreport.results.schema import Results, Run, weights_alone

_MOST_BOUNDS = 4  # numbers of images for which the bound is told
_TAU = 0.025


def paragraphs(results: Results) -> tuple[tuple[Sentence, ...], ...]:
    """Return three paragraphs: what was run, what its numbers mean, and the headline numbers."""
    used = set(references.used(results))
    networks = [run for run in results.runs if run.status == "ok" and not weights_alone(run)]
    made, meant = what(results, used), []
    if networks:
        made += [*images(networks), *forward(networks)]
        meant += _activations(results, networks, used)
    meant += _weights(results, used)
    return tuple(made), tuple(meant), tuple(numbers(results))


def cited(results: Results) -> tuple[Reference, ...]:
    """Return every reference that the paragraphs cite, each once."""
    pieces = (piece for paragraph in paragraphs(results) for sentence in paragraph for piece in sentence)
    found = dict.fromkeys(one for piece in pieces if isinstance(piece, Cite) for one in piece.references)
    return tuple(found)


def tex(results: Results) -> str:
    """Return the paragraphs as LaTeX, to be input into a document."""
    parts = [sentences.tex(paragraph) for paragraph in paragraphs(results) if paragraph]
    return "% The references are in references.bib.\n" + "\n\n".join(parts) + "\n"


def markdown(results: Results) -> str:
    """Return the paragraphs as Markdown with Pandoc's citations."""
    parts = [sentences.markdown(paragraph) for paragraph in paragraphs(results) if paragraph]
    return "# Methods\n\n" + "\n\n".join(parts) + "\n"


def _activations(results: Results, networks: Sequence[Run], used: set[Reference]) -> list[Sentence]:
    limits = results.thresholds
    said = [_dead(limits.dead, networks), *_evidence(networks, used)]
    if limits.constant:
        spread: tuple[Piece, ...] = (
            "its greatest and its least value differ by at most ",
            number(limits.constant),
        )
    else:
        spread = ("all its values are equal",)
    said.append(("A channel is constant when ", *spread, " and it is not dead."))
    said.append(("Activations count as near zero at ", at_most("a", limits.near_zero), "."))
    said += [(*text, cite(reference), ".") for reference, text in _STATISTICS if reference in used]
    return [*said, *_defined(results, "Histograms of activations", "histogram")]


def _defined(results: Results, what: str, metric: str) -> list[Sentence]:
    """Return what a statistic is in the words of its own definition."""
    found = next((entry.sentence for entry in results.definitions if entry.metric == metric), "")
    return [(f"{what}: {found[0].lower()}{found[1:]}",)] if found else []


_STATISTICS: tuple[tuple[Reference, tuple[Piece, ...]], ...] = (
    (
        references.HU,
        ("The share of exact zeros at a rectifier’s output is its average percentage of zeros, APoZ",),
    ),
    (
        references.SOKAR,
        (
            "A channel is dormant when the mean of ",
            Formula("|a|", "|a|"),
            f" over it is at most {_TAU} of the layer’s mean over channels",
        ),
    ),
    (
        references.ROY,
        ("The effective rank is that of the matrix images × channels of means over positions, not centred",),
    ),
    (
        references.SUN,
        (
            "Activations are massive at ",
            Formula("|a| > 100", "|a| > 100"),
            " and at least 1,000 times the median ",
            Formula("|a|", "|a|"),
            " of a sample of their layer",
        ),
    ),
)


def _dead(limit: float, networks: Sequence[Run]) -> Sentence:
    kinds = sorted({tap.module for run in networks for tap in rectifiers(run)})
    said: list[Piece] = ["A channel counts as dead when ", at_most("a", limit)]
    said.append(" at every position of every image; ")
    if kinds:
        some = [" (", *sentences.names(kinds), ")"] if len(kinds) <= _MOST_BOUNDS else []
        said += [
            "the headline counts the channels at the outputs of the measured rectifiers",
            *some,
            ", each output once.",
        ]
    else:
        said.append("no network here has a rectifier, so there is no headline of dead channels.")
    return tuple(said)


def _evidence(networks: Sequence[Run], used: set[Reference]) -> list[Sentence]:
    counts = sorted(
        {tap.images for run in networks for tap in run.activations if tap.firing_rate_bound is not None}
    )
    if references.CLOPPER not in used or not counts:
        return []
    told = counts if len(counts) <= _MOST_BOUNDS else [*counts[: _MOST_BOUNDS - 1], counts[-1]]
    bounds = "; ".join(f"N = {formats.integer(n)}: {formats.rate_bound(n)}" for n in told)
    return [
        (
            "A channel silent on N images fires, with 95 % confidence, on fewer than ",
            Formula("1 − 0.05^(1/N)", "1 - 0.05^{1/N}"),
            f" of images like these ({bounds})",
            cite(references.CLOPPER),
            ".",
        )
    ]


def _weights(results: Results, used: set[Reference]) -> list[Sentence]:
    measured = [run for run in results.runs if run.weights]
    if not measured:
        return []
    near = results.thresholds.near_zero
    alone = [run.id for run in measured if weights_alone(run)]
    said: list[Sentence] = []
    if alone:
        files = "The tensors of " if len(alone) == 1 else f"The tensors of {len(alone)} checkpoints"
        named: list[Piece] = [Name(alone[0])] if len(alone) == 1 else []
        said.append((files, *named, " were read as data, without a network."))
    said.append(
        (
            "Near-zero weights are those of convolutions and linear layers with ",
            at_most("w", near),
            "; a filter is dead when that holds for all its weights.",
        )
    )
    said += _defined(results, "Histograms of weights", "weights.histogram")
    if references.LIU in used:
        said.append(
            (
                "Scales of normalisation layers, by whose size network slimming prunes",
                cite(references.LIU),
                ", count as small at ",
                at_most("γ", 0.01),
                ", a threshold of ours.",
            )
        )
    if references.MARTIN in used:
        text = "The exponent alpha of a power law was fitted to the tail of each weight’s spectrum"
        said.append((text, cite(references.MARTIN, references.CLAUSET), "; it is a heuristic."))
    return said
