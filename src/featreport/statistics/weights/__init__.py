"""What is measured of weights: one file, one statistic. A new file here is a new statistic in every report."""

from __future__ import annotations

import importlib
import pkgutil

from featreport.statistics.weights.base import DESCRIBED, REGISTRY, Described, Subject, WeightStatistic

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

from featreport.statistics.base import Settings  # noqa: E402 - after the registry is full

__all__ = ["Described", "Subject", "WeightStatistic", "all_weight_statistics", "weight_sentences"]


def all_weight_statistics(settings: Settings) -> list[WeightStatistic]:
    """Every registered statistic of one tensor that these settings ask for, in a fixed order."""
    kinds = [kind(settings) for kind in sorted(REGISTRY, key=lambda kind: kind.metric)]
    return [statistic for statistic in kinds if statistic.wanted()]


def weight_sentences(settings: Settings) -> list[Described]:
    """Everything that is said of weights: the statistics of a tensor, then those of a whole module."""
    return [*all_weight_statistics(settings), *(kind(settings) for kind in DESCRIBED)]
