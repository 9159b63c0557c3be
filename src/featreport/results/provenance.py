"""What made the numbers of a build, as its results tell it."""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import PackageNotFoundError, version

from featreport.plan.types import Plan
from featreport.results.entries import Made
from featreport.results.schema import BaseManifest, Provenance

PACKAGES = ("featreport", "torch", "torchvision", "numpy", "pillow")


def provenance_of(plan: Plan, made: Made) -> Provenance:
    """Return where the numbers of a plan come from: versions, device, and the manifest as it was written."""
    code = {run.source.text for run in plan.runs if run.source.kind.startswith("python-")}
    code |= {run.transform.text for run in plan.runs if run.transform.kind == "python"}
    timm = ("timm",) if any(run.source.kind == "timm" for run in plan.runs) else ()
    return Provenance(
        versions={"python": platform.python_version()}
        | {name: _version(name) for name in (*PACKAGES, *timm)}
        | {"reduction": made.engine},
        device=made.device,
        precision=plan.precision,
        manifest_name=plan.manifest_name,
        manifest_sha256=_sha256(plan.manifest_text),
        manifest_text=plan.manifest_text,
        code_run=sorted(code),
        variables=list(plan.variables),
        overrides=list(plan.overrides),
        bases=[BaseManifest(name=name, sha256=_sha256(text), text=text) for name, text in plan.bases],
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _version(package: str) -> str:
    """Return the version that is installed; torch's and torchvision's carry their build (+cu132)."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed as a package"
