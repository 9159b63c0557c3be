"""What the page says of how alike two runs see the same images."""

from __future__ import annotations

from statistics import median

from featreport.figures.heat import heat
from featreport.report import formats
from featreport.report.cells import LikeRow
from featreport.report.page import ChartFigure, Likeness
from featreport.report.rows import name
from featreport.results.schema import Results, Similarity

FEW = 64  # images below which an estimate is rough


def view(results: Results) -> tuple[Likeness, ...]:
    """Return one for each pair of runs that the manifest compares so."""
    return tuple(_pair(found, number) for number, found in enumerate(results.similarities))


def _pair(found: Similarity, number: int) -> Likeness:
    title = f"{found.run} and {found.other}"
    if not found.values:
        return Likeness(title, f"Not compared: {found.reason or 'no layer has an answer'}.", None, ())
    names = found.run, found.other
    chart = heat(found.values, found.layers, found.other_layers, names, f"similarity {number}")
    same = _same(found)
    told = "No layer has its name in both."
    if same:
        least = min(same, key=lambda layer: same[layer])
        told = (
            f"Layers of the same name: median {_two(median(same.values()))}, least {_two(same[least])} "
            f"at {formats.shorten(least)}."
        )
    over = f"{formats.plural(found.images, 'image')} in {formats.plural(found.batches, 'batch', 'batches')}"
    rough = " Few images: these are rough estimates." if found.images < FEW else ""
    text = f"Debiased linear CKA over {over}: 1 is alike up to rotation and scale, 0 unrelated. {told}{rough}"
    figure = ChartFigure(chart, f"Layers of {title}", text, f"Heat map. {text}", f"cka-{number}.csv")
    across = () if found.layers == found.other_layers else tuple(map(name, found.other_layers))
    return Likeness(title, "", figure, tuple(_rows(found, same)), across)


def _two(value: float) -> str:
    return f"{value:.2f}".replace("-", formats.MINUS)


def _three(value: float) -> str:
    return f"{value:.3f}".replace("-", formats.MINUS)


def _same(found: Similarity) -> dict[str, float]:
    """Return the similarity of the layers that are called the same in both runs."""
    places = {layer: place for place, layer in enumerate(found.other_layers)}
    rows = zip(found.layers, found.values, strict=True)
    pairs = ((layer, row[places[layer]]) for layer, row in rows if layer in places)
    return {layer: value for layer, value in pairs if value is not None}


def _rows(found: Similarity, same: dict[str, float]) -> list[LikeRow]:
    """Return a row for each layer of the first run."""
    rows: list[LikeRow] = []
    for number, (layer, values) in enumerate(zip(found.layers, found.values, strict=True), 1):
        known = [(value, -place) for place, value in enumerate(values) if value is not None]
        own = _three(same[layer]) if layer in same else formats.NONE
        if not known:
            rows.append(LikeRow(str(number), name(layer), own, "", name(formats.NONE), formats.NONE))
            continue
        value, place = max(known)
        nearest = name(found.other_layers[-place])
        rows.append(LikeRow(str(number), name(layer), own, str(1 - place), nearest, _three(value)))
    return rows
