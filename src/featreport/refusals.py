"""What is refused before anything is fetched or run: a device, a template, a place that is not to be had."""

from __future__ import annotations

from pathlib import Path

from featreport import gate
from featreport.errors import ManifestError
from featreport.plan.types import Plan
from featreport.results.schema import Results
from featreport.results.store import check_writable


def refused(plan: Plan) -> Results | None:
    """Refuse what cannot be built on this machine; return the results that the manifest compares with.

    Raises:
        ManifestError: the device is not here, a template is wrong, or the results are none.
        OutputError: the report, its results or the history cannot be written.
    """
    if plan.device not in {"auto", "cpu"}:
        from featreport.collect.device import choose_device

        choose_device(plan.device)  # raises where it is not on this machine: before a folder is made
    check_templates(plan.look.templates)
    gate.check_places(plan)
    before = gate.earlier(plan)
    check_writable(plan.output)
    check_writable(plan.results)
    if plan.history is not None:
        check_writable(plan.history / "build.json")
    return before


def check_templates(folder: Path | None) -> None:
    """Read the manifest's own templates before anything is run: a slip in them is found now, not after hours."""
    if folder is None:
        return
    from featreport.report.environment import faults

    found = faults(folder)
    if found:
        raise ManifestError("\n".join([*found, "nothing was run."]))
