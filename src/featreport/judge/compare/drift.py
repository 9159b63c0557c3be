"""How far a tensor moved, from what the results keep of it: a sketch, a digest, and its exact norm."""

from __future__ import annotations

import base64
import binascii
import math
import struct
from collections.abc import Sequence

from featreport.judge.compare.types import Drift
from featreport.results.schema import Weight

COORDINATES = 61  # of a sketch; a smaller tensor's holds the tensor itself


def drift(before: Weight, after: Weight) -> Drift:
    """Return ‖A − B‖, relative to ‖A‖, and the cosine of A and B.

    ‖A − B‖² is estimated with a relative standard error of √(2/k) from k = 61 coordinates; its root has half of that.
    The cosine follows from it and from the exact norms: (‖A‖² + ‖B‖² − ‖A − B‖²) / (2‖A‖‖B‖). Tensors with one digest
    are the same: distance exactly 0. That of tensors of up to 61 elements is exact (as float32).
    """
    if before.shape != after.shape:
        return Drift(identical=False, reason="the shapes differ")
    norms = _norm(before), _norm(after)
    same = None
    if before.digest is not None and after.digest is not None:
        same = before.digest == after.digest
    if before.nonfinite or after.nonfinite:
        return Drift(identical=same, reason="there are values that are no numbers")
    if same:
        return _measured(0.0, norms, 0.0, same)
    sketches = _sketch(before), _sketch(after)
    if sketches[0] is None or sketches[1] is None:
        missing = [side for side, one in zip("AB", sketches, strict=True) if one is None]
        return Drift(identical=same, reason=f"no sketch in {' and '.join(missing)}, as in older results")
    if len(sketches[0]) != len(sketches[1]):
        return Drift(identical=same, reason="the sketches differ in length")
    square = math.fsum((a - b) ** 2 for a, b in zip(sketches[0], sketches[1], strict=True))
    exact = before.count <= len(sketches[0])
    return _measured(math.sqrt(square), norms, 0.0 if exact else math.sqrt(2 / len(sketches[0])), same)


def exactly(
    distance: float,
    norms: tuple[float, float],
    cosine: float | None,
    filters: Sequence[float | None] | None,
    *,
    same: bool,
) -> Drift:
    """Return the drift of two tensors that were both at hand."""
    known = [norm if math.isfinite(norm) else None for norm in norms]
    found = _measured(distance, (known[0], known[1]), 0.0, same)
    rows = None if filters is None else list(filters)
    error = None if cosine is None else 0.0
    return found.model_copy(
        update={"cosine": cosine, "cosine_error": error, "filters": rows, "at_hand": True}
    )


def _measured(
    distance: float, norms: tuple[float | None, float | None], error: float, same: bool | None
) -> Drift:
    """Return the drift of a distance whose square has the relative standard error `error`."""
    mine, theirs = norms
    relative, to_after = (
        distance / norm if norm and math.isfinite(distance / norm) else None for norm in (mine, theirs)
    )
    cosine = cosine_error = None
    if same:
        relative, to_after, cosine, cosine_error = 0.0, 0.0, 1.0 if mine else None, 0.0 if mine else None
    elif mine and theirs:
        scaled = (distance / mine) * (distance / theirs)
        found = (mine / theirs + theirs / mine - scaled) / 2
        if math.isfinite(found):
            cosine, cosine_error = max(-1.0, min(1.0, found)), error * scaled / 2
    reason = None if relative is not None else "A is all zeros, so that nothing is relative to it"
    return Drift(
        identical=same,
        distance=distance if math.isfinite(distance) else None,
        norm_before=mine,
        norm_after=theirs,
        relative=relative,
        relative_after=to_after,
        relative_error=None if relative is None else relative * error / 2,
        cosine=cosine,
        cosine_error=cosine_error,
        reason=reason,
    )


def _norm(weight: Weight) -> float | None:
    """Return the L2 norm: √((n − 1) · std² + n · mean²), as moments are float64."""
    if weight.nonfinite or weight.mean is None:
        return 0.0 if not weight.count else None
    spread = weight.std or 0.0
    found = math.hypot(math.sqrt(max(0, weight.count - 1)) * spread, math.sqrt(weight.count) * weight.mean)
    return found if math.isfinite(found) else None


def _sketch(weight: Weight) -> Sequence[float] | None:
    """Return the coordinates of a sketch; None where there is none, or it is damaged."""
    if weight.sketch is None:
        return None
    try:
        data = base64.b64decode(weight.sketch, validate=True)
    except (ValueError, binascii.Error):
        return None
    if len(data) != 4 * min(COORDINATES, weight.count):
        return None
    found = struct.unpack(f"<{len(data) // 4}f", data)
    return found if all(map(math.isfinite, found)) else None
