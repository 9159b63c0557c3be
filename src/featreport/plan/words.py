"""The plan as lines for people."""

from __future__ import annotations

from pathlib import Path

from featreport.plan.types import Plan


def describe(plan: Plan) -> list[str]:
    """Return a line per run, and what it will look at."""
    lines = [
        f"{plan.title}",
        f"  report   {near(plan.output)}",
        f"  device   {plan.device}, {plan.precision}",
        f"  dead |a| ≤ {number(plan.dead)}, near zero |x| ≤ {number(plan.near_zero)}",
    ]
    for run in plan.runs:
        count = len(run.images)
        lines.append(f"{run.id}")
        lines.append(f"  source      {run.source.text}" + (f" {run.source.args}" if run.source.args else ""))
        lines.append(f"  checkpoint  {run.checkpoint.text}")
        if run.timeout is not None:
            lines.append(f"  timeout     {number(run.timeout)} s")
        if run.source.kind == "none":
            lines.append("  images      none: the tensors alone are measured")
            continue
        first = f"{run.images[0].name}" + (f" … {run.images[-1].name}" if count > 1 else "")
        lines.append(f"  images      {count}: {first}")
        lines.append(f"  transform   {run.transform.text}")
    lines.append(f"{len(plan.runs)} run{'s' * (len(plan.runs) != 1)} planned; nothing was run.")
    return lines


def number(value: float) -> str:
    """Return a number with every digit that it has, and none more: whoever reads it can use the very same."""
    return repr(float(value)).removesuffix(".0")


def near(path: Path) -> Path:
    """Return the path as seen from the working directory, where it lies below it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
