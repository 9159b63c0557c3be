"""What results keep of a baseline that is not one of their runs: the numbers that changes are told against."""

from __future__ import annotations

from featreport.results.frozen import Histogram
from featreport.results.schema import Images, Run

EMPTY = Histogram(edges=[], counts=[])


def numbers_of(run: Run) -> Run:
    """Return a run without pictures, histograms, sketches and whatever else is no number of a table."""
    taps = [
        tap.model_copy(update={"histogram": EMPTY, "fired_images": None, "deaths": [], "rare": None})
        for tap in run.activations
    ]
    weights = [
        tensor.model_copy(update={"histogram": EMPTY, "sketch": None, "digest": None, "dead_filters": []})
        for tensor in run.weights
    ]
    left_out = {
        "activations": taps,
        "weights": weights,
        "images": Images(count=run.images.count),
        "load": None,
        "notes": [],
        "unmeasured": [],
        "maps": [],
        "kernels": None,
        "kernel_norms": [],
    }
    return run.model_copy(update=left_out)
