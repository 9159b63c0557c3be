"""The methods paragraph: the true settings, versions and numbers, once as LaTeX and once as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from featreport.paper import latex, references, sentences
from featreport.paper.headlines import EACH, numbers
from featreport.paper.references import Reference
from featreport.paper.sentences import Cite, Name, Piece, Sentence
from featreport.report import formats
from featreport.results.schema import Results, Run, weights_alone

_LABELS = {"python": "Python", "numpy": "NumPy", "pillow": "Pillow", "reduction": "activations read by"}
_MOST_BOUNDS = 4  # numbers of images for which the bound is told


def paragraphs(results: Results) -> tuple[tuple[Sentence, ...], ...]:
    """Return the methods paragraph and the one with the headline numbers."""
    used = set(references.used(results))
    networks = [run for run in results.runs if run.status == "ok" and not weights_alone(run)]
    method = [_what(results, used)]
    if networks:
        method += [*_images(networks), _forward(networks), *_activations(results, networks, used)]
    method += _weights(results, used)
    return tuple(method), tuple(numbers(results))


def cited(results: Results) -> tuple[Reference, ...]:
    """Return every reference that the paragraphs cite, each once."""
    found = dict.fromkeys(
        piece.reference
        for paragraph in paragraphs(results)
        for sentence in paragraph
        for piece in sentence
        if isinstance(piece, Cite)
    )
    return tuple(found)


def tex(results: Results) -> str:
    """Return the paragraphs as LaTeX, to be input into a document."""
    parts = [sentences.tex(paragraph) for paragraph in paragraphs(results) if paragraph]
    return "% The references are in references.bib.\n" + "\n\n".join(parts) + "\n"


def markdown(results: Results) -> str:
    """Return the paragraphs as Markdown with Pandoc's citations."""
    parts = [sentences.markdown(paragraph) for paragraph in paragraphs(results) if paragraph]
    return "# Methods\n\n" + "\n\n".join(parts) + "\n"


def _what(results: Results, used: set[Reference]) -> Sentence:
    versions = results.provenance.versions
    others = [
        f"{name} {version}" for name, version in versions.items() if name not in {"featreport", "torch"}
    ]
    models = len({run.model for run in results.runs})
    failed = sum(run.status == "failed" for run in results.runs)
    text: list[Piece] = [
        f"We examined {formats.plural(len(results.runs), 'checkpoint')} of {formats.plural(models, 'model')} with "
        f"featreport {versions.get('featreport', '')}".rstrip(),
        Cite(references.featreport(latex.escape(versions.get("featreport", "unknown")))),
    ]
    if references.PASZKE in used:
        text += [f" and PyTorch {versions['torch']}", Cite(references.PASZKE)]
    text.append(f" ({', '.join(others)})" if others else "")
    text.append(
        f"; {formats.plural(failed, 'run')} of them failed and {'has' if failed == 1 else 'have'} no numbers"
        if failed
        else ""
    )
    return (*text, ".")


def _images(networks: Sequence[Run]) -> list[Sentence]:
    """Return how many images each network saw, and how they were prepared."""
    groups: dict[tuple[int, str], list[str]] = {}
    for run in networks:
        models = groups.setdefault((run.images.count, run.transform), [])
        if run.model not in models:
            models.append(run.model)
    if len(groups) == 1:
        (count, transform), _ = next(iter(groups.items()))
        return [
            (
                f"Each network saw {formats.plural(count, 'image')}, prepared as follows: ",
                transform,
                ".",
            )
        ]
    if len(groups) > EACH:
        counts = sorted(count for count, _ in groups)
        span = f"{formats.integer(counts[0])} to {formats.integer(counts[-1])} images"
        return [(f"The networks saw {span}; overview.csv lists how those of each run were prepared.",)]
    return [
        (
            *sentences.names(models),
            f" saw {formats.plural(count, 'image')}, prepared as follows: ",
            transform,
            ".",
        )
        for (count, transform), models in groups.items()
    ]


_READ = "The output of every layer was read before an in-place operation could overwrite it, and summed in float64."


def _forward(networks: Sequence[Run]) -> Sentence:
    devices = ", ".join(sorted({run.device for run in networks if run.device})) or "unknown device"
    precisions = ", ".join(sorted({run.precision for run in networks}))
    sizes = sorted({run.batch_size for run in networks if run.batch_size is not None})
    batches = f", in batches of {_span(sizes)}" if sizes else ""
    return (
        _READ,
        " The networks ran in evaluation mode without gradients, in ",
        Name(precisions),
        " on ",
        Name(devices),
        f"{batches}.",
    )


def _span(values: Sequence[int]) -> str:
    first, last = formats.integer(values[0]), formats.integer(values[-1])
    return first if first == last else f"{first} to {last}"


def _activations(results: Results, networks: Sequence[Run], used: set[Reference]) -> list[Sentence]:
    limits = results.thresholds
    dead, near, constant = (formats.plain(x) for x in (limits.dead, limits.near_zero, limits.constant))
    text = (
        f"A channel counts as dead when its absolute activation is at most {dead} at every position of every image; "
        "headline numbers count channels at the outputs of rectifiers only."
    )
    said: list[Sentence] = [(text,)]
    counts = sorted({run.images.count for run in networks if run.images.count})
    if references.CLOPPER in used and counts:
        bounds = "; ".join(
            f"N = {formats.integer(n)}: {formats.rate_bound(n)}" for n in counts[:_MOST_BOUNDS]
        )
        more = "; …" if len(counts) > _MOST_BOUNDS else ""
        text = (
            "A channel silent on N images fires, with 95 % confidence, on fewer than 1 − 0.05^(1/N) of images like "
            f"these ({bounds}{more})"
        )
        said.append((text, Cite(references.CLOPPER), "."))
    text = (
        f"Activations count as near zero when their size is at most {near}, and a channel as constant when its "
        f"greatest and least value differ by at most {constant} and it is not dead."
    )
    said.append((text,))
    cites = (
        (references.HU, "The share of exact zeros at a rectifier’s output is APoZ"),
        (references.SOKAR, "A channel is dormant when its mean size is at most 0.025 of the layer’s mean"),
        (
            references.ROY,
            "The effective rank is that of the images × channels matrix of means over positions",
        ),
        (
            references.SUN,
            "Massive activations are above 100 and at least 1,000 times the median size of their layer",
        ),
    )
    said += [(text, Cite(reference), ".") for reference, text in cites if reference in used]
    sampling = next((entry.sentence for entry in results.definitions if entry.metric == "histogram"), None)
    said += [(f"Histograms of activations: {sampling[0].lower()}{sampling[1:]}",)] if sampling else []
    return said


def _weights(results: Results, used: set[Reference]) -> list[Sentence]:
    measured = [run for run in results.runs if run.weights]
    if not measured:
        return []
    near = formats.plain(results.thresholds.near_zero)
    alone = sum(weights_alone(run) for run in measured)
    said: list[Sentence] = []
    if alone:
        said.append(
            (f"The tensors of {formats.plural(alone, 'checkpoint')} were read as data, without a network.",)
        )
    said.append((f"Near-zero weights are those of convolutions and linear layers with |w| ≤ {near}.",))
    if references.LIU in used:
        said.append(("Norm scales count as small at |γ| ≤ 0.01", Cite(references.LIU), "."))
    if references.MARTIN in used:
        text = "The exponent alpha of a power law was fitted to the tail of each weight’s spectrum"
        said.append((text, Cite(references.MARTIN), Cite(references.CLAUSET), "; it is a heuristic."))
    return said
