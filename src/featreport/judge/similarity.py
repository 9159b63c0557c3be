"""How alike two networks see the same images, layer by layer: debiased linear CKA.

Kornblith, Norouzi, Lee and Hinton 2019 (arXiv:1905.00414) with the unbiased estimate of HSIC of Song, Smola, Gretton,
Bedo and Borgwardt 2012 (JMLR 13), over minibatches as Nguyen, Raghu and Kornblith 2021 (arXiv:2010.15327).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from featreport.results.grams import Grams
from featreport.results.schema import Run, Similarity

Array = NDArray[np.float64]
MOST = 40  # layers of each run, spread evenly over its depth
FEWEST = 4  # images of a batch: HSIC's unbiased estimate divides by n − 3


def similarity(one: Run, other: Run, grams: tuple[Grams | None, Grams | None]) -> Similarity:
    """Return the similarity of the layers of two runs, or why there is none.

    Args:
        one: the run whose layers stand at the side.
        other: the run whose layers stand at the top.
        grams: the Gram matrices of each.
    """
    plain = Similarity(run=one.id, other=other.id)
    first, second = grams
    reason = _obstacle(one, other)
    if not reason and (first is None or second is None or not first.layers or not second.layers):
        reason = "no layer of one of them has an axis of images"
    if reason or first is None or second is None:
        return plain.model_copy(update={"reason": reason})
    shared = list(_shared(first.blocks, second.blocks))
    if not shared:
        sizes = " and ".join(str(max((n for _, n in g.blocks), default=0)) for g in (first, second))
        return plain.model_copy(
            update={"reason": f"no batch of {FEWEST} images in common (batches of {sizes}): raise batch_size"}
        )
    places = [_spread(len(side.layers)) for side in (first, second)]
    values = _cka(first, second, shared, places)
    return plain.model_copy(
        update={
            "images": sum(stop - start for start, stop in shared),
            "batches": len(shared),
            "layers": [first.layers[place] for place in places[0]],
            "other_layers": [second.layers[place] for place in places[1]],
            "values": [[float(v) if np.isfinite(v) else None for v in row] for row in values],
        }
    )


def _obstacle(one: Run, other: Run) -> str:
    """Return why two runs have no images in common, in words."""
    sums = [[file.sha256 for file in run.images.files] for run in (one, other)]
    if one.images.count != other.images.count:
        return f"they saw {one.images.count} and {other.images.count} images"
    return "" if sums[0] == sums[1] else "they saw other images, or in another order"


def _shared(one: list[list[int]], other: list[list[int]]) -> Iterator[tuple[int, int]]:
    """Yield stretches of images that lie within one batch of either run, large enough for an estimate."""
    for first, count in one:
        for there, many in other:
            start, stop = max(first, there), min(first + count, there + many)
            if stop - start >= FEWEST:
                yield start, stop


def _spread(count: int) -> list[int]:
    """Return at most MOST places, the first and the last among them."""
    if count <= MOST:
        return list(range(count))
    return sorted({round(place) for place in np.linspace(0, count - 1, MOST)})


def _cka(first: Grams, second: Grams, shared: list[tuple[int, int]], places: list[list[int]]) -> Array:
    """Return CKA `[layers of the first, layers of the second]`; NaN where a layer tells no images apart."""
    sides = [(side, side.matrices()[chosen]) for side, chosen in zip((first, second), places, strict=True)]
    cross = np.zeros((len(places[0]), len(places[1])))
    own = [np.zeros(len(chosen)) for chosen in places]
    for start, stop in shared:
        n = stop - start
        centred = [_centred(_cut(side, values, start, stop)) for side, values in sides]
        with np.errstate(invalid="ignore"):
            cross += centred[0] @ centred[1].T / (n - 3)  # each batch's HSIC, weighted by its n images
            own = [total + (one * one).sum(1) / (n - 3) for total, one in zip(own, centred, strict=True)]
    with np.errstate(invalid="ignore", divide="ignore"):
        lengths = [np.sqrt(np.where(total > 0, total, np.nan)) for total in own]
        found: Array = cross / lengths[0][:, None] / lengths[1][None, :]
    return found


def _cut(side: Grams, values: Array, start: int, stop: int) -> Array:
    """Return the Gram matrices of some images of one batch, `[layers, n, n]`, zeros on the diagonal."""
    at = 0
    for first, count in side.blocks:
        size = count * (count - 1) // 2
        if first <= start and stop <= first + count:
            whole = np.zeros((len(values), count, count))
            rows, columns = np.triu_indices(count, 1)
            whole[:, rows, columns] = whole[:, columns, rows] = values[:, at : at + size]
            some = slice(start - first, stop - first)
            return whole[:, some, some]
        at += size
    raise ValueError(f"no batch holds the images {start} to {stop}")


def _centred(matrices: Array) -> Array:
    """Return the matrices U-centred, `[layers, n · n]`: their products are unbiased estimates of n(n − 3) HSIC."""
    n = matrices.shape[1]
    rows = matrices.sum(2, keepdims=True) / (n - 2)
    whole = matrices.sum((1, 2), keepdims=True) / ((n - 1) * (n - 2))
    centred = matrices - rows - rows.transpose(0, 2, 1) + whole
    centred[:, np.arange(n), np.arange(n)] = 0.0
    flat: Array = centred.reshape(len(matrices), -1)
    return flat
