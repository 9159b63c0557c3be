"""featreport: what do these checkpoints contain, and what do they do to these images?

import featreport
results = featreport.build("config.yaml")
results.runs[0].summary.dead_fraction
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from featreport.pipeline import build, render
    from featreport.results.codec import load

__version__ = "0.1.0"
__all__ = ["__version__", "build", "load", "render"]


def __getattr__(name: str) -> Any:
    """Import the public functions when they are first used: `import featreport` stays light."""
    if name in {"build", "render"}:
        from featreport import pipeline

        return getattr(pipeline, name)
    if name == "load":
        from featreport.results.codec import load

        return load
    raise AttributeError(f"module 'featreport' has no attribute {name!r}")
