"""What is measured of activations: one file, one statistic. A new file here is a new statistic in every report."""

from __future__ import annotations

import importlib
import pkgutil

from featreport.statistics.base import REGISTRY, Measured, Settings, State, Statistic
from featreport.statistics.definition import Reduced
from featreport.statistics.device_kernel import fault
from featreport.statistics.ledger import Account, Ledger
from featreport.statistics.reduction import engine, reduce
from featreport.statistics.table import Field, Limits
from featreport.statistics.transfer import to_host

COMPILED = {"device_loops"}  # imported where it is used: it brings Triton
for _module in pkgutil.iter_modules(__path__):
    if _module.name not in COMPILED:
        importlib.import_module(f"{__name__}.{_module.name}")

__all__ = [
    "Account",
    "Field",
    "Ledger",
    "Limits",
    "Measured",
    "Reduced",
    "Settings",
    "State",
    "Statistic",
    "all_statistics",
    "engine",
    "fault",
    "reduce",
    "to_host",
]


def all_statistics(settings: Settings) -> list[Statistic]:
    """Every registered statistic, in a fixed order."""
    return [kind(settings) for kind in sorted(REGISTRY, key=lambda kind: kind.metric)]
