"""The parts of a manifest that scheduled jobs use: what is compared and checked, and files elsewhere."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from featreport.manifest import values as v
from featreport.manifest.section import Section


class Compare(Section):
    """What the runs are compared with."""

    baseline: v.Text | None = Field(
        None,
        description="A run id of this manifest, the path of earlier results (.json) or of a report (.html), or with "
        "a history: latest or best, for each run the newest or the best earlier build of it.",
    )
    metric: (
        Literal["dead_fraction", "dead_channels", "near_zero_fraction", "zero_fraction", "nonfinite"] | None
    ) = Field(None, description="What the best build is the best in.")
    better: Literal["lower", "higher"] = Field(
        "lower", description="Which of two values of it is the better one."
    )
    cka: v.YesNo = Field(
        False,
        description="Also how alike the layers of two runs see the same images (debiased linear CKA): of each run and "
        "the baseline, or the first run.",
    )


class Check(Section):
    """A rule that measured numbers must keep: each of them on its own, never their mean."""

    metric: v.Metric = Field(
        description="A number of the results, e.g. activations.dead, weights.zero_fraction, summary.dead_fraction, "
        "load.missing; a list counts by its length. Or of the comparison with the baseline: newly_dead_channels, "
        "revived_channels, newly_dead_filters, revived_filters."
    )
    min: v.Number | None = Field(None, description="Smallest allowed value.")
    max: v.Number | None = Field(None, description="Largest allowed value.")
    equals: v.Number | None = Field(None, description="The only allowed value.")
    max_increase: v.NotNegative | None = Field(
        None, description="How much more than the baseline's it may be."
    )
    max_relative_increase: v.NotNegative | None = Field(
        None, description="The same as a share of the baseline's, e.g. 0.1; of both the larger counts."
    )
    level: Literal["error", "warn"] = Field("error", description="Whether breaking it fails the build.")
    models: v.Text = Field("*", description="Glob of model names or run ids.")
    layers: v.Text = Field("*", description="Glob of layer or tensor names.")
    scope: Literal["layer", "run"] | None = Field(
        None, description="layer: each layer on its own; run: the count over all its layers."
    )


class Remote(Section):
    """What may be fetched from elsewhere (`https://`, `s3://`, `gs://` …)."""

    max_bytes: v.Bytes = Field(5_000_000_000, description="The largest file that is fetched, e.g. 5GB.")
