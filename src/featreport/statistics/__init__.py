"""What is measured of activations: one file, one statistic. A new file here is a new statistic in every report."""

from __future__ import annotations

import importlib
import pkgutil

from featreport.statistics.base import REGISTRY, Seen, Settings, State, Statistic
from featreport.statistics.block import Block, Workspace, blocks

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["Block", "Seen", "Settings", "State", "Statistic", "Workspace", "all_statistics", "blocks"]


def all_statistics(settings: Settings) -> list[Statistic]:
    """Every registered statistic, in a fixed order."""
    return [kind(settings) for kind in sorted(REGISTRY, key=lambda kind: kind.metric)]
