"""Who may import whom (DESIGN 3), read from the source with `ast`; and what starting up may import."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "featreport"
TYPES = {
    "errors",
    "plan.types",
    "results.schema",
    "results.grams",
}  # the frozen values that travel between rooms

# room → the rooms it may import from (besides itself and the types that travel)
MAY = {
    "errors": set(),
    "manifest": set(),
    "remote": set(),
    "fetching": {"remote"},
    "refusals": {"gate", "collect", "report", "results"},
    "plan": {"manifest", "remote", "sources.catalogue"},
    "sources": set(),
    "checkpoints": {"sources"},
    "memory": set(),
    "images": {"memory"},
    "statistics": {"memory"},
    "collect": {"statistics", "sources", "checkpoints", "images", "memory"},
    "executors": {"collect", "collector", "statistics", "plan.fingerprint", "results.entries"},
    "results": set(),
    "judge": {"report.formats"},
    "figures": {"report.formats"},
    "report": {"judge", "figures", "tables", "results", "collector"},
    "tables": {"judge"},
    "paper": {"tables", "figures", "judge", "results", "report.formats", "report.pixels"},
    "progress": {"executors", "report.formats"},
    "gate": {"judge", "results", "report.formats"},
    "differences": {"at_hand", "judge", "report", "results"},
    "at_hand": {"checkpoints", "judge", "report.formats", "statistics"},
    "terminal": {"judge", "report.formats"},
    "pipeline": {
        "gate",
        "manifest",
        "plan",
        "executors",
        "fetching",
        "refusals",
        "collect",
        "statistics",
        "results",
        "judge",
        "report",
        "images.logo",
    },
    "upkeep": {"fetching", "manifest", "remote", "results.entries"},
    "process": set(),
    "collector": set(),
    "cli": {
        "collector",
        "gate",
        "pipeline",
        "process",
        "upkeep",
        "plan.words",
        "paper",
        "manifest",
        "progress",
        "differences",
        "terminal",
    },
    "__main__": {"cli", "process"},
    "__init__": {"pipeline", "results"},
}
TORCH = {"sources", "checkpoints", "images", "statistics", "collect", "at_hand", "memory"}
ONLY = {
    "yaml": {"manifest"},
    "matplotlib": {"figures", "paper"},
    "jinja2": {"report"},
    "typer": {"cli"},
    "rich": {"progress", "terminal"},
    "fsspec": {"remote"},
}


def room(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


def imports(path: Path) -> list[tuple[str, int]]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [(name, node.lineno) for name in names]
    return found


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_rooms_import_in_one_direction(path: Path) -> None:
    mine = room(path)
    assert mine in MAY, f"{mine} is no room of the house: give it a place in MAY"
    for name, line in imports(path):
        if not name.startswith("featreport."):
            continue
        target = name.removeprefix("featreport.")
        allowed = {mine, *MAY[mine], *TYPES}
        if target == "__version__":
            continue
        assert any(target == ok or target.startswith(f"{ok}.") for ok in allowed), (
            f"{path.name}:{line}: {mine} may not import {target}"
        )


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_heavy_packages_stay_in_their_rooms(path: Path) -> None:
    mine = room(path)
    for name, line in imports(path):
        top = name.split(".")[0]
        if top in {"torch", "torchvision"}:
            assert mine in TORCH, f"{path.name}:{line}: {mine} may not know {top}"
        if top in ONLY:
            assert mine in ONLY[top], f"{path.name}:{line}: only {ONLY[top]} may import {top}"
        assert name != "matplotlib.pyplot", f"{path.name}:{line}: pyplot"


def imported_by(code: str, *names: str) -> str:
    check = f"import sys\n{code}\nprint([n for n in {list(names)!r} if n in sys.modules])"
    return subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout


def test_starting_up_imports_nothing_heavy() -> None:
    out = imported_by("import featreport.cli", "torch", "torchvision", "matplotlib", "numpy", "PIL", "jinja2")
    assert out.strip() == "[]"


def test_checking_a_manifest_imports_nothing_heavy() -> None:
    code = "from featreport.pipeline import make_plan; make_plan('config.yaml')"
    out = imported_by(code, "torch", "torchvision", "matplotlib", "numpy", "PIL")
    assert out.strip().endswith("[]")


def test_every_file_is_small_enough_to_know_your_place_in_it() -> None:
    long = {str(path.relative_to(PACKAGE)): len(path.read_text().splitlines()) for path in FILES}
    assert {name: lines for name, lines in long.items() if lines > 350} == {}
