"""What the numbers of a comparison mean: an entry for each kind of comparison that the report holds."""

from __future__ import annotations

from featreport.report.page import Fact
from featreport.results.schema import Compared, Results

_CKA = (
    "How alike two layers see the same images, debiased linear CKA: Σ HSIC(K, L) / √(Σ HSIC(K, K) · Σ HSIC(L, L))"
    " over batches of at least 4 images, where K and L are the Gram matrices of a batch's features and HSIC is "
    "the unbiased estimate. 1 is alike up to rotation and scale, about 0 unrelated; an estimate may lie a little "
    "outside. Kornblith et al. 2019, arXiv:1905.00414; over batches Nguyen et al. 2021, arXiv:2010.15327."
)
_BASELINE = (
    "A number of this run minus that of the same layer (name, call and output) or tensor in the baseline; of "
    "shares, in percentage points (pp). Newly dead and revived channels are told by index. No number stands where"
    " nothing changed, or where images, transform, precision, kind of device or thresholds differ; weights need only "
    "the same near-zero threshold."
)
_BUILDS = (
    "The headline of each run in the builds before: silent of all channels at rectifiers, near-zero of all values"
    " in conv and linear weights. Runs are the same where their names are."
)
_CHECKPOINTS = (
    "Shares of each layer at the checkpoints of one model, in their order, each measured on its own. Unshaded is "
    "exactly none; darker from 1, 5, 10, 25 and 50\u00a0%; the darkest is exactly all. Under a strip stand the "
    "first share and the last."
)


def comparisons(results: Results, *, builds: bool, checkpoints: bool) -> tuple[Fact, ...]:
    """Return what is to be known of the comparisons that the report holds.

    Args:
        results: with similarities and baselines, if any.
        builds: whether earlier builds are told of.
        checkpoints: whether measures over the checkpoints of a model are.
    """
    held = (
        (any(one.values for one in results.similarities), "similarity of layers (CKA)", _CKA),
        (any(map(_told, results.compared)), "change against the baseline", _BASELINE),
        (builds, "over earlier builds", _BUILDS),
        (checkpoints, "over checkpoints", _CHECKPOINTS),
    )
    return tuple(Fact(label, sentence) for shown, label, sentence in held if shown)


def _told(one: Compared) -> bool:
    """Say whether numbers of the run stand against those of another."""
    return bool(one.before or one.within) and not one.itself and not (one.reason and one.weights_reason)
